package queue

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var (
	actionField = regexp.MustCompile(`(?m)^Action: (\S+)\r$`)
	statusField = regexp.MustCompile(`(?m)^Status: (\S+)\r$`)
)

// summary is the action and the status of each recipient of a report:
// "failed 5.1.1 4.4.7".
func summary(m appliance.Accepted) string {
	text := m.Draft.(*fakeDraft).String()
	s := actionField.FindStringSubmatch(text)[1]
	for _, match := range statusField.FindAllStringSubmatch(text, -1) {
		s += " " + match[1]
	}
	return s
}

// checkReports compares all reports that were stored with their summaries, and
// holds what is true of each.
func checkReports(t *testing.T, h *house, want ...string) {
	t.Helper()
	var got []string
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	for _, r := range h.store.reports {
		got = append(got, summary(r))
		if !r.Envelope.From.IsNull() || r.Envelope.Recipients[0].Mailbox != mailbox("ann@example.com") {
			t.Errorf("report with envelope %+v", r.Envelope)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
}

// TestNoReportAboutReport is P7: a null reverse-path that fails is
// logged, and that is its end.
func TestNoReportAboutReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(550, 1, 1, "no such user"))
		h.send("", "bob@example.org")
		h.relay.answer("example.net", says(451, 0, 0, "later"))
		h.send("", "bob@example.net")
		after(6 * 24 * time.Hour)
		if got := h.told(appliance.EventBounced); len(got) != 2 {
			t.Errorf("events %+v", got)
		}
		checkReports(t, h)
	})
}

// TestReportBounces: the report of a failure fails itself.
func TestReportBounces_N17(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(550, 1, 1, "no such user"))
		h.relay.answer("example.com", says(550, 1, 1, "no such user"))
		h.send("ann@example.com", "bob@example.org")
		after(time.Hour)
		if got, want := kinds(h.told()), []appliance.EventKind{
			appliance.EventBounced, appliance.EventReported, appliance.EventBounced,
		}; !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		checkReports(t, h, "failed 5.1.1")
	})
}

// TestNotify: who asked not to be told is not told, and one report covers all
// the others.
func TestNotify(t *testing.T) {
	for _, c := range []struct {
		name   string
		notify []appliance.Notify
		want   []string
	}{
		{"nothing said", []appliance.Notify{0, 0}, []string{"failed 5.1.1 5.1.1"}},
		{"never", []appliance.Notify{appliance.NotifyNever, 0}, []string{"failed 5.1.1"}},
		{"all never", []appliance.Notify{appliance.NotifyNever, appliance.NotifyNever}, nil},
		{"success only", []appliance.Notify{appliance.NotifySuccess, appliance.NotifySuccess}, nil},
	} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			h.relay.answer("example.org", says(550, 1, 1, "no such user"))
			h.commit(h.with("ann@example.com", func(m *appliance.Accepted) {
				for i := range m.Deliveries[0].Recipients {
					m.Deliveries[0].Recipients[i].Notify = c.notify[i]
				}
			}, "a@example.org", "b@example.org"))
			synctest.Wait()
			if got := h.told(appliance.EventBounced); len(got) != 2 {
				t.Errorf("%s: events %+v", c.name, got)
			}
			checkReports(t, h, c.want...)
		})
	}
}

// TestSuccess: NOTIFY=SUCCESS is answered here if the next hop will not do it
// (RFC 3461, section 5.2.2), and only then, and once for each recipient.
func TestSuccess(t *testing.T) {
	const success = appliance.NotifySuccess
	for _, c := range []struct {
		name     string
		from     string
		notify   appliance.Notify
		notifies bool
		want     []string
	}{
		{"asked, and the next hop has no DSN", "ann@example.com", success, false, []string{"relayed 2.1.5", "relayed 2.1.5"}},
		{"asked, and the next hop has DSN", "ann@example.com", success | appliance.NotifyFailure, true, nil},
		{"nothing said", "ann@example.com", 0, false, nil},
		{"failure only", "ann@example.com", appliance.NotifyFailure, false, nil},
		{"never", "ann@example.com", appliance.NotifyNever, false, nil},
		{"null reverse-path", "", success, false, nil},
	} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			first := true
			h.relay.answer("example.org", func(_ context.Context, env appliance.Envelope) []appliance.Result {
				ok := appliance.Result{Reply: *appliance.NewReply(250, 1, 5, "ok"), Remote: true, Notifies: c.notifies}
				rs := appliance.Results(len(env.Recipients), ok)
				if first { // the second recipient has to wait
					rs[1] = appliance.Result{Reply: *appliance.NewReply(451, 7, 1, "greylisted"), Remote: true}
				}
				first = false
				return rs
			})
			h.commit(h.with(c.from, func(m *appliance.Accepted) {
				for i := range m.Deliveries[0].Recipients {
					m.Deliveries[0].Recipients[i].Notify = c.notify
				}
			}, "a@example.org", "b@example.org"))
			after(time.Hour)
			if got := h.told(appliance.EventDelivered); len(got) < 2 {
				t.Errorf("%s: events %+v", c.name, got)
			}
			checkReports(t, h, c.want...)
		})
	}
}

