package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestClockForward_R11: six days forward expire nothing by themselves: each
// message gets one more try.
func TestClockForward_R11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		h.send("ann@example.com", "bob@example.org")
		after(30 * time.Second)
		h.jump(6 * 24 * time.Hour)
		h.relay.answer("example.org", nil)
		after(maxSleep)
		if got := h.told(appliance.EventDelivered); len(got) != 1 || got[0].Attempt != 2 {
			t.Errorf("events %+v", h.told())
		}
	})
}

// TestClockForwardExpires: the one more try fails too.
func TestClockForwardExpires_R11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(time.Second))
		h.send("ann@example.com", "bob@example.org")
		after(30 * time.Second)
		h.jump(6 * 24 * time.Hour)
		after(maxSleep + time.Minute)
		if n := len(h.relay.asked("example.org")); n != 2 {
			t.Errorf("%d attempts; the failure of before the jump must not count", n)
		}
		checkReports(t, h, "failed 4.4.7")
	})
}

// TestClockBack_R11: mail does not wait until the clock has caught up.
func TestClockBack_R11(t *testing.T) {
	for _, back := range []time.Duration{time.Hour, 6 * 24 * time.Hour} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
			h.relay.answer("example.net", silence(time.Second))
			h.send("ann@example.com", "bob@example.org")
			h.send("ann@example.com", "bob@example.net")
			after(2 * time.Hour)
			h.jump(-back)
			h.relay.answer("example.org", nil)
			h.relay.answer("example.net", nil)
			after(maxSleep + time.Second)
			if n := len(h.store.left()); n != 0 {
				t.Errorf("%v back: %d deliveries still wait", back, n)
			}
			h.send("ann@example.com", "bob@example.org")
			synctest.Wait()
			if n := len(h.store.left()); n != 0 {
				t.Errorf("%v back: new mail waits", back)
			}
		})
	}
}

// TestClockBackWhileDown_R11: the same between two runs.
func TestClockBackWhileDown_R11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		m := h.message("ann@example.com", "bob@example.org")
		m.Deliveries[0].Due = h.now().Add(6 * 24 * time.Hour)
		if err := h.store.Commit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		h.start()
		synctest.Wait()
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestClockSlews: small corrections are no reason to hurry.
func TestClockSlews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		h.send("ann@example.com", "bob@example.org")
		for range 20 {
			after(time.Minute)
			h.jump(-time.Second)
		}
		if len(h.store.changes) != 0 {
			t.Errorf("changes %v", h.store.changes)
		}
	})
}
