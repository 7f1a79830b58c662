package queue

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// bubble runs f where time stands still until nobody has anything to do.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// after sleeps, and waits until the engine has done all that is due.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func kinds(events []appliance.Event) []appliance.EventKind {
	var all []appliance.EventKind
	for _, e := range events {
		all = append(all, e.Kind)
	}
	return all
}

func TestDeliveredAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		id := h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		if n := len(h.store.left()); n != 0 {
			t.Fatalf("%d deliveries left", n)
		}
		want := []appliance.Event{{
			Kind: appliance.EventDelivered, Time: h.now(), ID: id, Session: "s1", Pipeline: "out", Listener: "public",
			Relay: "mx", Destination: "mx/example.org", User: "app", Client: "192.0.2.7", From: mailbox("ann@example.com"),
			To: mailbox("bob@example.org"), Recipients: 1, Size: 24, Attempt: 1,
			Reply: appliance.NewReply(250, 0, 0, "ok"),
			Host:  "mx.example.org", Peer: "192.0.2.25:25", TLS: "TLS 1.3",
		}}
		if diff := cmp.Diff(want, h.told()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestRetryTimes follows one message for its whole life: the default schedule
// and its end after five days, in one report.
func TestRetryTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		start := h.now()
		h.send("ann@example.com", "bob@example.org")
		after(7 * 24 * time.Hour)

		var got []time.Duration
		for _, c := range h.relay.asked("example.org") {
			got = append(got, c.at.Sub(start))
		}
		want := []time.Duration{0}
		at := time.Duration(0)
		for n := 1; at <= 5*24*time.Hour; n++ {
			at += appliance.DefaultSettings().Queue.Retry.Wait(n, nil) // as the engine's Rand is zeros
			want = append(want, at)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if got, want := want[:5], []time.Duration{0, time.Minute, 6 * time.Minute, 21 * time.Minute, 81 * time.Minute}; !slices.Equal(got, want) {
			t.Errorf("first attempts at %v, want %v", got, want)
		}
		events := h.told(appliance.EventDeferred, appliance.EventBounced)
		last := events[len(events)-1]
		if last.Kind != appliance.EventBounced || last.Age < 5*24*time.Hour || last.Attempt != len(want) {
			t.Errorf("last event %+v", last)
		}
		if first := events[0]; first.Next.Sub(start) != time.Minute || first.Attempt != 1 {
			t.Errorf("first event %+v", first)
		}
		// A delay notice after four hours and a failure report at the end.
		checkReports(t, h, "delayed 4.7.1", "failed 4.4.7")
	})
}

// TestSecondTime: the times of all deliveries of a destination are kept, not
// only of the first.
func TestSecondTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) {
			if err := in.Settings.Retry.UnmarshalText([]byte("10s")); err != nil {
				t.Fatal(err)
			}
		}).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		start := h.now()
		for range 3 {
			h.send("ann@example.com", "bob@example.org")
			after(3 * time.Second)
		}
		after(10 * time.Second)
		var got []time.Duration
		for _, c := range h.relay.asked("example.org") {
			got = append(got, c.at.Sub(start))
		}
		want := []time.Duration{0, 3 * time.Second, 6 * time.Second, 10 * time.Second, 13 * time.Second, 16 * time.Second}
		if !slices.Equal(got, want) {
			t.Errorf("attempts at %v, want %v", got, want)
		}
	})
}

// TestJitter keeps retries from coming together (N18).
func TestJitter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) { in.Rand = nil }).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		start := h.now()
		for range 20 {
			h.send("ann@example.com", "bob@example.org")
		}
		after(90 * time.Second)
		when := make(map[time.Duration]bool)
		for _, c := range h.relay.asked("example.org")[20:] {
			wait := c.at.Sub(start)
			if wait < time.Minute || wait > 66*time.Second+2*scanDelay {
				t.Errorf("second attempt after %v", wait)
			}
			when[wait] = true
		}
		if len(when) < 5 {
			t.Errorf("%d messages are retried at %d different times", 20, len(when))
		}
	})
}

