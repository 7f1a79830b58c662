package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

func at(name string, run func(ctx context.Context) []appliance.Finding) appliance.Examination {
	return appliance.Examination{Name: name, Run: run}
}

// TestRunIsBounded: an examination that takes too long, does not end, or
// panics costs itself, and the order is that of the groups.
func TestRunIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		groups := []Group{
			{Name: "first", Examinations: []appliance.Examination{
				at("slow", func(ctx context.Context) []appliance.Finding {
					<-ctx.Done()
					return []appliance.Finding{skipped("slow", "%v", ctx.Err())}
				}),
				at("deaf", func(context.Context) []appliance.Finding { <-end; return nil }),
				at("panics", func(context.Context) []appliance.Finding { panic("oh") }),
			}},
			{Name: "second", Domain: "example.com", Examinations: []appliance.Examination{
				at("bad", func(context.Context) []appliance.Finding {
					return []appliance.Finding{ok("one", "1"), fail("two", "2", "mend it")}
				}),
			}},
		}
		begin := time.Now()
		all := Run(t.Context(), groups)
		if took := time.Since(begin); took != examinationTime+lateTime {
			t.Errorf("took %s", took)
		}
		var got []string
		for _, g := range all {
			got = append(got, fmt.Sprint(g.Name, " ", g.Domain, g.Status))
			for _, f := range g.Parts {
				got = append(got, fmt.Sprintf("%s %s: %s", f.Status, f.Name, f.Text))
			}
		}
		want := []string{
			"first warn", "skipped slow: context deadline exceeded", "skipped deaf: it did not come to an end in time", "warn panics: the examination has failed: oh",
			"second example.comfail", "ok one: 1", "fail two: 2",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		close(end)
	})
}

// TestRunEnds: whatever there is to do, a check-up has an end, and only so many
// examinations run at a time.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running := make(chan struct{}, atOnce)
		var full atomic.Bool
		g := Group{Name: "many"}
		for i := range 100 {
			g.Examinations = append(g.Examinations, at(fmt.Sprint(i), func(ctx context.Context) []appliance.Finding {
				select {
				case running <- struct{}{}:
				default:
					t.Error("too many at a time")
				}
				if len(running) == atOnce {
					full.Store(true)
				}
				<-ctx.Done()
				<-running
				return []appliance.Finding{skipped("x", "out of time")}
			}))
		}
		begin := time.Now()
		all := Run(t.Context(), []Group{g})
		if took := time.Since(begin); took != wholeTime || !full.Load() || len(all[0].Parts) != 100 {
			t.Errorf("took %s, %d at a time: %v, %d findings", took, atOnce, full.Load(), len(all[0].Parts))
		}
	})
}

func TestSelect(t *testing.T) {
	none := func(context.Context) []appliance.Finding { return nil }
	groups := []Group{
		{Name: "this machine", Examinations: []appliance.Examination{at("disk", none), at("clock", none)}},
		{Name: "domain example.com", Domain: "example.com", Examinations: []appliance.Examination{at("SPF", none), at("MX", none)}},
		{Name: "domain example.net", Domain: "example.net", Examinations: []appliance.Examination{at("SPF", none), at("MX", none)}},
	}
	for _, c := range []struct{ words, want string }{
		{"", "this machine disk clock; domain example.com SPF MX; domain example.net SPF MX"},
		{"spf", "domain example.com SPF; domain example.net SPF"},
		{"Example.COM.", "domain example.com SPF MX"},
		{"spf example.net", "domain example.net SPF"},
		{"machine", "this machine disk clock"},
		{"clock", "this machine clock"},
		{"clock spf", `"spf" names nothing to look at; there is this machine, clock`},
		{"nonsense", `"nonsense" names nothing to look at; there is this machine, disk, clock, example.com, SPF, MX, example.net`},
	} {
		kept, err := Select(groups, strings.Fields(c.words))
		var got []string
		for _, g := range kept {
			got = append(got, strings.Join(append([]string{g.Name}, namesIn(g)...), " "))
		}
		text := strings.Join(got, "; ")
		if err != nil {
			text = err.Error()
		}
		if text != c.want {
			t.Errorf("%q: %s", c.words, text)
		}
	}
}
