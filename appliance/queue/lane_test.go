package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// by makes a message of a user who has logged in.
func (s *sited) by(user, to string) appliance.Accepted {
	return s.with(user+"@example.com", func(m *appliance.Accepted) { m.Origin.User = user }, to)
}

// TestSendersTakeTurns: one who hands in 20,000 messages for a domain does not
// delay the message of another for the same domain.
func TestSendersTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["big"] = appliance.SiteLimits{Connections: 2}
		s.start()
		s.serve("d0.big.test", ok250)
		var all []appliance.Accepted
		for range 20_000 {
			all = append(all, s.by("bulk", "bob@d0.big.test"))
		}
		if err := s.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		for i := range 20 {
			began := s.now()
			user := fmt.Sprintf("user%d", i)
			m := s.by(user, "ann@d0.big.test")
			s.commit(m)
			after(5 * time.Second)
			var got *appliance.Event
			for _, e := range s.told(appliance.EventDelivered) {
				if e.ID == m.ID {
					got = &e
				}
			}
			if got == nil {
				t.Fatalf("message %d waits behind the 20,000", i)
			}
			if took := got.Time.Sub(began); took > 3*time.Second {
				t.Errorf("message %d took %v", i, took)
			}
		}
		after(4 * time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 20_020 {
			t.Errorf("%d delivered", n)
		}
	})
}

// TestBacklogGoesOn: new mail without end does not starve what waits, at one
// site and among sites.
func TestBacklogGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 4 })
		s.takes = 100 * time.Millisecond
		for _, d := range append(domains(40, "late"), "d0.big.test") {
			s.serve(d, ok250)
			for range 5 {
				if err := s.store.Commit(t.Context(), s.message("", "backlog@"+d)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.start()
		for range 600 { // 60 a second, when 40 can be delivered
			for range 6 {
				s.send("", "new@d0.big.test")
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		waited := 0
		for _, e := range s.told(appliance.EventDelivered) {
			if e.To.Local == "backlog" {
				waited++
			}
		}
		if waited != 205 {
			t.Errorf("%d of 205 of the backlog were delivered in a minute of too much new mail", waited)
		}
		after(time.Hour)
	})
}

// TestDeadBacklog_N19: a restart finds 500 dead domains among 1,000, each of
// which takes minutes to say nothing. New mail is delivered at once.
func TestDeadBacklog_N19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 40 })
		for i := range 1000 {
			d := fmt.Sprintf("d.s%d.test", i)
			if i%2 == 0 {
				s.relay.answer(d, silence(2*time.Minute))
			}
			for range 3 {
				if err := s.store.Commit(t.Context(), s.message("", "backlog@"+d)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.start()
		for i := range 100 {
			began := s.now()
			m := s.message("", fmt.Sprintf("new@d.live%d.test", i))
			s.commit(m)
			after(time.Second)
			took := time.Hour
			for _, e := range s.told(appliance.EventDelivered) {
				if e.ID == m.ID {
					took = e.Time.Sub(began)
				}
			}
			if took > 0 {
				t.Fatalf("message %d took %v", i, took)
			}
		}
		after(3 * time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 1600 {
			t.Errorf("%d delivered", n)
		}
	})
}

// TestNewcomers: memory for what comes in is bounded, and senders take turns.
func TestNewcomers(t *testing.T) {
	var n newcomers
	key := func(sender, i int) appliance.DeliveryKey {
		return appliance.DeliveryKey{ID: appliance.QueueID(fmt.Sprint(sender)), Part: i}
	}
	for sender := range 2 * maxSenders {
		for i := range 2 * maxNewOfSender {
			if got, want := n.add(fmt.Sprint(sender), key(sender, i)), sender < maxSenders && i < maxNewOfSender; got != want {
				t.Fatalf("message %d of sender %d: remembered %v", i, sender, got)
			}
		}
	}
	for i := range maxNewOfSender {
		got := n.take(maxSenders)
		for sender, k := range got {
			if k != key(sender, i) {
				t.Fatalf("round %d, turn %d: %v", i, sender, k)
			}
		}
	}
	if !n.empty() || n.take(1) != nil {
		t.Error("something is left")
	}
}

// TestNewcomersCounted: the count of what is remembered comes back to nothing,
// whatever becomes of the messages.
func TestNewcomersCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["big"] = appliance.SiteLimits{Rate: appliance.Rate{Count: 1, Per: time.Minute}}
		s.start()
		ok := says(250, 0, 0, "ok")
		s.relay.answer("d0.big.test", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			return ok(ctx, env)
		})
		for i := range 50 {
			s.commit(s.by(fmt.Sprintf("user%d", i%5), "bob@d0.big.test"))
		}
		after(10 * time.Second)
		if _, err := s.engine.Change(t.Context(), appliance.Filter{Sender: "user1@example.com"}, appliance.ChangeDrop); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Hour)
		s.engine.mu.Lock()
		n := s.engine.newcomers
		s.engine.mu.Unlock()
		if n != 0 || len(s.store.left()) != 0 {
			t.Errorf("%d are remembered, %d left", n, len(s.store.left()))
		}
	})
}
