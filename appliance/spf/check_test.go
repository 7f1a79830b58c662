package spf

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "write the golden file")

// names are the zones of the tests.
var names = map[string]map[string][]string{
	"pass.example":      {"TXT": {"v=spf1 include:_spf.host.example ip4:203.0.113.7 -all"}},
	"fail.example":      {"TXT": {"some text", "v=spf1 a:mail.fail.example mx -all"}, "MX": {"10 mx.fail.example"}},
	"mail.fail.example": {"A": {"192.0.2.1"}},
	"mx.fail.example":   {"A": {"192.0.2.2"}, "AAAA": {"2001:db8::2"}},
	"soft.example":      {"TXT": {"v=spf1 include:_spf.host.example ~all"}},
	"neutral.example":   {"TXT": {"v=spf1 ip4:192.0.2.0/24"}},
	"question.example":  {"TXT": {"v=spf1 ?all"}},
	"none.example":      {"TXT": {"some text"}},
	"two.example":       {"TXT": {"v=spf1 -all", "v=spf1 ~all"}},
	"syntax.example":    {"TXT": {"v=spf1 ipv4:203.0.113.7 -all"}},
	"address.example":   {"TXT": {"v=spf1 ip4:203.0.113.700 -all"}},
	"lost.example":      {"TXT": {"v=spf1 include:gone.example -all"}},
	"silent.example":    {"TXT": {"v=spf1 a:silent.host.example -all"}},
	"many.example":      {"TXT": {"v=spf1 " + many("a:h%d.example", 11) + " -all"}},
	"early.example":     {"TXT": {"v=spf1 ip4:203.0.113.7 " + many("a:h%d.example", 11) + " -all"}},
	"voids.example":     {"TXT": {"v=spf1 a:x1.example a:x2.example a:x3.example -all"}},
	"moved.example":     {"TXT": {"v=spf1 redirect=pass.example"}},
	"loop.example":      {"TXT": {"v=spf1 include:loop.example -all"}},
	"macro.example":     {"TXT": {"v=spf1 exists:%{i}.%{l}.%{o}.list.example -all"}},
	"203.0.113.7.app.macro.example.list.example": {"A": {"127.0.0.2"}},
	"_spf.host.example":                          {"TXT": {"v=spf1 ip4:198.51.100.0/24 -all"}},
	"ptr.example":                                {"TXT": {"v=spf1 ptr -all"}},
}

func many(format string, n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return strings.Join(all, " ")
}

func testWorld() *world {
	w := &world{records: make(map[string]map[string][]string), silent: map[string]bool{"silent.host.example": true}}
	for name, records := range names {
		w.records[name] = records
	}
	w.records["silent.host.example"] = map[string][]string{}
	for i := range 11 {
		w.records[fmt.Sprintf("h%d.example", i)] = map[string][]string{"A": {"192.0.2.9"}}
	}
	return w
}

// TestWords: every result names the record, the value and the place, and says
// what to write.
func TestWords(t *testing.T) {
	var b strings.Builder
	for _, domain := range []string{
		"pass.example", "fail.example", "soft.example", "neutral.example", "question.example", "none.example", "two.example", "syntax.example",
		"address.example", "lost.example", "silent.example", "many.example", "early.example", "voids.example", "moved.example", "loop.example",
		"macro.example", "ptr.example", "unknown.example", "localhost", "[192.0.2.1]",
	} {
		w := testWorld()
		r := Check(t.Context(), w, Query{IP: netip.MustParseAddr("203.0.113.7"), HELO: "mail.example.com", From: appliance.Mailbox{Local: "app", Domain: domain}})
		fmt.Fprintf(&b, "%s: %s", domain, r.Result)
		if r.Mechanism != "" {
			fmt.Fprintf(&b, " by %s of %s", r.Mechanism, r.At)
		}
		fmt.Fprintf(&b, ", %d of %d look-ups, %d voids\n", r.Lookups, r.All, r.Voids)
		for _, s := range r.Steps {
			mark := " "
			if s.Matched {
				mark = "*"
			}
			fmt.Fprintf(&b, "  %s%s %s\n", mark, strings.Repeat("  ", s.Depth)+strings.TrimSpace(s.Domain+" "+s.Term)+":", s.Text)
		}
		if r.Problem != "" {
			fmt.Fprintf(&b, "  Problem: %s\n", r.Problem)
		}
		if r.Fix != "" {
			fmt.Fprintf(&b, "  Fix: %s\n", r.Fix)
		}
		b.WriteString("\n")
	}
	golden := filepath.Join("testdata", "words.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("run with -update if that is right (-want +got):\n%s", diff)
	}
}

// TestNullReversePath: the name of the client is looked at.
func TestNullReversePath(t *testing.T) {
	r := Check(t.Context(), testWorld(), Query{IP: netip.MustParseAddr("::ffff:203.0.113.7"), HELO: "Pass.Example."})
	if r.Result != Pass || r.Domain != "pass.example" {
		t.Errorf("%+v", r)
	}
}

// TestH10 bounds what a record of somebody else can make us ask.
func TestH10(t *testing.T) {
	bomb := &world{records: make(map[string]map[string][]string)}
	for i := range 40 { // each includes ten others
		var b strings.Builder
		for j := range 10 {
			fmt.Fprintf(&b, " include:b%d.example", (i*7+j*3)%40)
		}
		bomb.records[fmt.Sprintf("b%d.example", i)] = map[string][]string{"TXT": {"v=spf1" + b.String() + " mx:%{i}.b.example ~all"}}
	}
	long := &world{records: map[string]map[string][]string{"long.example": {"TXT": {"v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 4600) + "-all"}}}}
	for name, tt := range map[string]struct {
		w      *world
		domain string
		want   Verdict
	}{
		"includes": {bomb, "b0.example", PermError},
		"64 KiB":   {long, "long.example", Fail},
	} {
		t.Run(name, func(t *testing.T) {
			r := Check(t.Context(), tt.w, Query{IP: netip.MustParseAddr("203.0.113.7"), HELO: "x.example", From: appliance.Mailbox{Local: "a", Domain: tt.domain}})
			if r.Result != tt.want || tt.w.asked > maxQuestions {
				t.Errorf("%s after %d questions: %s", r.Result, tt.w.asked, r.Problem)
			}
		})
	}
}

// TestEnd: a check ends with its context, and says so.
func TestEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Check(ctx, deaf{testWorld()}, Query{IP: netip.MustParseAddr("203.0.113.7"), From: appliance.Mailbox{Local: "a", Domain: "pass.example"}})
	if r.Result != TempError || r.Problem == "" {
		t.Errorf("%+v", r)
	}
}

// deaf answers as long as somebody waits.
type deaf struct{ *world }

func (d deaf) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if ctx.Err() != nil {
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: true}
	}
	return d.world.LookupTXT(ctx, name)
}

func FuzzCheck(f *testing.F) {
	for _, records := range names {
		for _, text := range records["TXT"] {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, record string) {
		w := &world{records: map[string]map[string][]string{
			"a.example":         {"TXT": {record}, "A": {"203.0.113.7"}, "MX": {"1 a.example"}},
			"_spf.host.example": {"TXT": {record}},
		}}
		r := Check(t.Context(), w, Query{IP: netip.MustParseAddr("203.0.113.7"), HELO: "a.example", From: appliance.Mailbox{Local: "app", Domain: "a.example"}})
		if w.asked > maxQuestions || r.Result == "" || r.Result != Pass && r.Problem == "" {
			t.Errorf("%d questions, %+v", w.asked, r)
		}
	})
}