// TestSuccessWithoutRoom: a report of success that cannot be stored does not
// undo the delivery.
func TestSuccessWithoutRoom_R3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		spool := &fullSpool{Spool: h.engine}
		spool.full.Store(true)
		h.pipes["out"].Open(h.pipes["out"].Addr(), appliance.House{Hostname: "mail.example.com", Spool: spool, Now: h.now})
		h.start()
		h.commit(h.with("ann@example.com", func(m *appliance.Accepted) {
			m.Deliveries[0].Recipients[0].Notify = appliance.NotifySuccess
		}, "bob@example.org"))
		after(time.Hour)
		if got := h.told(appliance.EventDelivered); len(got) != 1 {
			t.Errorf("events %+v", got)
		}
		checkReports(t, h)
		if h.logs.FilterMessageSnippet("report of success").Len() != 1 {
			t.Error("nothing in the log")
		}
	})
}

// TestExpired: the end of a message that was never taken says what the last
// answer was, to the sender and, with its cause, to the log.
func TestExpired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		cause := errors.New("certificate has expired")
		h.relay.answer("example.org", func(_ context.Context, env appliance.Envelope) []appliance.Result {
			r := appliance.NewReply(451, 7, 5, "TLS with mx.example.org failed").With(cause)
			return appliance.Results(len(env.Recipients), appliance.Result{Reply: *r})
		})
		h.send("ann@example.com", "bob@example.org")
		after(6 * 24 * time.Hour)
		checkReports(t, h, "delayed 4.7.5", "failed 5.7.5")
		got := h.told(appliance.EventBounced)
		if len(got) != 1 || !errors.Is(got[0].Reply, cause) ||
			!strings.HasSuffix(got[0].Reply.String(), "the last reply was: 451 4.7.5 TLS with mx.example.org failed") {
			t.Errorf("events %+v", got)
		}
	})
}

// TestWarnOnce: one delay notice for each delivery, and none if unwanted.
func TestWarnOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  string
		after time.Duration
		want  []string
	}{
		{"default", "ann@example.com", 4 * time.Hour, []string{"delayed 4.7.1"}},
		{"switched off", "ann@example.com", 0, nil},
		{"null reverse-path", "", 4 * time.Hour, nil},
	} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, func(in *appliance.EngineContext) { in.Settings.WarnAfter = c.after }).start()
			h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
			h.send(c.from, "bob@example.org")
			after(3 * time.Hour)
			checkReports(t, h)
			after(2 * 24 * time.Hour)
			checkReports(t, h, c.want...)
		})
	}
}

// TestReportMustWait is R3 for a DSN: the disk is full for it. The recipient
// is neither forgotten nor asked again, and the sender is told later.
func TestReportMustWait_R3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		spool := &fullSpool{Spool: h.engine}
		spool.full.Store(true)
		h.pipes["out"].Open(h.pipes["out"].Addr(), appliance.House{Hostname: "mail.example.com", Spool: spool, Now: h.now})
		h.start()
		h.relay.answer("example.org", says(550, 1, 1, "no such user"))
		h.send("ann@example.com", "bob@example.org")
		after(10 * time.Minute)
		checkReports(t, h)
		if got := h.told(appliance.EventBounced); len(got) != 0 {
			t.Errorf("bounced without a report: %+v", got)
		}
		spool.full.Store(false)
		after(time.Hour)
		checkReports(t, h, "failed 5.1.1")
		if n := len(h.relay.asked("example.org")); n != 1 {
			t.Errorf("asked %d times", n)
		}
		if got := h.told(appliance.EventBounced); len(got) != 1 || got[0].Attempt != 1 {
			t.Errorf("events %+v", got)
		}
	})
}

type fullSpool struct {
	appliance.Spool
	full atomic.Bool
}

func (s *fullSpool) Draft(ctx context.Context) (appliance.Draft, error) {
	if s.full.Load() {
		return nil, appliance.ErrFull
	}
	return s.Spool.Draft(ctx)
}

// TestReportRefused: the configuration has a route that refuses the report.
// That is a dead end, and the log says so.
func TestReportRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.pipes["out"].Routes = []appliance.Route{{
			When:   domainIs("example.com"),
			Reject: &appliance.ReplyText{Reply: *appliance.NewReply(550, 1, 2, "No such domain")},
		}}
		h.start()
		h.relay.answer("example.org", says(550, 1, 1, "no such user"))
		h.send("ann@example.com", "bob@example.org")
		synctest.Wait()
		if got := h.told(appliance.EventBounced); len(got) != 1 {
			t.Errorf("events %+v", got)
		}
		if h.logs.FilterMessageSnippet("refuses it").Len() != 1 {
			t.Error("nothing in the log")
		}
	})
}

