// Package providertest is the suite that a dns module passes whose effect can
// be looked at: what libdns promises to callers, from the point of view of
// who asks the operator's servers afterwards.
package providertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Zone is a zone that a provider can change and a test can look into.
type Zone struct {
	Name     string // with the final dot
	Provider appliance.DNSProvider
	// TXT returns the values at a complete name, in any order.
	TXT func(t *testing.T, fqdn string) []string
	// Sees says that the provider knows what is there: deleted is what was.
	Sees bool
}

// Run runs the suite. It leaves the zone as it was.
func Run(t *testing.T, z Zone) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Zone)
	}{
		{"one of two", oneOfTwo},
		{"absent", absent},
		{"wildcards", wildcards},
		{"values", values},
		{"apex", apex},
		{"nothing to do", nothing},
		{"concurrent", concurrent},
		{"cancelled", cancelled},
		{"outside", outside},
		{"set", set},
		{"get", get},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, z) })
	}
}

func txt(name, text string) libdns.TXT {
	return libdns.TXT{Name: name, Text: text, TTL: 2 * time.Minute}
}

func records(recs ...libdns.Record) []libdns.Record { return recs }

// want compares the values at a name, given relative to the zone.
func (z Zone) want(t *testing.T, name string, want ...string) {
	t.Helper()
	got := z.TXT(t, libdns.AbsoluteName(name, z.Name))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", name, got, want)
	}
}

func (z Zone) add(t *testing.T, recs ...libdns.Record) []libdns.Record {
	t.Helper()
	got, err := z.Provider.AppendRecords(t.Context(), z.Name, recs)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if len(got) != len(recs) {
		t.Fatalf("append of %d records returns %v", len(recs), got)
	}
	for i, r := range got {
		have, want := r.RR(), recs[i].RR()
		if have.Name != want.Name || have.Type != want.Type || have.Data != want.Data {
			t.Errorf("append of %+v returns %+v", want, have)
		}
		if _, untyped := r.(libdns.RR); untyped {
			t.Errorf("%+v has no Go type of its own", have)
		}
	}
	return got
}

func (z Zone) remove(t *testing.T, recs ...libdns.Record) []libdns.Record {
	t.Helper()
	got, err := z.Provider.DeleteRecords(t.Context(), z.Name, recs)
	if err != nil {
		t.Fatalf("delete: %v", err)
	}
	return got
}

// oneOfTwo is what the challenges for a name and for its wildcard come to: two
// values at one name, of which one goes first.
func oneOfTwo(t *testing.T, z Zone) {
	const name = "_acme-challenge.two"
	first := z.add(t, txt(name, "first"))
	second := z.add(t, txt(name, "second"))
	z.want(t, name, "first", "second")
	if gone := z.remove(t, first...); z.Sees && (len(gone) != 1 || gone[0].RR().Data != "first") {
		t.Errorf("deleted %v", gone)
	}
	z.want(t, name, "second")
	z.remove(t, second...)
	z.want(t, name)
}

func absent(t *testing.T, z Zone) {
	if gone := z.remove(t, txt("_acme-challenge.absent", "x")); z.Sees && len(gone) > 0 {
		t.Errorf("%v was not there", gone)
	}
	z.add(t, txt("absent", "there"))
	if gone := z.remove(t, txt("absent", "else")); z.Sees && len(gone) > 0 {
		t.Errorf("%v was not there", gone)
	}
	if other := (libdns.TXT{Name: "absent", Text: "there", TTL: time.Hour}); z.Sees {
		if gone := z.remove(t, other); len(gone) > 0 {
			t.Errorf("%v has another TTL", gone)
		}
	}
	z.want(t, "absent", "there")
	z.remove(t, txt("absent", "there"))
	z.want(t, "absent")
}

// wildcards: what is left empty in a record to delete matches everything.
func wildcards(t *testing.T, z Zone) {
	for _, c := range []libdns.RR{{Type: "TXT"}, {Type: "TXT", TTL: 2 * time.Minute}, {}} {
		z.add(t, txt("wild", "one"), txt("wild", "two"))
		z.add(t, txt("wilder", "stays"))
		c.Name = "wild"
		if gone := z.remove(t, c); z.Sees && len(gone) != 2 {
			t.Errorf("%+v deletes %v", c, gone)
		}
		z.want(t, "wild")
		z.want(t, "wilder", "stays")
		z.remove(t, txt("wilder", "stays"))
	}
}

