package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waxwing-mail/waxwing/appliance"
)

// few is n, or a tenth of it under -short: the race detector makes each message
// dear.
func few(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

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
		for range few(20_000) {
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
			if took := s.took(m, began); took > 3*time.Second {
				t.Errorf("message %d took %v", i, took)
			}
		}
		after(4 * time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != few(20_000)+20 {
			t.Errorf("%d delivered", n)
		}
	})
}

// TestSendersTakeTurnsEverywhere: one who hands in 5,000 messages for 1,000
// sites does not delay the message of another, wherever that goes.
func TestSendersTakeTurnsEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 10 })
		var all []appliance.Accepted
		sites := few(1000)
		for i := range 5 * sites {
			d := fmt.Sprintf("d.s%d.test", i%sites)
			s.serve(d, ok250)
			all = append(all, s.by("bulk", "bob@"+d))
		}
		s.start()
		if err := s.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			began := s.now()
			to := fmt.Sprintf("d.s%d.test", 20*i%sites)
			if i%2 == 0 {
				to = fmt.Sprintf("d.other%d.test", i)
				s.serve(to, ok250)
			}
			m := s.by("app", "ann@"+to)
			s.commit(m)
			after(4 * time.Second)
			if took := s.took(m, began); took > 3*time.Second {
				t.Errorf("message %d took %v", i, took)
			}
		}
		after(time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 5*sites+50 {
			t.Errorf("%d delivered", n)
		}
	})
}

// took is how long a message took, an hour if it is still on its way.
func (s *sited) took(m appliance.Accepted, began time.Time) time.Duration {
	for _, e := range s.told(appliance.EventDelivered) {
		if e.ID == m.ID {
			return e.Time.Sub(began)
		}
	}
	return time.Hour
}

// TestBigMail: small messages are not stuck behind big ones for the same site,
// whoever sent them, and the big ones go on too.
func TestBigMail(t *testing.T) {
	for _, c := range []struct {
		name   string
		known  bool // to be big before they are leased
		sender string
	}{{"one sender", true, "app"}, {"another sender", false, "other"}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { bigMail(t, c.known, c.sender) })
		})
	}
}

func bigMail(t *testing.T, known bool, sender string) {
	s := newSited(t, nil)
	s.limits["hub"] = appliance.SiteLimits{Connections: 4}
	s.start()
	s.relay.answer("d.hub.test", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
		if env.Recipients[0].Mailbox.Local == "big" {
			time.Sleep(10 * time.Minute)
		}
		return ok250(ctx, env)
	})
	for range 10 {
		s.commit(s.by("app", "small@d.hub.test")) // for the limit to rise
	}
	after(time.Minute)
	for range 20 {
		m := s.by("app", "big@d.hub.test")
		if _, err := m.Draft.Write(make([]byte, bigSize)); err != nil {
			t.Fatal(err)
		}
		if known {
			m.Size = bigSize
		}
		s.commit(m)
	}
	for i := range 100 {
		began := s.now()
		m := s.by(sender, "small@d.hub.test")
		s.commit(m)
		after(time.Second)
		if took := s.took(m, began); took > 0 && i > 0 {
			t.Errorf("message %d took %v", i, took)
		}
	}
	after(2 * time.Hour)
	if n := len(s.told(appliance.EventDelivered)); n != 130 {
		t.Errorf("%d delivered", n)
	}
}

// TestFlows: whatever comes in when, a sender who always has something waiting
// gets as much as any other who has, but for one delivery of the largest cost.
func TestFlows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const senders, most = 4, 5
		var f flows
		var waiting [senders][]float64 // tags, with their costs
		var costs [senders][]float64
		var got [senders]float64
		for range rapid.IntRange(0, 100).Draw(t, "before") { // one that was there before has no debts
			i := rapid.IntRange(0, senders-1).Draw(t, "early")
			f.served(freshLane, f.tag(f.of(sender{name: fmt.Sprint(i)}), freshLane, 1))
		}
		for range 200 {
			for i := range senders {
				for len(waiting[i]) < 2 {
					c := float64(rapid.IntRange(1, most).Draw(t, "cost"))
					waiting[i], costs[i] = append(waiting[i], f.tag(f.of(sender{name: fmt.Sprint(i)}), freshLane, c)), append(costs[i], c)
				}
			}
			first := 0
			for i := range senders {
				if waiting[i][0] < waiting[first][0] {
					first = i
				}
			}
			f.served(freshLane, waiting[first][0])
			got[first] += costs[first][0]
			waiting[first], costs[first] = waiting[first][1:], costs[first][1:]
		}
		for i := range senders {
			for k := range senders {
				if got[i]-got[k] > 2*most {
					t.Fatalf("sender %d got %v, sender %d got %v", i, got[i], k, got[k])
				}
			}
		}
	})
}

// TestFlows_Many: those who are one too many share a flow, and who has been
// quiet makes room.
func TestFlows_Many(t *testing.T) {
	var f flows
	for i := range maxFlows {
		f.tag(f.of(sender{name: fmt.Sprint(i)}), freshLane, 1)
	}
	if f.of(sender{name: "one more"}) != nil {
		t.Error("more senders are remembered than may be")
	}
	f.served(freshLane, 2)
	if x := f.of(sender{name: "one more"}); x == nil || len(f.senders) != 1 {
		t.Errorf("%d senders are remembered", len(f.senders))
	}
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
		sites := few(1000)
		for i := range sites {
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
			if took := s.took(m, began); took > 0 {
				t.Fatalf("message %d took %v", i, took)
			}
		}
		after(3 * time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 3*sites/2+100 {
			t.Errorf("%d delivered", n)
		}
	})
}

// TestLiveBesideDead_N19: what one sender sends to a thousand hosts that nobody
// knows, and that do not answer, is nothing to the mail of another, also for
// hosts that nobody knows.
func TestLiveBesideDead_N19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.takes = 0
		var bulk []appliance.Accepted
		for i := range few(1000) {
			d := fmt.Sprintf("d.dead%d.test", i)
			s.relay.answer(d, silence(30*time.Second))
			for range 10 {
				bulk = append(bulk, s.by("bulk", "bob@"+d))
			}
		}
		s.start()
		if err := s.engine.Commit(t.Context(), bulk...); err != nil {
			t.Fatal(err)
		}
		for i := range few(1000) {
			d := fmt.Sprintf("live.good%d.test", i)
			s.serve(d, ok250)
			began := time.Now()
			s.commit(s.by("app", "ann@"+d))
			after(time.Second)
			if got := s.begun(fmt.Sprintf("good%d", i)); len(got) != 1 || got[0].Sub(began) > 0 {
				t.Fatalf("message %d is not delivered at once: %v", i, got)
			}
		}
		after(20 * time.Minute)
	})
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
