package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The tests of this file hold defects that mail servers had: docs/promises.md
// has the list.

// TestDefect1_SlotsComeBack: a domain that rejects MAIL FROM many times more
// often than it has slots still has all of its slots.
func TestDefect1_SlotsComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.DestinationConcurrency = 10 }).start()
		h.relay.answer("example.org", says(550, 1, 8, "MAIL rejected"))
		for range 200 {
			h.send("", "bob@example.org")
			after(time.Second)
		}
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(time.Minute)
			return ok250(ctx, env)
		})
		for range 40 {
			h.send("", "bob@example.org")
		}
		after(time.Hour)
		if n := len(h.told(appliance.EventDelivered)); n != 40 || h.relay.mostOf("example.org") != 10 {
			t.Errorf("%d of 40 delivered, %d at a time; limit 10", n, h.relay.mostOf("example.org"))
		}
	})
}

// TestDefect2_OneLimitAlone: each limit works without the others, and so does
// none.
func TestDefect2_OneLimitAlone(t *testing.T) {
	rate := appliance.Rate{Count: 10, Per: time.Minute}
	for name, limits := range map[string]appliance.SiteLimits{
		"none": {}, "connections": {Connections: 3}, "rate": {Rate: rate}, "both": {Connections: 3, Rate: rate},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSited(t, nil)
				s.limits["big"] = limits
				s.start()
				for _, d := range domains(5, "big") {
					s.serve(d, ok250)
					for range 10 {
						s.send("", "bob@"+d)
					}
				}
				after(10 * time.Minute)
				if n := len(s.told(appliance.EventDelivered)); n != 50 {
					t.Errorf("%d of 50 delivered", n)
				}
				if n := s.busiest("big"); limits.Connections > 0 && n > limits.Connections {
					t.Errorf("%d at a time", n)
				}
				if limits.Rate.Count > 0 {
					checkRate(t, s.begun("big"), rate.Count, rate.Per)
				}
			})
		})
	}
}

// TestDefect3_PanicForever: a message whose delivery panics every time stays in
// the queue for its time, and its sender is told of the end.
func TestDefect3_PanicForever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", func(context.Context, appliance.Envelope) []appliance.Result { panic("a bug") })
		h.send("ann@example.com", "bob@example.org")
		after(4 * 24 * time.Hour)
		if n := len(h.store.left()); n != 1 {
			t.Errorf("%d deliveries in the queue after four days", n)
		}
		after(2 * 24 * time.Hour)
		if n := len(h.told(appliance.EventBounced)); n != 1 || len(h.store.left()) != 0 {
			t.Errorf("after six days %d have bounced, %d are left", n, len(h.store.left()))
		}
		checkReports(t, h, "delayed 4.3.0", "failed 4.4.7")
	})
}

// TestDefect4_WaitsAreExact: a wait is what the file says, to the second; no
// arithmetic makes whole multiples of it.
func TestDefect4_WaitsAreExact(t *testing.T) {
	waits := []time.Duration{90 * time.Second, 100 * time.Second, 125 * time.Second, 156250 * time.Millisecond, 195300 * time.Millisecond}
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) {
			if err := in.Settings.Retry.UnmarshalText([]byte("1m30s, 100s, 2m5s, 156250ms, 195300ms*")); err != nil {
				t.Fatal(err)
			}
		}).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		h.send("ann@example.com", "bob@example.org")
		after(time.Hour)
		var got []time.Duration
		attempts := h.relay.asked("example.org")
		for i := range waits {
			got = append(got, attempts[i+1].at.Sub(attempts[i].at))
		}
		if !slices.Equal(got, waits) {
			t.Errorf("waits %v, want %v", got, waits)
		}
	})
}

// TestDefect5_AcceptedIsScheduled: what is committed while the configuration
// changes, by whom it knew before, is attempted and tried again without a
// restart.
func TestDefect5_AcceptedIsScheduled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		for i := range 50 {
			domain := fmt.Sprintf("d%d.example", i)
			h.relay.answer(domain, says(451, 7, 1, "greylisted"))
			before := h.message("ann@example.com", "bob@"+domain)
			h.engine.Configure(appliance.DefaultSettings().Queue)
			h.commit(before)
			synctest.Wait()
			h.engine.Configure(appliance.DefaultSettings().Queue)
			h.relay.answer(domain, nil)
		}
		after(2 * time.Minute)
		if n := len(h.told(appliance.EventDelivered)); n != 50 {
			t.Errorf("%d of 50 delivered", n)
		}
	})
}