// TestMixedResults is P4 and P5: only 4yz is retried, only 5yz is
// bounced, and who has the message does not get it again.
func TestMixedResults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", byRecipient(map[string]*appliance.Reply{
			"gone": appliance.NewReply(550, 1, 1, "no such user"),
			"full": appliance.NewReply(452, 2, 2, "mailbox full"),
		}))
		h.send("ann@example.com", "bob@example.org", "gone@example.org", "full@example.org")
		synctest.Wait()
		if got, want := kinds(h.told()), []appliance.EventKind{
			appliance.EventDelivered, appliance.EventBounced, appliance.EventDeferred,
			appliance.EventReported, appliance.EventDelivered, // the report arrives too
		}; !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		after(time.Minute)
		calls := h.relay.asked("example.org")
		if len(calls) != 2 || len(calls[1].to) != 1 || calls[1].to[0].Mailbox.Local != "full" {
			t.Errorf("calls %+v", calls)
		}
		h.relay.answer("example.org", nil)
		after(5 * time.Minute)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
		checkReports(t, h, "failed 5.1.1")
	})
}

// TestAttemptsOfOneDelivery says that recipients of one destination go out in
// one call, those of another in another.
func TestGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.send("ann@example.com", "a@example.org", "b@example.org", "c@example.net")
		synctest.Wait()
		if org, net := h.relay.asked("example.org"), h.relay.asked("example.net"); len(org) != 1 || len(net) != 1 || len(org[0].to) != 2 {
			t.Errorf("calls %+v, %+v", org, net)
		}
	})
}

func TestPanic_R14(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", func(context.Context, appliance.Envelope) []appliance.Result { panic("a bug") })
		h.relay.answer("example.net", func(context.Context, appliance.Envelope) []appliance.Result { return nil })
		h.relay.answer("example.com", says(0, 0, 0, "no code"))
		h.send("ann@example.com", "bob@example.org", "bob@example.net", "bob@example.com")
		synctest.Wait()
		events := h.told()
		if len(events) != 3 {
			t.Fatalf("events %+v", events)
		}
		for _, e := range events {
			if e.Kind != appliance.EventDeferred || e.Reply.Code != 451 || e.Reply.Detail != (appliance.Detail{Subject: 3}) {
				t.Errorf("event %+v, want deferred with 451 4.3.0", e)
			}
		}
		h.relay.answer("example.org", nil)
		h.relay.answer("example.net", nil)
		h.relay.answer("example.com", nil)
		h.send("ann@example.com", "ann@example.org") // the next hop is not to blame
		synctest.Wait()
		if n := len(h.told(appliance.EventDelivered)); n != 1 {
			t.Errorf("%d delivered, want the message that comes after", n)
		}
		after(time.Minute)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestPanicKeepsWhatIsDone is P4 within one delivery: a relay that panics for
// some recipients does not undo the delivery to the others.
func TestPanicKeepsWhatIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.net", func(context.Context, appliance.Envelope) []appliance.Result { panic("a bug") })
		m := h.message("ann@example.com", "a@example.org", "b@example.net")
		m.Deliveries[0].Recipients = append(m.Deliveries[0].Recipients, m.Deliveries[1].Recipients...)
		m.Deliveries = m.Deliveries[:1]
		h.commit(m)
		after(10 * time.Minute)
		if n := len(h.relay.asked("example.org")); n != 1 {
			t.Errorf("delivered %d times", n)
		}
		if n := len(h.relay.asked("example.net")); n < 2 {
			t.Errorf("attempted %d times", n)
		}
	})
}

func TestMissingPipeline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		out := h.pipes["out"]
		h.mu.Lock()
		delete(h.pipes, "out")
		h.mu.Unlock()
		h.send("ann@example.com", "bob@example.org")
		after(9 * 24 * time.Hour)
		if got := h.told(appliance.EventBounced); len(got) != 0 {
			t.Errorf("it expired although nobody can be told: %+v", got)
		}
		if h.logs.FilterMessageSnippet("pipeline that is not in the configuration").Len() == 0 {
			t.Error("nothing in the log")
		}
		h.mu.Lock()
		h.pipes["out"] = out
		h.mu.Unlock()
		after(4 * time.Hour)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries left", n)
		}
	})
}

