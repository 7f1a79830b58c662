package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A backedRelay is a fakeRelay with a fallback.
type backedRelay struct {
	*fakeRelay
	to   appliance.Ref[appliance.Relay]
	when func(attempt int, r *appliance.Result) bool
}

func (r *backedRelay) Instead(attempt int, last *appliance.Result) (appliance.Ref[appliance.Relay], bool) {
	return r.to, r.when(attempt, last)
}

func relayRef(name string, r appliance.Relay) appliance.Ref[appliance.Relay] {
	return appliance.RefTo(appliance.Addr{Kind: appliance.KindRelay, Name: name}, r)
}

// withFallback is a house whose relay has a fallback, and the relay behind it.
func withFallback(t *testing.T, when func(attempt int, r *appliance.Result) bool) (*house, *diary, *fakeRelay) {
	h, d := newDiary(t)
	provider := newFakeRelay()
	h.route(&backedRelay{h.relay, relayRef("provider", provider), when})
	return h, d, provider
}

// route makes r the relay of the house, under its usual name.
func (h *house) route(r appliance.Relay) {
	p := &appliance.Pipeline{Relay: relayRef("mx", r)}
	h.open("out", p)
	h.pipes["out"] = p
}

func onClass(c appliance.Class) func(int, *appliance.Result) bool {
	return func(_ int, r *appliance.Result) bool { return r.Class == c }
}

func afterAttempt(n int) func(int, *appliance.Result) bool {
	return func(attempt int, r *appliance.Result) bool { return r.Reply.Temporary() && attempt >= n }
}

// TestFallback: a recipient who was refused for a reason that has a fallback is
// delivered by that, in the same attempt; the others keep their results.
func TestFallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, onClass(appliance.ClassReputation))
		h.relay.answer("example.org", byRecipient(map[string]*appliance.Reply{
			"bob": appliance.NewReply(554, 7, 1, "192.0.2.1 is listed by zen.spamhaus.org"),
			"cy":  appliance.NewReply(550, 1, 1, "User unknown"),
		}))
		h.start()
		h.send("ann@example.com", "ann@example.org", "bob@example.org", "cy@example.org")
		after(time.Second)
		got := map[string]string{}
		for _, e := range h.told(appliance.EventDelivered, appliance.EventBounced, appliance.EventDeferred) {
			if e.From != (appliance.Mailbox{}) {
				got[e.To.Local] = string(e.Kind) + " by " + e.Relay
			}
		}
		want := map[string]string{"ann": "delivered by mx", "bob": "delivered by provider", "cy": "bounced by mx"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		calls := provider.asked("example.org")
		if len(calls) != 1 || len(calls[0].to) != 1 || calls[0].to[0].Mailbox.Local != "bob" {
			t.Errorf("the fallback was asked %+v", calls)
		}
		logs := h.logs.FilterMessage("handed to the fallback of the relay").All()
		if len(logs) != 1 || logs[0].ContextMap()["fallback"] != "provider/example.org" || logs[0].ContextMap()["class"] != "reputation" {
			t.Errorf("log: %+v", logs)
		}
	})
}

