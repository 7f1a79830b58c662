package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// stopAfter stops the engine with a budget.
func (h *house) stopAfter(budget time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	return h.engine.Stop(ctx)
}

// TestStopFinishes_R13: attempts that end within the budget are settled.
func TestStopFinishes_R13(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(5 * time.Second)
			return says(250, 0, 0, "ok")(ctx, env)
		})
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		start := time.Now()
		if err := h.stopAfter(10 * time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if n := len(h.store.left()); n != 0 || len(h.told(appliance.EventDelivered)) != 1 {
			t.Errorf("%d deliveries left, events %+v", n, h.told())
		}
	})
}

// TestStopPutsBack_R13: attempts that do not are cut off, put back, and count
// as not made. What was delivered before the cut stays delivered.
func TestStopPutsBack_R13(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(time.Hour))
		m := h.message("ann@example.com", "a@example.net", "b@example.org")
		m.Deliveries[0].Recipients = append(m.Deliveries[0].Recipients, m.Deliveries[1].Recipients...)
		m.Deliveries = m.Deliveries[:1]
		h.commit(m)
		for range 10 {
			h.send("ann@example.com", "bob@example.org")
		}
		synctest.Wait()
		start := time.Now()
		if err := h.stopAfter(10 * time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("Stop took %v", took)
		}
		left := h.store.left()
		if len(left) != 11 {
			t.Fatalf("%d deliveries left, want 11", len(left))
		}
		for _, d := range left {
			if d.Attempts != 0 || !d.Due.Equal(m.Received) {
				t.Errorf("put back as %+v", d)
			}
		}
		if r := left[0].Recipients; r[0].Status != appliance.Delivered || r[1].Status != appliance.Waiting {
			t.Errorf("recipients %+v", r)
		}
		for k, r := range h.store.all {
			if !r.leased.IsZero() {
				t.Errorf("%s is still leased", k.ID)
			}
		}
		if got := kinds(h.told()); len(got) != 1 || got[0] != appliance.EventDelivered {
			t.Errorf("events %v", got)
		}
	})
}

// TestStopDoesNotExpire: a message that is too old, and whose last attempt is
// cut off, has not been given up.
func TestStopDoesNotExpire_R11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(time.Hour))
		h.commit(h.with("ann@example.com", func(m *appliance.Accepted) {
			m.Received = m.Received.Add(-6 * 24 * time.Hour)
		}, "bob@example.org"))
		synctest.Wait()
		if err := h.stopAfter(time.Second); err != nil {
			t.Error(err)
		}
		if n := len(h.store.left()); n != 1 || len(h.told(appliance.EventBounced)) != 0 {
			t.Errorf("%d deliveries left, events %+v", n, h.told())
		}
		checkReports(t, h)
	})
}

// TestLeaseIsLongEnough: what was leased some time before its turn gets a new
// lease rather than an attempt that is too short.
func TestLeaseIsLongEnough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 1 }).start()
		for range 20 { // so that many are leased at once
			h.send("", "bob@example.org")
		}
		synctest.Wait()
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			select {
			case <-time.After(25 * time.Minute):
				return says(250, 0, 0, "ok")(ctx, env)
			case <-ctx.Done():
				return silence(0)(ctx, env)
			}
		})
		for range 20 {
			h.send("", "bob@example.org")
		}
		after(24 * time.Hour)
		if got := h.told(appliance.EventDeferred); len(got) != 0 {
			t.Errorf("%d attempts were cut short", len(got))
		}
		if got := h.told(appliance.EventDelivered); len(got) != 40 {
			t.Errorf("%d delivered", len(got))
		}
	})
}

// TestStopWithBrokenStore: Stop ends although nothing can be settled, and the
// log says what is lost.
func TestStopWithBrokenStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.store.set(func(s *fakeStore) { s.settleErr = errStore })
		h.send("ann@example.com", "bob@example.org")
		after(time.Minute)
		if err := h.stopAfter(10 * time.Second); err != nil {
			t.Error(err)
		}
		if n := h.logs.FilterMessageSnippet("is lost").Len(); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if got := h.told(); len(got) != 0 {
			t.Errorf("events %+v", got)
		}
	})
}

// TestStopWithHangingRelay: a relay that ignores its context is named as an
// error and does not keep the server from ending.
func TestStopWithHangingRelay_R15(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		if err := h.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(time.Hour)
			return says(250, 0, 0, "ok")(ctx, env)
		})
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		start := time.Now()
		if err := h.stopAfter(10 * time.Second); err == nil {
			t.Error("no error")
		}
		if took := time.Since(start); took != 10*time.Second+stopGrace {
			t.Errorf("Stop took %v", took)
		}
		after(2 * time.Hour) // the late result is taken all the same
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestStopWithoutStart and twice.
func TestStopWithoutStart(t *testing.T) {
	h := newHouse(t, nil)
	if err := h.engine.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNothingBeginsAfterStop: mail that is accepted while the server stops
// stays in the store.
func TestNothingBeginsAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		if err := h.stopAfter(time.Second); err != nil {
			t.Error(err)
		}
		h.send("ann@example.com", "bob@example.org")
		after(time.Hour)
		if n := len(h.store.left()); n != 1 {
			t.Errorf("%d deliveries left, want 1", n)
		}
	})
}

// TestAttemptIsBounded: a relay gets no more time than the lease.
func TestAttemptIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(24*time.Hour))
		start := time.Now()
		h.send("ann@example.com", "bob@example.org")
		after(2 * time.Hour)
		events := h.told(appliance.EventDeferred)
		if len(events) == 0 || events[0].Time.Sub(start) != leaseTime-settleMargin {
			t.Errorf("events %+v", events)
		}
	})
}

// TestReloadCutsOff: what fails because a reload has stopped its relay is tried
// again with the new one, at once, and it was not an attempt.
func TestReloadCutsOff_R12(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(10*time.Second))
		h.send("ann@example.com", "bob@example.org")
		after(5 * time.Second)
		h.relay.answer("example.org", nil)
		h.mu.Lock()
		h.pipes["out"] = h.pipeline("out")
		h.mu.Unlock()
		after(5 * time.Second)
		if got := h.told(); len(got) != 1 || got[0].Kind != appliance.EventDelivered || got[0].Attempt != 1 {
			t.Errorf("events %+v", got)
		}
	})
}

// TestConfigure: a reload makes the engine forget what it knows of next hops,
// and takes the new limits.
func TestConfigure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", silence(time.Second))
		h.send("", "bob@example.org")
		after(2 * time.Second)
		h.relay.answer("example.org", nil)
		h.send("", "bob@example.org")
		after(time.Second)
		if got := h.told(appliance.EventDelivered); len(got) != 0 {
			t.Fatalf("events %+v: the second message should share the failure of the first", got)
		}
		s := appliance.DefaultSettings().Queue
		s.Concurrency = 1
		h.engine.Configure(s)
		h.send("", "bob@example.org")
		synctest.Wait()
		if got := h.told(appliance.EventDelivered); len(got) != 1 {
			t.Errorf("events %+v", got)
		}
	})
}