// TestRejectedRoute: a recipient that the configuration refuses now is bounced
// with the reply of the route.
func TestRejectedRoute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.pipes["out"].Routes = []appliance.Route{{
			When:   domainIs("example.org"),
			Reject: &appliance.ReplyText{Reply: *appliance.NewReply(550, 1, 2, "No such domain")},
		}}
		h.start()
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		events := h.told(appliance.EventBounced)
		if len(events) != 1 || events[0].Reply.Text != "No such domain" || len(h.relay.asked("example.org")) != 0 {
			t.Errorf("events %+v", events)
		}
		checkReports(t, h, "failed 5.1.2")
	})
}

// TestMovedAndRejected: of a delivery whose destination is gone, one recipient
// goes elsewhere and the other nowhere. Both have their end.
func TestMovedAndRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.pipes["out"].Routes = []appliance.Route{{
			When:   domainIs("example.org"),
			Reject: &appliance.ReplyText{Reply: *appliance.NewReply(550, 1, 2, "No such domain")},
		}}
		h.start()
		m := h.message("ann@example.com", "a@example.org", "b@example.net")
		m.Deliveries[0].Destination = "old/smarthost"
		m.Deliveries[0].Recipients = append(m.Deliveries[0].Recipients, m.Deliveries[1].Recipients...)
		m.Deliveries = m.Deliveries[:1]
		h.commit(m)
		after(time.Hour)
		checkReports(t, h, "failed 5.1.2")
		if got := h.told(appliance.EventBounced); len(got) != 1 || got[0].To.Local != "a" {
			t.Errorf("bounced %+v", got)
		}
		if got := h.relay.asked("example.net"); len(got) != 1 || len(h.store.left()) != 0 {
			t.Errorf("calls %+v", got)
		}
	})
}

type domainIs string

func (d domainIs) Match(f *appliance.Facts) (bool, error) {
	return f.Recipient.Domain == string(d), nil
}
func (domainIs) NeedsContent() bool { return false }

type broken struct{ panics bool }

func (b broken) Match(*appliance.Facts) (bool, error) {
	if b.panics {
		panic("a bug")
	}
	return false, errors.New("no such variable")
}
func (broken) NeedsContent() bool { return false }

// TestBrokenRoute: nobody knows where the recipient belongs, so it waits.
func TestBrokenRoute(t *testing.T) {
	for _, panics := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			m := h.message("ann@example.com", "bob@example.org")
			h.pipes["out"].Routes = []appliance.Route{{When: broken{panics}, Relay: h.pipes["out"].Relay}}
			h.commit(m)
			synctest.Wait()
			events := h.told()
			if len(events) != 1 || events[0].Kind != appliance.EventDeferred || !events[0].Reply.Temporary() {
				t.Errorf("events %+v", events)
			}
		})
	}
}

// TestMoved: after a change of routes a delivery goes to its new destination,
// and that it was looked at is not an attempt.
func TestMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		m := h.message("ann@example.com", "bob@example.org")
		m.Deliveries[0].Destination = "old/smarthost"
		h.commit(m)
		synctest.Wait()
		events := h.told()
		if len(events) != 1 || events[0].Kind != appliance.EventDelivered || events[0].Attempt != 1 {
			t.Errorf("events %+v", events)
		}
		if h.store.count(&h.store.settles) != 2 {
			t.Errorf("%d outcomes, want one for the move and one for the delivery", h.store.count(&h.store.settles))
		}
	})
}

func TestHeldIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.store.set(func(s *fakeStore) { s.listsHeld = true })
		m := h.message("ann@example.com", "bob@example.org")
		m.Deliveries[0].Held = true
		h.commit(m)
		synctest.Wait()
		before := h.store.count(&h.store.leases)
		after(24 * time.Hour)
		if n := len(h.relay.asked("example.org")); n != 0 {
			t.Errorf("attempted %d times", n)
		}
		if n := h.store.count(&h.store.leases) - before; n > 2*24*60 {
			t.Errorf("asked the store %d times in a day", n)
		}
		if _, err := h.engine.Change(t.Context(), appliance.Filter{}, appliance.ChangeRelease); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(h.relay.asked("example.org")); n != 1 {
			t.Errorf("attempted %d times after its release", n)
		}
	})
}