// TestFallbackAfter: the number of the attempt is told, the answer of the
// fallback counts and both are remembered; the next attempt begins anew.
func TestFallbackAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, diary, provider := withFallback(t, afterAttempt(2))
		first, second := appliance.NewReply(450, 2, 0, "Greylisted"), appliance.NewReply(451, 3, 2, "Shutting down for a minute")
		h.relay.answer("example.org", byRecipient(map[string]*appliance.Reply{"bob": first}))
		provider.answer("example.org", byRecipient(map[string]*appliance.Reply{"bob": second}))
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		if n := len(provider.asked("example.org")); n != 0 {
			t.Errorf("the fallback was asked %d times in the first attempt", n)
		}
		after(2 * time.Minute)
		events := h.told(appliance.EventDeferred)
		if len(events) != 2 || events[1].Reply.Code != 451 || events[1].Relay != "provider" || events[1].Attempt != 2 {
			t.Errorf("events: %+v", events)
		}
		if len(diary.all) != 2 || len(diary.all[1].Outcomes) != 2 {
			t.Fatalf("remembered %+v", diary.all)
		}
		for i, want := range []string{"mx 450", "provider 451"} {
			o := diary.all[1].Outcomes[i]
			if got := o.Relay + " " + o.Result.Reply.String()[:3]; got != want {
				t.Errorf("outcome %d is %q, want %q", i, got, want)
			}
		}
		provider.answer("example.org", says(250, 0, 0, "ok"))
		after(2 * time.Hour)
		if n := len(h.relay.asked("example.org")); n != 3 || len(h.told(appliance.EventDelivered)) != 1 {
			t.Errorf("%d attempts, events %+v", n, h.told())
		}
	})
}

// TestFallbackOfRefusal: what the first relay refused and the fallback defers
// waits, and is not a failure that waits for its report.
func TestFallbackOfRefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, onClass(appliance.ClassPolicy))
		h.relay.answer("example.org", says(550, 7, 1, "Our policy forbids this"))
		provider.answer("example.org", says(450, 3, 2, "Not now"))
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		provider.answer("example.org", says(250, 0, 0, "ok"))
		after(time.Hour)
		if d, b := len(h.told(appliance.EventDelivered)), len(h.told(appliance.EventBounced)); d != 1 || b != 0 {
			t.Errorf("%d delivered, %d bounced", d, b)
		}
	})
}

// limitedRelay is a relay that is one site with limits.
type limitedRelay struct {
	*fakeRelay
	limits appliance.SiteLimits
}

func (r limitedRelay) Site(context.Context, string) (appliance.Site, error) {
	return appliance.Site{Name: "provider", Limits: r.limits}, nil
}

// TestFallbackLimits: what is handed to a fallback stays within the limits of
// that; the rest waits, also what the first relay has refused for good.
func TestFallbackLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		provider := newFakeRelay()
		h, _ := newDiary(t)
		rate := appliance.SiteLimits{Connections: 2, Rate: appliance.Rate{Count: 30, Per: time.Hour}}
		h.route(&backedRelay{h.relay, relayRef("provider", limitedRelay{provider, rate}), onClass(appliance.ClassPolicy)})
		h.start()
		for i := range 60 {
			d := fmt.Sprintf("d%d.example", i)
			h.relay.answer(d, says(550, 7, 1, "Our policy forbids this"))
			provider.answer(d, func(ctx context.Context, env appliance.Envelope) []appliance.Result {
				time.Sleep(2 * time.Second)
				return ok250(ctx, env)
			})
			h.send("ann@example.com", "bob@"+d)
		}
		after(4 * 24 * time.Hour)
		if n := provider.mostOf(""); n != 2 {
			t.Errorf("%d deliveries at a time by the fallback, limit 2", n)
		}
		var starts []time.Time
		for _, c := range provider.calls {
			starts = append(starts, c.at)
		}
		checkRate(t, starts, 30, time.Hour)
		delivered := 0
		for _, e := range h.told(appliance.EventDelivered) {
			if e.To.Local == "bob" { // ann is told that some are late
				delivered++
			}
		}
		if b := len(h.told(appliance.EventBounced)); delivered != 60 || b != 0 {
			t.Errorf("%d delivered, %d bounced", delivered, b)
		}
	})
}

// assuringRelay honours REQUIRETLS.
type assuringRelay struct{ *fakeRelay }

func (assuringRelay) HonoursRequireTLS() bool { return true }

