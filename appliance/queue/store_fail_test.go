package queue

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSettleFails_R3: a message that is delivered and cannot be marked is not
// sent again, however long it takes, and its lease running out changes nothing.
func TestSettleFails_R3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.store.set(func(s *fakeStore) { s.settleErr = appliance.ErrFull })
		h.send("ann@example.com", "bob@example.org")
		after(5 * time.Hour)
		if n := len(h.relay.asked("example.org")); n != 1 {
			t.Errorf("sent %d times", n)
		}
		if n := h.store.count(&h.store.settles); n > 5*60+20 {
			t.Errorf("%d attempts to settle in 5 h", n)
		}
		if n := h.logs.FilterMessageSnippet("cannot be stored").Len(); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if got := h.told(); len(got) != 0 {
			t.Errorf("told before it was durable: %+v", got)
		}
		h.store.set(func(s *fakeStore) { s.settleErr = nil })
		after(2 * time.Minute)
		if got := h.told(); len(got) != 1 || got[0].Kind != appliance.EventDelivered {
			t.Errorf("events %+v", got)
		}
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestSettleFailsBounded: no more outcomes wait than there are slots.
func TestSettleFailsBounded_R3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) {
			in.Settings.Concurrency, in.Settings.DestinationConcurrency = 10, 10
		}).start()
		h.store.set(func(s *fakeStore) { s.settleErr = appliance.ErrFull })
		for range 200 {
			h.send("ann@example.com", "bob@example.org")
		}
		after(time.Hour)
		if n := len(h.relay.asked("example.org")); n > 10 {
			t.Errorf("%d messages sent that cannot be marked", n)
		}
		h.store.set(func(s *fakeStore) { s.settleErr = nil })
		after(10 * time.Minute)
		if n := len(h.relay.asked("example.org")); n != 200 {
			t.Errorf("%d messages sent, want each of 200 once", n)
		}
	})
}

// TestSlowStore_R5: a next hop does not wait for our disk. Its slots are taken
// for as long as it is spoken to; but what is not settled has a limit too.
func TestSlowStore_R5(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) {
			in.Settings.Concurrency, in.Settings.DestinationConcurrency = 100, 2
		})
		h.store.settleTime = 10 * time.Second
		h.start()
		for range 6 {
			h.send("ann@example.com", "bob@example.org")
		}
		after(9 * time.Second)
		if n := len(h.relay.asked("example.org")); n != 4 {
			t.Errorf("%d sent in the time of one settlement: want two that are settled, and two more", n)
		}
		after(time.Minute)
		if n := len(h.relay.asked("example.org")); n != 6 {
			t.Errorf("%d sent", n)
		}
	})
}

// TestLeaseFails: no busy loop, one line in the log, and recovery.
func TestLeaseFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.store.set(func(s *fakeStore) { s.leaseErr = errStore })
		h.send("ann@example.com", "bob@example.org")
		h.send("ann@example.com", "bob@example.net")
		after(time.Hour)
		if n := h.store.count(&h.store.leases); n < 50 || n > 100 {
			t.Errorf("asked the store %d times in an hour", n)
		}
		if n := h.logs.FilterMessageSnippet("gives no work").Len(); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		h.store.set(func(s *fakeStore) { s.leaseErr = nil })
		after(time.Minute)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestScanFails: Start says so; later scans are tried again.
func TestScanFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.store.scanErr = errStore
		if err := h.engine.Start(t.Context()); err == nil {
			t.Fatal("started")
		}
		h.store.scanErr = nil
		h.start()
		h.store.set(func(s *fakeStore) { s.scanErr = errStore })
		after(time.Hour)
		if n := h.logs.FilterMessageSnippet("does not list").Len(); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if n := h.store.count(&h.store.scans); n > 90 {
			t.Errorf("%d scans in an hour", n)
		}
	})
}

// TestStartFindsWork: what was in the store before is delivered, at its time,
// although the store names only the first of each destination.
func TestStartFindsWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		start := h.now()
		for _, wait := range []time.Duration{time.Minute, 10 * time.Minute, 10*time.Minute + 30*time.Second, 3 * time.Hour} {
			m := h.message("ann@example.com", "bob@example.org")
			m.Deliveries[0].Due = start.Add(wait)
			if err := h.store.Commit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		h.start()
		after(4 * time.Hour)
		var got []time.Duration
		for _, c := range h.relay.asked("example.org") {
			got = append(got, c.at.Sub(start))
		}
		want := []time.Duration{time.Minute, 10 * time.Minute, 10*time.Minute + 30*time.Second, 3 * time.Hour}
		if len(got) != len(want) {
			t.Fatalf("attempts at %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("attempts at %v, want %v", got, want)
			}
		}
	})
}

// TestForeignWork: what another node puts into a shared store is found.
func TestForeignWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		synctest.Wait()
		if err := h.store.Commit(t.Context(), h.message("ann@example.com", "bob@example.org")); err != nil {
			t.Fatal(err)
		}
		after(scanPeriod)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestForgets: memory does not grow with destinations that are done.
func TestForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		for i := range 500 {
			h.send("ann@example.com", "bob@"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example")
		}
		after(2 * scanPeriod)
		h.engine.mu.Lock()
		defer h.engine.mu.Unlock()
		if d, a, w := len(h.engine.dests), len(h.engine.agenda.list), len(h.engine.working); d+a+w != 0 {
			t.Errorf("%d destinations, %d in the agenda, %d leases remembered", d, a, w)
		}
	})
}

// TestLeasedTooSoon: a delivery that is due again before the engine knows that
// its outcome is stored, because the store is slow to say so, is not left to
// nobody until its lease runs out.
func TestLeasedTooSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		retry, err := appliance.ParseSchedule("1s*")
		if err != nil {
			t.Fatal(err)
		}
		h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.Retry = retry })
		h.store.answerTime = 3 * time.Second
		var tried atomic.Int32
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			if tried.Add(1) <= 40 {
				return says(451, 7, 1, "greylisted")(ctx, env)
			}
			return says(250, 0, 0, "ok")(ctx, env)
		})
		h.start()
		for range 20 {
			h.send("", "bob@example.org")
		}
		after(10 * time.Minute)
		if n := len(h.told(appliance.EventDelivered)); n != 20 {
			t.Errorf("%d of 20 delivered, %d attempts", n, tried.Load())
		}
	})
}
