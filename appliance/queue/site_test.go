package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSharedSite: 200 domains on the same servers get the connections of one,
// and their mail takes turns.
func TestSharedSite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["big"] = appliance.SiteLimits{Connections: 5}
		s.start()
		var all []appliance.Accepted
		for _, d := range domains(200, "big") {
			s.serve(d, ok250)
			for range 5 {
				all = append(all, s.message("", "bob@"+d))
			}
		}
		if err := s.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		after(50 * time.Second)
		for _, d := range domains(200, "big") {
			// Those whose site is found first have a turn or two before the others.
			if n := len(s.relay.asked(d)); n < 1 || n > 4 {
				t.Errorf("%s has had %d turns of 250", d, n)
			}
		}
		if got := s.state(t, "mx/big"); got.Destinations != 200 || got.InFlight != 5 || got.Limit != 5 || !got.Waits {
			t.Errorf("state %+v", got)
		}
		after(time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 1000 {
			t.Errorf("%d delivered", n)
		}
		if n := s.busiest("big"); n != 5 {
			t.Errorf("%d at a time, limit 5", n)
		}
	})
}

// TestSitesTakeTurns: a site with 100 domains has no more of the slots than
// one with a single domain.
func TestSitesTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, func(in *appliance.EngineContext) { in.Settings.Concurrency = 2 })
		var all []appliance.Accepted
		for _, d := range append(domains(100, "many"), domains(1, "one")...) {
			s.serve(d, ok250)
			n := 2
			if siteOf(d) == "one" {
				n = 20
			}
			for range n {
				all = append(all, s.message("", "bob@"+d))
			}
		}
		s.start()
		if err := s.engine.Commit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		after(15 * time.Second)
		one, many := len(s.begun("one")), len(s.begun("many"))
		if one < 14 || many < 14 {
			t.Errorf("after 15 seconds with two slots: %d deliveries to the one, %d to the many", one, many)
		}
	})
}

// TestRate: messages over a site's rate wait, which is no attempt.
func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.takes = 0
		s.limits["slow"] = appliance.SiteLimits{Rate: appliance.Rate{Count: 30, Per: time.Minute}}
		s.start()
		for _, d := range domains(10, "slow") {
			s.serve(d, ok250)
			for range 30 {
				s.send("", "bob@"+d)
			}
		}
		s.serve("bob.fast.test", ok250)
		for i := range 9 {
			after(time.Minute)
			if n := len(s.begun("slow")); n < 28*(i+1) || n > 30*(i+1)+2 {
				t.Errorf("%d deliveries in %d minutes at 30 a minute", n, i+1)
			}
			s.send("", "ann@bob.fast.test")
			synctest.Wait()
			if n := len(s.begun("fast")); n != i+1 {
				t.Fatal("mail for another site waits behind the slow one")
			}
		}
		after(10 * time.Minute)
		for _, e := range s.told(appliance.EventDelivered) {
			if e.Attempt != 1 {
				t.Fatalf("delivered with attempt %d: waiting was counted", e.Attempt)
			}
		}
		if n := len(s.told(appliance.EventDelivered)); n != 309 {
			t.Errorf("%d delivered", n)
		}
		checkRate(t, s.begun("slow"), 30, time.Minute)
	})
}

// TestSiteUnknown: a look-up that fails makes the next hop a site of its own
// for a minute; what was known before stays.
func TestSiteUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.fail("big", errors.New("SERVFAIL"))
		s.start()
		for _, d := range domains(2, "big") {
			s.relay.answer(d, says(451, 0, 0, "later"))
			s.send("", "bob@"+d)
		}
		after(time.Second)
		if n := len(s.relay.asked("d0.big.test")); n != 1 {
			t.Errorf("%d attempts", n)
		}
		s.state(t, "mx/d0.big.test")
		s.fail("big", nil)
		after(2 * time.Minute)
		if got := s.state(t, "mx/big"); got.Destinations != 2 {
			t.Errorf("state %+v", got)
		}
		s.fail("big", errors.New("SERVFAIL"))
		after(3 * time.Hour)
		if got := s.state(t, "mx/big"); got.Destinations != 2 {
			t.Errorf("after a failure: %+v", s.engine.Sites())
		}
	})
}

// TestSlowLookups: a backlog of 2,000 domains whose DNS does not answer does
// not delay a message that comes in.
func TestSlowLookups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.slow["dead"] = time.Hour
		for _, d := range domains(2000, "dead") {
			if err := s.store.Commit(t.Context(), s.message("", "bob@"+d)); err != nil {
				t.Fatal(err)
			}
			s.relay.answer(d, says(451, 4, 3, "SERVFAIL"))
		}
		s.start()
		for i := range 20 {
			began := s.now()
			s.send("", fmt.Sprintf("ann@live%d.good.test", i))
			synctest.Wait()
			if got := s.told(appliance.EventDelivered); len(got) != i+1 || !got[i].Time.Equal(began) {
				t.Fatalf("message %d waits for look-ups of others", i)
			}
			after(time.Second)
		}
		after(5 * time.Minute)
		if n := len(s.told(appliance.EventDeferred)); n < 2000 {
			t.Errorf("%d of the backlog have been attempted", n)
		}
	})
}