// TestFallbackRequireTLS: a message that requires TLS is handed to a relay that
// honours that, and waits for the first one otherwise.
func TestFallbackRequireTLS(t *testing.T) {
	for _, honours := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			h, _ := newDiary(t)
			provider := newFakeRelay()
			var to appliance.Relay = provider
			if honours {
				to = assuringRelay{provider}
			}
			h.route(&backedRelay{h.relay, relayRef("provider", to), afterAttempt(1)})
			h.relay.answer("example.org", says(450, 7, 1, "greylisted"))
			h.start()
			h.commit(h.with("ann@example.com", func(m *appliance.Accepted) { m.Envelope.RequireTLS = true }, "bob@example.org"))
			after(time.Second)
			if got := len(provider.asked("example.org")) == 1; got != honours {
				t.Errorf("handed on: %v, the fallback honours it: %v", got, honours)
			}
			after(time.Hour)
			h.relay.answer("example.org", nil)
			after(6 * time.Hour)
			if d := h.told(appliance.EventDelivered); len(d) != 1 {
				t.Errorf("%d delivered", len(d))
			}
		})
	}
}

// TestFallbackWhileDown: a next hop that is left alone does not keep its mail
// from the fallback.
func TestFallbackWhileDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, onClass(appliance.ClassConnection))
		h.relay.answer("example.org", silence(time.Second))
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(2 * time.Second)
		h.send("ann@example.com", "cy@example.org")
		after(2 * time.Second)
		if n, m := len(h.relay.asked("example.org")), len(provider.asked("example.org")); n != 1 || m != 2 {
			t.Errorf("asked %d times, the fallback %d times; want 1 and 2", n, m)
		}
	})
}

// TestP4NoFallbackInDoubt: who may have the message already is not sent it by
// another way.
func TestP4NoFallbackInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, afterAttempt(1))
		h.relay.answer("example.org", func(context.Context, appliance.Envelope) []appliance.Result {
			return appliance.Results(1, appliance.Result{Reply: *appliance.NewReply(451, 4, 2, "lost (ambiguous)"), Midway: true})
		})
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		if n := len(provider.asked("example.org")); n != 0 || len(h.told(appliance.EventDeferred)) != 1 {
			t.Errorf("the fallback was asked %d times", n)
		}
	})
}

// TestFallbackCutOff: an attempt that ends in the middle of the fallback,
// because the server stops, was none.
func TestFallbackCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, onClass(appliance.ClassPolicy))
		h.relay.answer("example.org", says(550, 7, 1, "Our policy forbids this"))
		provider.answer("example.org", silence(24*time.Hour))
		h.start()
		m := h.message("ann@example.com", "bob@example.org")
		h.commit(m)
		synctest.Wait()
		if len(provider.asked("example.org")) != 1 {
			t.Fatal("the fallback was not asked")
		}
		h.stop()
		d := h.store.left()[0]
		if d.Attempts != 0 || d.Recipients[0].Status != appliance.Waiting || d.Recipients[0].Last.Reply.Code != 0 {
			t.Errorf("after the stop: %+v", d)
		}
	})
}

// TestFallbackCircle: relays that a program has pointed at each other do not
// hand on for ever; one that panics defers.
func TestFallbackCircle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, _ := newDiary(t)
		self := &backedRelay{fakeRelay: h.relay, when: afterAttempt(1)}
		self.to = relayRef("mx", self)
		h.route(self)
		h.relay.answer("example.org", says(450, 2, 0, "Later"))
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		if n := len(h.relay.asked("example.org")); n != maxHandedOn+1 {
			t.Errorf("asked %d times, want %d", n, maxHandedOn+1)
		}
	})
	bubble(t, func(t *testing.T) {
		h, _, provider := withFallback(t, onClass(appliance.ClassPolicy))
		h.relay.answer("example.org", says(550, 7, 1, "Our policy forbids this"))
		provider.answer("example.org", func(context.Context, appliance.Envelope) []appliance.Result { panic("a bug") })
		h.start()
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		if events := h.told(appliance.EventDeferred); len(events) != 1 || events[0].Class != appliance.ClassLocal {
			t.Errorf("%+v", events)
		}
	})
}