// TestReportFrom: the From domain is one that will be signed.
func TestReportFrom(t *testing.T) {
	for _, c := range []struct {
		signed []string
		want   string
	}{
		{nil, "mail.example.com"},
		{[]string{"example.com"}, "mail.example.com"},
		{[]string{"example.net", "example.com"}, "mail.example.com"},
		{[]string{"example.net", "example.org"}, "example.net"},
		{[]string{"le.com"}, "le.com"},
	} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			h.relay.answer("example.org", says(550, 1, 1, "no such user"))
			h.commit(h.with("ann@example.com", func(m *appliance.Accepted) { m.Origin.SignedBy = c.signed }, "bob@example.org"))
			synctest.Wait()
			h.store.mu.Lock()
			defer h.store.mu.Unlock()
			if from := h.store.reports[0].Header.Get("From"); !strings.HasSuffix(from, "<MAILER-DAEMON@"+c.want+">") {
				t.Errorf("signed by %v: From: %s", c.signed, from)
			}
		})
	}
}

// TestChange: bounce tells the sender without an attempt, drop tells nobody.
func TestChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		h.relay.answer("example.org", says(451, 7, 1, "greylisted"))
		for range 250 {
			h.send("ann@example.com", "drop@example.org")
		}
		h.send("ann@example.com", "bounce@example.org")
		h.send("ann@example.com", "retry@example.org")
		synctest.Wait()
		calls := len(h.relay.asked("example.org"))
		change := func(to string, c appliance.Change) {
			t.Helper()
			want := 1
			if to == "drop" {
				want = 250
			}
			if n, err := h.engine.Change(t.Context(), appliance.Filter{Recipient: to + "@example.org"}, c); n != want || err != nil {
				t.Errorf("%s changed %d, %v", to, n, err)
			}
			synctest.Wait()
		}
		change("drop", appliance.ChangeDrop)
		change("bounce", appliance.ChangeBounce)
		if n := len(h.relay.asked("example.org")); n != calls {
			t.Errorf("%d attempts more", n-calls)
		}
		change("retry", appliance.ChangeRetry)
		if n := len(h.relay.asked("example.org")); n != calls+1 {
			t.Errorf("%d attempts more, want 1", n-calls)
		}
		dropped, bounced := h.told(appliance.EventDropped), h.told(appliance.EventBounced)
		if len(dropped) != 250 || len(bounced) != 1 {
			t.Errorf("%d dropped, %d bounced", len(dropped), len(bounced))
		}
		checkReports(t, h, "failed 5.0.0")
	})
}

// TestRetryIsAnAttempt: who asks for an attempt knows something new. The next
// hop is asked, although it would be left alone for minutes yet.
func TestRetryIsAnAttempt(t *testing.T) {
	for _, f := range []appliance.Filter{{}, {Recipient: "bob@example.org"}, {Destination: "mx/example.org"}} {
		bubble(t, func(t *testing.T) {
			h := newHouse(t, nil).start()
			h.relay.answer("example.org", silence(0))
			for range 20 {
				h.send("ann@example.com", "bob@example.org")
			}
			after(time.Hour)
			h.relay.answer("example.org", silence(0))
			before := len(h.relay.asked("example.org"))
			if _, err := h.engine.Change(t.Context(), f, appliance.ChangeRetry); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := len(h.relay.asked("example.org")) - before; n != 1 {
				t.Errorf("%+v: still down, and asked %d times", f, n)
			}
			h.relay.answer("example.org", nil)
			if _, err := h.engine.Change(t.Context(), f, appliance.ChangeRetry); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := len(h.told(appliance.EventDelivered)); n != 20 {
				t.Errorf("%+v: %d delivered", f, n)
			}
		})
	}
}

// TestDropNotWhileInFlight: what is being attempted cannot be dropped, and has
// one end only.
func TestDropNotWhileInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHouse(t, nil).start()
		ok := says(250, 0, 0, "ok")
		h.relay.answer("example.org", func(ctx context.Context, env appliance.Envelope) []appliance.Result {
			time.Sleep(time.Minute)
			return ok(ctx, env)
		})
		h.send("ann@example.com", "bob@example.org")
		after(time.Second)
		if n, err := h.engine.Change(t.Context(), appliance.Filter{}, appliance.ChangeDrop); n != 0 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		after(time.Hour)
		if got := h.told(appliance.EventDropped, appliance.EventDelivered); len(got) != 1 || got[0].Kind != appliance.EventDelivered {
			t.Errorf("events %+v", got)
		}
	})
}

var errStore = errors.New("disk on fire")
