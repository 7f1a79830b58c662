package dkim

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestCrash: the power is cut after each thing that a rotation stores. Whatever
// has been done by then, the server that starts next signs with a key that the
// store has, and the rotation ends with one new key and nothing left of the
// first.
func TestCrash(t *testing.T) {
	crashed := 0
	for n := 1; ; n++ {
		done := false
		synctest.Test(t, func(t *testing.T) { done = crashAfter(t, n) })
		if done || t.Failed() {
			break
		}
		crashed++
	}
	if crashed < 20 {
		t.Errorf("only %d crashes", crashed)
	}
	t.Logf("%d crashes", crashed)
}

// A cut is a store that stops working after so many changes.
type cut struct {
	after, changes int
	dead, repaired bool
}

var errCut = errors.New("the power is cut")

func (c *cut) fail(op string) error {
	if c.dead = c.dead || c.changes >= c.after && !c.repaired; c.dead {
		return errCut
	}
	if op == "swap" || op == "put" || op == "delete" {
		c.changes++
	}
	return nil
}

// crashAfter cuts the power after the n-th change of the store, and goes on
// with a new server. It is true if the rotation was over before.
func crashAfter(t *testing.T, n int) (over bool) {
	w := newWorld(t)
	c := &cut{after: n}
	w.fault = c.fail
	short := func(d *DKIM) { d.Grace = leastGrace; w.publishes(d) }
	d, err := w.try(short)
	for range 40 { // hours: one until the switch, and a day of grace
		if c.dead {
			check(t, d.Stop(t.Context()))
			w.set(func() { c.dead, c.repaired = false, true })
			d, err = w.try(short)
		}
		if err == nil && states(d) == "current "+first {
			err = d.RotateKeys(t.Context(), "example.com", appliance.RotateWhenShown)
		}
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		w.signsWithStored(d)
		time.Sleep(time.Hour)
		synctest.Wait()
	}
	over = !c.dead && !c.repaired
	w.set(func() { c.dead, c.repaired = false, true })
	w.want(d, "current "+first+"-20000101")
	if _, err := w.values.Get(t.Context(), "example.com/"+first+".private"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("crash %d: the old private key: %v", n, err)
	}
	return over
}

// signsWithStored holds that the key that signs is in the store, and is the
// same as there.
func (w *world) signsWithStored(d *DKIM) {
	w.t.Helper()
	for _, k := range d.ring.Load().keys["example.com"] {
		stored, err := d.get(w.t.Context(), "example.com", k.selector)
		if err == nil && stored.Record("d", "s") != k.key.Record("d", "s") || errors.Is(err, fs.ErrNotExist) {
			w.t.Errorf("signs with %s, which is not what the store has: %v", k.selector, err)
		}
	}
}
