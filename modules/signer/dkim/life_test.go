package dkim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestDamagedLife: states that cannot be read stop the start, and no key is
// made in place of any.
func TestDamagedLife(t *testing.T) {
	key := func(selector, state string) string {
		return fmt.Sprintf(`{"selector":%q,"slot":"ed25519","series":"waxwing-ed25519","algorithm":"ed25519","state":%q,"since":"2026-01-01T00:00:00Z"}`, selector, state)
	}
	for _, c := range []struct{ text, want string }{
		{``, "unexpected end of JSON"},
		{`{}`, "its version is 0"},
		{`{"version":2,"keys":[]}`, "its version is 2, and this program knows 1"},
		{`{"version":1,"keys":[null]}`, "no proper selector"},
		{`{"version":1,"keys":[` + key("../x", "next") + `]}`, "no proper selector"},
		{`{"version":1,"keys":[` + key("x", "asleep") + `]}`, `the unknown state "asleep"`},
		{`{"version":1,"keys":[` + key("x", "next") + `,` + key("X", "old") + `]}`, "there twice"},
		{`{"version":1,"keys":[` + key("x", "current") + `,` + key("y", "current") + `]}`, "two ed25519 keys are current"},
		{`{"version":1,"keys":[` + key("waxwing-ed25519", "current") + `]}`, "restore it from a backup"}, // and its key is not there
		{`{"version":1,"keys":[` + key("waxwing-ed25519", "next") + `]}`, "restore it from a backup"},
		{`{"version":1,"keys":[` + strings.Repeat(" ", maxLife) + `]}`, "is too large"},
	} {
		w := newWorld(t)
		check(t, w.values.Put(t.Context(), "example.com/keys.json", []byte(c.text)))
		_, err := w.try()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "from a backup") {
			t.Errorf("%.80s: %v, want %q", c.text, err, c.want)
		}
		if list, _ := w.values.List(t.Context(), ""); len(list) != 1 {
			t.Errorf("stored: %v", list)
		}
	}
}

// TestDamagedMeanwhile: what cannot be read while the server runs changes
// nothing of what it signs with.
func TestDamagedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		check(t, w.values.Put(t.Context(), "example.com/keys.json", []byte("{")))
		time.Sleep(time.Hour)
		if got := w.selectors(d); got != first || w.said("cannot look after the DKIM keys") == 0 {
			t.Errorf("signed by %q", got)
		}
		if err := d.RotateKeys(t.Context(), "example.com", appliance.RotateNow); err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("rotate: %v", err)
		}
		check(t, w.values.Delete(t.Context(), "example.com/keys.json"))
		time.Sleep(time.Hour)
		if list, err := w.values.List(t.Context(), ""); err != nil || len(list) != 1 {
			t.Errorf("stored: %v, %v", list, err)
		}
	})
}

// TestLostLife: keys that were rotated, without their states, are no reason to
// begin with a new one; which of them signs is not known.
func TestLostLife(t *testing.T) {
	for _, c := range []struct {
		stored string
		lost   bool
	}{
		{"waxwing-ed25519-20260101", true},
		{"waxwing-ed25519-20260101-2", true},
		{"waxwing-ed25519", false},
		{"waxwing-ed25519-2", false},
		{"waxwing-ed25519-2026", false},
		{"mail-20260101", false}, // put there by somebody
	} {
		w := newWorld(t)
		check(t, w.values.Put(t.Context(), "example.com/"+c.stored+".private", edKey.PEM()))
		_, err := w.try()
		if lost := err != nil && strings.Contains(err.Error(), "are missing beside keys that have been rotated"); lost != c.lost || !lost && err != nil {
			t.Errorf("%s: %v", c.stored, err)
		}
	}
}

// TestFaults: whatever operation of the store fails, in whatever step of a
// rotation, the signer goes on signing with a key that the store has, and the
// rotation ends when the store works again.
func TestFaults(t *testing.T) {
	for _, op := range []string{"get", "swap", "delete", "lock"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			d := w.start(rotating, w.publishes)
			down := errors.New("input/output error")
			n := 0
			fail := func(o string) error {
				if n++; o == op && n%3 != 0 {
					return down
				}
				return nil
			}
			for range 30 {
				w.set(func() { w.fault = fail })
				time.Sleep(12 * time.Hour)
				w.set(func() { w.fault = nil })
				signs := w.selectors(d)
				if _, err := w.values.Get(t.Context(), "example.com/"+signs+".private"); err != nil {
					t.Fatalf("%s: signs with %s: %v", op, signs, err)
				}
				check(t, d.Stop(t.Context()))
				d = w.start(rotating, w.publishes)
			}
			time.Sleep(8 * day)
			if got := states(d); strings.Contains(got, first+",") || strings.HasSuffix(got, first) {
				t.Errorf("%s: %s", op, got)
			}
		})
	}
}