// values: keys that are longer than one string, and what has a meaning in a
// zone file, arrive as they are.
func values(t *testing.T, z Zone) {
	all := []string{
		"v=DKIM1; k=rsa; p=" + strings.Repeat("MIIB/+", 70),
		`quotes " backslashes \000 \" dollar $ORIGIN`,
		"two  spaces ; and a semicolon",
		"-n",
	}
	for _, v := range all {
		z.add(t, txt("values", v))
	}
	z.want(t, "values", slices.Clone(all)...)
	for _, v := range all {
		if gone := z.remove(t, txt("values", v)); z.Sees && len(gone) != 1 {
			t.Errorf("%q: deleted %v", v, gone)
		}
	}
	z.want(t, "values")
}

func apex(t *testing.T, z Zone) {
	z.add(t, txt("@", "v=spf1 -all"))
	z.want(t, "@", "v=spf1 -all")
	z.remove(t, txt("@", "v=spf1 -all"))
	z.want(t, "@")
}

func nothing(t *testing.T, z Zone) {
	z.add(t)
	if gone := z.remove(t); len(gone) > 0 {
		t.Errorf("deleted %v", gone)
	}
}

// concurrent: calls at the same time have all of their effects.
func concurrent(t *testing.T, z Zone) {
	const name, n = "_acme-challenge.many", 8
	var all []string
	var g sync.WaitGroup
	for i := range n {
		value := fmt.Sprintf("value-%d", i)
		all = append(all, value)
		g.Go(func() {
			if _, err := z.Provider.AppendRecords(t.Context(), z.Name, records(txt(name, value))); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	z.want(t, name, slices.Clone(all)...)
	for _, value := range all {
		g.Go(func() {
			if _, err := z.Provider.DeleteRecords(t.Context(), z.Name, records(txt(name, value))); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	z.want(t, name)
}

func cancelled(t *testing.T, z Zone) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := z.Provider.AppendRecords(ctx, z.Name, records(txt("late", "x"))); err == nil || len(got) > 0 {
		t.Errorf("append: %v, %v", got, err)
	}
	z.want(t, "late")
	if got, err := z.Provider.DeleteRecords(ctx, z.Name, records(txt("late", "x"))); err == nil || len(got) > 0 {
		t.Errorf("delete: %v, %v", got, err)
	}
}

// outside: a name of another zone is refused before anybody is asked.
func outside(t *testing.T, z Zone) {
	other := records(txt("www.elsewhere.example.", "x"))
	if got, err := z.Provider.AppendRecords(t.Context(), z.Name, other); err == nil || !strings.Contains(err.Error(), "not in the zone") {
		t.Errorf("append: %v, %v", got, err)
	}
	if got, err := z.Provider.DeleteRecords(t.Context(), z.Name, other); err == nil || !strings.Contains(err.Error(), "not in the zone") {
		t.Errorf("delete: %v, %v", got, err)
	}
}

// set: the records of a name and type become those that are given, the others
// stay as they are.
func set(t *testing.T, z Zone) {
	setter, ok := z.Provider.(libdns.RecordSetter)
	if !ok {
		return
	}
	z.add(t, txt("set", "old"), txt("set", "kept"), txt("beside", "stays"))
	for range 2 { // the second time there is nothing to change
		got, err := setter.SetRecords(t.Context(), z.Name, records(txt("set", "kept"), txt("set", "new"), txt("set2", "fresh")))
		if err != nil || len(got) != 3 {
			t.Fatalf("%v, %v", got, err)
		}
		z.want(t, "set", "kept", "new")
		z.want(t, "set2", "fresh")
		z.want(t, "beside", "stays")
	}
	z.remove(t, libdns.RR{Name: "set"}, libdns.RR{Name: "set2"}, libdns.RR{Name: "beside"})
	z.want(t, "set")
}

// get: all of the zone is there, with its names relative to the zone.
func get(t *testing.T, z Zone) {
	getter, ok := z.Provider.(libdns.RecordGetter)
	if !ok {
		return
	}
	const n = 150
	var want []libdns.Record
	for i := range n {
		want = append(want, txt(fmt.Sprintf("get-%03d", i), "x"))
	}
	for part := range slices.Chunk(want, 50) {
		z.add(t, part...)
		defer z.remove(t, part...)
	}
	all, err := getter.GetRecords(t.Context(), z.Name)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range all {
		if rr, ok := r.(libdns.TXT); ok && strings.HasPrefix(rr.Name, "get-") && rr.Text == "x" && rr.TTL == 2*time.Minute {
			found++
		}
	}
	if found != n {
		t.Errorf("%d of %d records found among %d", found, n, len(all))
	}
}