// TestSiteDown: servers that cannot be reached are left alone for all of their
// domains; trouble of one domain concerns no other.
func TestSiteDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		s.relay.answer("d0.big.test", silence(time.Second))
		s.send("", "bob@d0.big.test")
		after(2 * time.Second)
		for _, d := range domains(50, "big") {
			s.relay.answer(d, silence(time.Second))
			s.send("", "bob@"+d)
		}
		after(20 * time.Second)
		connects := 0
		for _, d := range domains(50, "big") {
			connects += len(s.relay.asked(d))
		}
		if connects != 1 {
			t.Errorf("%d attempts at servers that are down", connects)
		}
		if n := len(s.told(appliance.EventDeferred)); n != 51 {
			t.Errorf("%d deferred", n)
		}

		dns := func(_ context.Context, env appliance.Envelope) []appliance.Result {
			return appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.NewReply(451, 4, 3, "SERVFAIL")})
		}
		s.relay.answer("d0.mid.test", dns)
		s.send("", "bob@d0.mid.test")
		after(time.Second)
		s.send("", "bob@d1.mid.test")
		after(time.Second)
		if n := len(s.told(appliance.EventDelivered)); n != 1 {
			t.Errorf("%d delivered: the DNS of one domain holds up another", n)
		}
		s.send("", "ann@d0.mid.test")
		after(time.Second)
		if n := len(s.relay.asked("d0.mid.test")); n != 1 {
			t.Errorf("%d attempts at a domain whose DNS is down", n)
		}
	})
}

// TestSlowDown: a site that says 421 to everything is asked less and less, up
// to once a minute; when it takes mail again, speed comes back step by step.
func TestSlowDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.takes = 0
		s.start()
		for _, d := range domains(100, "big") {
			s.serve(d, says(421, 7, 0, "Too many connections, slow down"))
			for range 10 {
				s.send("", "bob@"+d)
			}
		}
		after(10 * time.Minute)
		n := len(s.begun("big"))
		if n > 30 {
			t.Errorf("%d attempts in ten minutes at a site that has enough", n)
		}
		if got := s.state(t, "mx/big"); got.Pause != "1m" || !got.Waits || !strings.Contains(got.Because, "slow down") {
			t.Errorf("state %+v", got)
		}
		for _, d := range domains(100, "big") {
			s.serve(d, ok250)
		}
		after(time.Hour)
		if n := len(s.told(appliance.EventDelivered)); n != 1000 {
			t.Errorf("%d delivered in an hour", n)
		}
	})
}

// TestMailRejected_NoLeak: ten rejections of MAIL FROM, and panics, errors and
// lost connections, give their slots back. A relative of ours lost a slot with
// each until the domain was dead.
func TestMailRejected_NoLeak(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil)
		s.limits["big"] = appliance.SiteLimits{Connections: 2}
		s.start()
		for i, a := range []answer{
			says(550, 1, 8, "MAIL rejected"), says(421, 0, 0, "MAIL rejected"), silence(time.Second),
			func(context.Context, appliance.Envelope) []appliance.Result { panic("a bug") },
			func(context.Context, appliance.Envelope) []appliance.Result { return nil },
		} {
			for range 10 {
				d := fmt.Sprintf("d%d.big.test", i)
				s.relay.answer(d, a)
				s.send("", "bob@"+d)
				after(time.Minute)
			}
		}
		for i := range 5 {
			s.relay.answer(fmt.Sprintf("d%d.big.test", i), nil)
		}
		s.send("", "bob@live.big.test")
		after(maxPause + 10*maxSlow)
		live := s.told(appliance.EventDelivered)
		if !slices.ContainsFunc(live, func(e appliance.Event) bool { return e.To.Domain == "live.big.test" }) {
			t.Error("the site is dead")
		}
		for _, x := range s.engine.Sites() {
			if x.InFlight != 0 {
				t.Errorf("a slot has leaked: %+v", x)
			}
		}
	})
}

// TestSitesForgotten: memory does not grow with sites that have no mail.
func TestSitesForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		for i := range 500 {
			s.send("", fmt.Sprintf("bob@d.s%d.test", i))
		}
		after(time.Second)
		if n, _ := s.remembered(); n != 500 {
			t.Errorf("%d sites", n)
		}
		after(siteMemory + 3*scanPeriod)
		if n, m := s.remembered(); n != 0 || m != 0 {
			t.Errorf("%d sites and %d destinations are still remembered", n, m)
		}
	})
}

// TestSmallBehindBig: a large message takes one of the places of its next hop,
// and small ones go by in the others.
func TestSmallBehindBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSited(t, nil).startSited()
		s.relay.answer("a.big.test", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			if env.Recipients[0].Mailbox.Local == "large" {
				time.Sleep(10 * time.Minute)
			}
			return ok250(ctx, env)
		})
		s.send("", "large@a.big.test")
		synctest.Wait()
		for i := range 50 {
			s.send("", "small@a.big.test")
			synctest.Wait()
			if n := len(s.told(appliance.EventDelivered)); n != i+1 {
				t.Errorf("small message %d waits for the large one", i)
			}
		}
		after(10 * time.Minute)
	})
}