// TestAskedFor: what a change of the configuration does to the keys.
func TestAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		restart := func(d *DKIM, change func(*DKIM)) *DKIM {
			if d != nil {
				check(t, d.Stop(t.Context()))
			}
			d = w.start(change, w.publishes)
			time.Sleep(30 * time.Minute)
			return d
		}
		d := restart(nil, func(d *DKIM) { d.Selector = "a" })
		w.want(d, "current a-ed25519")
		d = restart(d, func(d *DKIM) { d.Selector = "b" })
		w.want(d, "current a-ed25519, next b-ed25519") // and not at once
		d = restart(d, func(d *DKIM) { d.Selector = "a" })
		w.want(d, "current a-ed25519") // the other one is given up
		d = restart(d, func(d *DKIM) { d.Selector = "b" })
		w.want(d, "current a-ed25519, next b-ed25519-20000101") // no selector comes again
		time.Sleep(2 * time.Hour)
		w.want(d, "current b-ed25519-20000101, old a-ed25519")
		d = restart(d, func(d *DKIM) { d.Selector, d.Algorithms = "b", []string{RSA2048} })
		w.want(d, "current b-ed25519-20000101, next b, old a-ed25519")
		if got := w.selectors(d); got != "b-ed25519-20000101" {
			t.Errorf("signed by %q", got)
		}
		time.Sleep(2 * time.Hour)
		w.want(d, "current b, old a-ed25519, old b-ed25519-20000101")
		d = restart(d, func(d *DKIM) { d.Selector, d.Algorithms = "b", []string{Ed25519, RSA2048} })
		time.Sleep(2 * time.Hour)
		if got := w.selectors(d); got != "b b-ed25519-20000101-2" {
			t.Errorf("signed by %q", got)
		}
	})
}

// TestMigration: keys of a version that knew no states are current, since they
// were stored, and have the selectors that they had.
func TestMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		check(t, w.values.Put(t.Context(), "example.com/mail.private", edKey.PEM()))
		d := w.start(func(d *DKIM) { d.Selector, d.Algorithms = "mail", []string{RSA2048} }) // it was put there by hand
		w.want(d, "current mail")
		if got := d.DNSRecords()[0]; got.Value != edKey.Record("example.com", "mail").Value || got.Note != "the DKIM key that signs" {
			t.Errorf("%+v", got)
		}
		if w.said("not of the configured algorithm") != 1 {
			t.Error("not said that it is another algorithm")
		}
	})
}

// TestSelector: names are new, and fit.
func TestSelector(t *testing.T) {
	now := time.Date(2027, 5, 24, 23, 0, 0, 0, time.FixedZone("", -7*3600))
	l := &life{Keys: []*lifeKey{{Selector: "b"}, {Selector: "C"}, {Selector: "c-20270525"}, {Selector: "c-20270525-2"}}}
	for _, c := range []struct {
		selector string
		exact    bool
		want     string
	}{
		{"a", true, "a"},
		{"a", false, "a-20270525"},
		{"b", true, "b-20270525"},
		{"c", true, "c-20270525-3"},
		{"s.b", false, "s.b-20270525"},
		{strings.Repeat("a", 55), false, ""},
	} {
		got, err := l.selector(wanted{domain: "example.com", selector: c.selector}, c.exact, now)
		if err == nil && got != c.want || err != nil && c.want != "" {
			t.Errorf("%s: %q, %v, want %q", c.selector, got, err, c.want)
		}
	}
}

// TestDue: how often is looked, and that a clock that is set cannot stop it.
func TestDue(t *testing.T) {
	now := time.Date(2027, 5, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		key  lifeKey
		want time.Duration // after the last look
	}{
		{"new", lifeKey{State: appliance.KeyNext, Since: now}, 5 * time.Minute},
		{"two hours old", lifeKey{State: appliance.KeyNext, Since: now.Add(-2 * time.Hour)}, 12 * time.Minute},
		{"a week old", lifeKey{State: appliance.KeyNext, Since: now.Add(-7 * day)}, time.Hour},
		{"shown", lifeKey{State: appliance.KeyNext, Since: now.Add(-7 * day), Looks: 1}, 30 * time.Minute},
		{"current", lifeKey{State: appliance.KeyCurrent, Since: now}, time.Hour},
		{"old", lifeKey{State: appliance.KeyOld, Since: now}, time.Hour},
		{"retired for a week", lifeKey{State: appliance.KeyRetired, Since: now.Add(-7 * day)}, 6 * time.Hour},
	} {
		if !c.key.due(now) {
			t.Errorf("%s: never looked at, and not due", c.name)
		}
		c.key.Checked = now
		at := now
		for !c.key.due(at) {
			at = at.Add(time.Second)
		}
		if d := at.Sub(now); d < c.want || d > c.want*10/9+time.Second {
			t.Errorf("%s: due after %v, want %v", c.name, d, c.want)
		}
		if !c.key.due(now.Add(-6 * day)) {
			t.Errorf("%s: not due with a clock that was set back", c.name)
		}
	}
	gone := lifeKey{State: appliance.KeyRetired, Gone: true}
	if gone.due(now) {
		t.Error("what is gone is due")
	}
}

// TestPrune: the life of a domain does not grow without end.
func TestPrune(t *testing.T) {
	l := &life{Version: lifeVersion}
	for i := range 2 * maxRetired {
		l.Keys = append(l.Keys, &lifeKey{Selector: fmt.Sprint("s", i), Slot: "rsa", State: appliance.KeyRetired, Gone: i > 0})
	}
	l.prune()
	if len(l.Keys) != maxRetired+1 || l.Keys[0].Selector != "s0" || l.Keys[maxRetired].Selector != fmt.Sprint("s", 2*maxRetired-1) {
		t.Errorf("%d keys are left", len(l.Keys))
	}
}
