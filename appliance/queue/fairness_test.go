package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestDeadDomain_N19: one dead domain with 50,000 messages does not delay the
// others.
func TestDeadDomain_N19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.relay.answer("dead.example", silence(2*time.Minute))
		var backlog []appliance.Accepted
		for range 50_000 {
			backlog = append(backlog, h.message("", "bob@dead.example"))
		}
		h.start()
		if err := h.engine.Commit(t.Context(), backlog...); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		for i := range 100 {
			start := h.now()
			h.send("", fmt.Sprintf("bob@d%d.example", i%10))
			synctest.Wait()
			got := h.told(appliance.EventDelivered)
			if len(got) != i+1 || !got[i].Time.Equal(start) {
				t.Fatalf("message %d waits behind the dead domain", i)
			}
			time.Sleep(3 * time.Second)
		}
		// One probe at a time, and the others share its failure.
		after(5 * time.Minute)
		if n := len(h.relay.asked("dead.example")); n > 10 {
			t.Errorf("%d attempts at a dead domain in ten minutes", n)
		}
		if n := h.relay.mostOf("dead.example"); n > firstLimit {
			t.Errorf("%d attempts at a time at a dead domain", n)
		}
		for _, d := range h.store.left() {
			if d.Attempts == 0 || d.Recipients[0].Last.Reply.Text != "mx.example.org does not answer" {
				t.Fatalf("a message does not know why it waits: %+v", d)
			}
		}
	})
}

// TestManyDeadDomains: dead domains together cannot fill all slots for long.
func TestManyDeadDomains_N19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 20 }).start()
		for i := range 15 {
			domain := fmt.Sprintf("dead%d.example", i)
			h.relay.answer(domain, silence(time.Minute))
			for range 100 {
				h.send("", "bob@"+domain)
			}
		}
		after(3 * time.Minute)
		start := h.now()
		h.send("", "bob@example.org")
		after(0)
		if got := h.told(appliance.EventDelivered); len(got) != 1 || !got[0].Time.Equal(start) {
			t.Errorf("events %+v", got)
		}
	})
}

// TestTurns: destinations with much mail and with little take turns.
func TestTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 2 })
		slow := func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(time.Second)
			return says(250, 0, 0, "ok")(ctx, env)
		}
		var all []appliance.Accepted
		for _, c := range []struct {
			domain string
			n      int
		}{{"big.example", 1000}, {"a.example", 5}, {"b.example", 5}} {
			h.relay.answer(c.domain, slow)
			for range c.n {
				all = append(all, h.message("", "bob@"+c.domain))
			}
		}
		h.start()
		if err := h.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		if a, b := len(h.relay.asked("a.example")), len(h.relay.asked("b.example")); a != 5 || b != 5 {
			t.Errorf("after ten seconds and 20 deliveries: %d and %d of 5", a, b)
		}
	})
}

// TestHerd_N18: after an outage 5,000 messages go out within the limits, each
// once.
func TestHerd_N18(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const messages = 5_000
		h := newHouse(t, func(in *appliance.EngineContext) { in.Rand = nil })
		h.relay.answer("hub.example", silence(30*time.Second))
		var all []appliance.Accepted
		for range messages {
			all = append(all, h.message("", "bob@hub.example"))
		}
		h.start()
		if err := h.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Hour)
		down := len(h.relay.asked("hub.example"))
		if down > 3*60 {
			t.Errorf("%d attempts during the outage", down)
		}
		ok := says(250, 0, 0, "ok")
		h.relay.answer("hub.example", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(100 * time.Millisecond)
			return ok(ctx, env)
		})
		after(3 * time.Hour)
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d messages left", n)
		}
		if n := len(h.relay.asked("hub.example")) - down; n != messages {
			t.Errorf("%d deliveries of %d messages", n, messages)
		}
		if n := h.relay.mostOf("hub.example"); n > 20 {
			t.Errorf("%d at a time, limit 20", n)
		}
	})
}

// TestPoison: a message that makes its next hop hang up, or that we cannot read
// ourselves, is no reason to leave the next hop alone. Else one such message
// would hold up its destination again and again.
func TestPoison(t *testing.T) {
	for _, poison := range []appliance.Result{
		{Reply: *appliance.NewReply(451, 4, 2, "Connection to mx.example.org was lost at the content"), Midway: true},
		{Reply: *appliance.NewReply(451, 3, 0, "The message could not be read from the queue")},
	} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			ok := says(250, 0, 0, "ok")
			h.relay.answer("hub.example", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
				if env.Recipients[0].Mailbox.Local == "poison" {
					return appliance.Results(1, poison)
				}
				return ok(ctx, env)
			})
			for i := range 500 {
				h.send("", "poison@hub.example")
				h.send("", "bob@hub.example")
				synctest.Wait()
				if n := len(h.told(appliance.EventDelivered)); n != i+1 {
					t.Fatalf("%q: message %d waits", poison.Reply.Text, i)
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// TestLimits: neither limit is ever passed, and both are used.
func TestLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, func(in *appliance.EngineContext) {
			in.Settings.Concurrency, in.Settings.DestinationConcurrency = 12, 5
		}).start()
		for i := range 6 {
			domain := fmt.Sprintf("d%d.example", i)
			h.relay.answer(domain, func(ctx context.Context, env appliance.Envelope) []appliance.Result {
				time.Sleep(time.Second)
				return says(250, 0, 0, "ok")(ctx, env)
			})
			for range 100 {
				h.send("", "bob@"+domain)
			}
		}
		after(time.Hour)
		if n := h.relay.mostOf(""); n != 12 {
			t.Errorf("%d at a time, limit 12", n)
		}
		for i := range 6 {
			if n := h.relay.mostOf(fmt.Sprintf("d%d.example", i)); n > 5 {
				t.Errorf("%d at a time to one destination, limit 5", n)
			}
		}
		if n := len(h.told(appliance.EventDelivered)); n != 600 {
			t.Errorf("%d delivered", n)
		}
	})
}
