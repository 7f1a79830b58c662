package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// rationed is a house in which everything for example.org fails, and the
// sender's own mail arrives.
func rationed(t *testing.T, limit int) *house {
	h := newHouse(t, func(in *appliance.EngineContext) {
		in.Settings.ReportLimit, in.Settings.Postmaster = limit, mailbox("postmaster@example.net")
	})
	h.relay.answer("example.org", says(550, 1, 1, "no such user"))
	return h
}

// written counts the reports and returns the texts of the digests.
func written(h *house) (reports int, digests []string) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	for _, r := range h.store.reports {
		if text := r.Draft.(*fakeDraft).String(); actionField.MatchString(text) {
			reports++
		} else {
			digests = append(digests, text)
		}
	}
	return reports, digests
}

// TestReportLimit_N17: 10,000 bounces for one sender are a hundred reports and
// a digest, for the sender and for the postmaster; nobody is forgotten.
func TestReportLimit_N17(t *testing.T) {
	const messages = 10_000
	bubble(t, func(t *testing.T) {
		h := rationed(t, 100).start()
		for i := range messages {
			h.send("ann@example.com", fmt.Sprintf("user%d@example.org", i))
		}
		after(59 * time.Minute)
		if reports, digests := written(h); reports != 100 || len(digests) != 0 {
			t.Errorf("%d reports and %d digests in the first hour", reports, len(digests))
		}
		if n := len(h.store.left()); n != messages-100 {
			t.Errorf("%d deliveries wait for their report", n)
		}
		if n := len(h.relay.asked("example.org")); n != messages {
			t.Errorf("the next hop was asked %d times", n)
		}
		after(3 * time.Hour)
		reports, digests := written(h)
		if reports != 100 || len(digests) != 1 || !strings.Contains(digests[0], "9900 messages could not be delivered, to 9900 recipients") {
			t.Errorf("%d reports, digests %q", reports, digests)
		}
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries are left", n)
		}
		if n := len(h.told(appliance.EventBounced)); n != messages {
			t.Errorf("%d bounced", n)
		}
		if n := len(h.relay.asked("example.org")); n != messages {
			t.Errorf("the next hop was asked %d times", n)
		}
		if n := len(h.relay.asked("example.net")); n != 1 {
			t.Errorf("the postmaster got %d digests", n)
		}
	})
}

// TestReportLimitRestart_N17: who was held back when the server stopped is
// told all the same, and still within the limit.
func TestReportLimitRestart_N17(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := rationed(t, 3)
		for range 10 {
			h.send("ann@example.com", "bob@example.org")
		}
		if err := h.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if err := h.engine.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.engine = New(h.engine.house).(*engine)
		h.pipes["out"] = h.pipeline("out")
		h.start()
		after(70 * time.Minute)
		if reports, digests := written(h); reports != 6 || len(digests) != 0 {
			t.Errorf("%d reports, digests %q", reports, digests)
		}
		after(time.Hour)
		reports, digests := written(h)
		if reports != 6 || len(digests) != 1 || !strings.Contains(digests[0], "4 messages") {
			t.Errorf("%d reports, digests %q", reports, digests)
		}
		if n := len(h.store.left()); n != 0 {
			t.Errorf("%d deliveries are left", n)
		}
	})
}

// TestReportLimitMixed_N17: a recipient that fails after others of its message
// were held back is told too, and one that waits is tried when it is due.
func TestReportLimitMixed_N17(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := rationed(t, 1)
		later := h.now().Add(2 * time.Hour)
		h.relay.answer("example.org", func(_ context.Context, env appliance.Envelope) []appliance.Result {
			rs := appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.NewReply(550, 1, 1, "no such user")})
			for i, to := range env.Recipients {
				if to.Mailbox.Local == "slow" && h.now().Before(later) {
					rs[i].Reply = *appliance.NewReply(451, 7, 1, "greylisted")
				}
			}
			return rs
		})
		h.start()
		h.send("ann@example.com", "first@example.org")
		h.send("ann@example.com", "second@example.org", "slow@example.org")
		after(90 * time.Minute)
		if reports, digests := written(h); reports != 1 || len(digests) != 1 || strings.Contains(digests[0], "slow@") {
			t.Errorf("%d reports, digests %q", reports, digests)
		}
		if n := len(h.relay.asked("example.org")); n < 5 {
			t.Errorf("the one that waits was tried %d times", n-1)
		}
		after(6 * 24 * time.Hour)
		var failed []string
		for _, e := range h.told(appliance.EventBounced) {
			failed = append(failed, e.To.Local)
		}
		slices.Sort(failed)
		reports, _ := written(h)
		if !slices.Equal(failed, []string{"first", "second", "slow"}) || reports != 2 {
			t.Errorf("failed %q, %d reports", failed, reports)
		}
	})
}

// TestReportLimitExpired_N17: who is too old and held back is not tried again.
func TestReportLimitExpired_N17(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := rationed(t, 1)
		h.engine.settings.WarnAfter = 0
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		h.start()
		h.send("ann@example.com", "a@example.org")
		h.send("ann@example.com", "b@example.org")
		after(5*24*time.Hour - time.Minute)
		for h.now(); len(h.told(appliance.EventBounced)) == 0; after(time.Minute) {
		}
		asked := len(h.relay.asked("example.org"))
		after(2 * time.Hour)
		if n := len(h.relay.asked("example.org")); n != asked {
			t.Errorf("asked %d times more", n-asked)
		}
		reports, digests := written(h)
		if reports != 1 || len(digests) != 1 || !strings.Contains(digests[0], "4.4.7  example.org") {
			t.Errorf("%d reports, digests %q", reports, digests)
		}
	})
}

// TestReportLimitOthers_N17: reports of success and of delay count, and are
// left out; the limit is one for each sender, and none if it is 0.
func TestReportLimitOthers_N17(t *testing.T) {
	const messages = 20
	for _, c := range []struct {
		limit, success, failure int
	}{{limit: 5, success: 5, failure: 5}, {limit: 0, success: messages, failure: messages}} {
		bubble(t, func(t *testing.T) {
			h := rationed(t, c.limit).start()
			for range messages {
				h.commit(h.with("ann@example.com", func(m *appliance.Accepted) {
					m.Deliveries[0].Recipients[0].Notify = appliance.NotifySuccess
				}, "bob@example.edu"))
			}
			synctest.Wait()
			if got, _ := written(h); got != c.success {
				t.Errorf("limit %d: %d reports of success, want %d", c.limit, got, c.success)
			}
			for range messages {
				h.send("bob@example.com", "who@example.org")
			}
			synctest.Wait()
			if got, _ := written(h); got != c.success+c.failure {
				t.Errorf("limit %d: %d reports, want %d", c.limit, got, c.success+c.failure)
			}
			after(2 * time.Hour)
			if n := len(h.store.left()); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}

// TestDeliveredByLMTP: what a next hop has put into the mailbox is delivered,
// and not relayed (RFC 3461, section 5.3).
func TestDeliveredByLMTP(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", func(context.Context, appliance.Envelope) []appliance.Result {
			return []appliance.Result{{Reply: *appliance.NewReply(250, 0, 0, "saved"), Remote: true, Final: true}}
		})
		h.commit(h.with("ann@example.com", func(m *appliance.Accepted) {
			m.Deliveries[0].Recipients[0].Notify = appliance.NotifySuccess
		}, "bob@example.org"))
		synctest.Wait()
		checkReports(t, h, "delivered 2.0.0")
	})
}

// TestRationsBounded: the senders that are remembered have a bound.
func TestRationsBounded(t *testing.T) {
	var r rations
	now := time.Now()
	for i := range 3 * maxRations {
		r.spend(now, 1, mailbox(fmt.Sprintf("u%d@example.com", i)))
	}
	if n := len(r.senders); n > maxRations {
		t.Errorf("%d senders are remembered", n)
	}
	h := held{keys: make(map[appliance.DeliveryKey]bool)}
	for i := range maxHeld + 10 {
		h.add(&appliance.Leased{Key: appliance.DeliveryKey{ID: "x", Part: i}}, nil)
	}
	if n := len(h.keys); n != maxHeld {
		t.Errorf("%d deliveries are held", n)
	}
}
