package mx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/queue"
	store "github.com/waxwing-mail/waxwing/modules/store/memory"
)

func TestWarmupValidate(t *testing.T) {
	for _, tc := range []struct {
		w          Warmup
		attr, word string // "" is a good one
	}{
		{Warmup{Begin: "2026-11-23", First: 50}, "", ""},
		{Warmup{Begin: "2026-11-23T09:00:00+01:00", First: 1, DoubleEvery: 30 * day, Days: 365}, "", ""},
		{Warmup{Begin: "23.11.2026", First: 50}, "warmup.begin", "not a date"},
		{Warmup{Begin: "2026-02-30", First: 50}, "warmup.begin", "not a date"},
		{Warmup{First: 50}, "warmup.begin", "not a date"},
		{Warmup{Begin: "0206-11-23", First: 50}, "warmup.begin", "near"},
		{Warmup{Begin: "2206-11-23", First: 50}, "warmup.begin", "near"},
		{Warmup{Begin: "2026-11-23"}, "warmup.first", "between"},
		{Warmup{Begin: "2026-11-23", First: -1}, "warmup.first", "between"},
		{Warmup{Begin: "2026-11-23", First: maxFirst + 1}, "warmup.first", "between"},
		{Warmup{Begin: "2026-11-23", First: 1, DoubleEvery: time.Minute}, "warmup.double_every", "1h"},
		{Warmup{Begin: "2026-11-23", First: 1, DoubleEvery: 31 * day}, "warmup.double_every", "30d"},
		{Warmup{Begin: "2026-11-23", First: 1, Days: -1}, "warmup.days", "between"},
		{Warmup{Begin: "2026-11-23", First: 1, Days: 366}, "warmup.days", "between"},
	} {
		m := New()
		m.Warmup = &tc.w
		err := m.Validate()
		a, ok := errors.AsType[*appliance.AttrError](err)
		switch {
		case tc.attr == "" && err != nil:
			t.Errorf("%+v: %v", tc.w, err)
		case tc.attr != "" && (!ok || a.Attr != tc.attr || !strings.Contains(a.Msg, tc.word)):
			t.Errorf("%+v: %v, want %s and %q", tc.w, err, tc.attr, tc.word)
		}
	}
}

// TestWarmupRate: how many messages a day each site gets, and how far apart.
func TestWarmupRate(t *testing.T) {
	plan := func(w Warmup) *warmupPlan {
		p, err := w.plan()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	usual, quick := Warmup{Begin: "2026-11-23", First: 50}, Warmup{Begin: "2026-11-23", First: maxFirst, DoubleEvery: time.Hour, Days: 365}
	for _, tc := range []struct {
		w     Warmup
		after time.Duration // since begin
		want  int
		rate  string
	}{
		{usual, -100 * day, 50, "1/28m48s"},
		{usual, 0, 50, "1/28m48s"},
		{usual, day - 1, 50, "1/28m48s"},
		{usual, day, 100, "1/14m24s"},
		{usual, 2*day - 1, 100, "1/14m24s"},
		{usual, 10 * day, 51_200, "1/1.688s"},
		{usual, 29 * day, 0, ""}, // 26 thousand million
		{usual, 30 * day, 0, ""},
		{Warmup{Begin: "2026-11-23", First: 7, DoubleEvery: 7 * day, Days: 10}, 10*day - 1, 14, "1/1h42m52s"},
		{Warmup{Begin: "2026-11-23", First: 7, DoubleEvery: 7 * day, Days: 10}, 10 * day, 0, ""},
		{quick, 3 * time.Hour, 8 * maxFirst, "1/11ms"},
		{quick, 364 * day, 0, ""},
	} {
		p := plan(tc.w)
		at := p.begin.Add(tc.after)
		if n, rate := p.perDay(at), p.rate(at).String(); n != tc.want || rate != tc.rate {
			t.Errorf("%+v after %v: %d a day, %s; want %d, %s", tc.w, tc.after, n, rate, tc.want, tc.rate)
		}
	}
	if r := (*warmupPlan)(nil).rate(time.Now()); !r.IsZero() {
		t.Errorf("without a warm-up: %v", r)
	}
}

// TestWarmupSlower: both the provider's rate and that of the warm-up are kept.
func TestWarmupSlower(t *testing.T) {
	for _, tc := range [][3]string{
		{"", "", ""},
		{"", "1/28m48s", "1/28m48s"},
		{"100/1m", "", "100/1m"},
		{"100/1m", "1/28m48s", "1/28m48s"},
		{"10/1h", "1/4m48s", "10/1h"},
		{"48/1d", "1/28m48s", "48/1d"},
		{"1000/30d", "1/28m48s", "1/43m12s"}, // 100 of them could go at once
	} {
		rates := make([]appliance.Rate, 3)
		for i, text := range tc {
			var err error
			if rates[i], err = appliance.ParseRate(text); err != nil {
				t.Fatal(err)
			}
		}
		if got := slower(rates[0], rates[1]); got != rates[2] {
			t.Errorf("%q and %q: %s, want %q", tc[0], tc[1], got, tc[2])
		}
	}
}

// TestExplainWarmup: what the limit is today, and when it is over.
func TestExplainWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)))
		m := provision(t, zone{}, func(m *MX) { m.Warmup = &Warmup{Begin: "2026-11-23", First: 50} })
		text := func() string {
			all := m.Explain(t.Context(), appliance.Question{To: box("u@a.test")})
			i := slices.IndexFunc(all, func(a appliance.Answer) bool { return a.Topic == "warm-up" && a.Attr == "warmup" })
			if i < 0 {
				t.Fatalf("%+v", all)
			}
			return all[i].Text
		}
		if got, want := text(), "at most 200 messages a day to each site for now, one every 7m12s; twice as many every 1d until 2026-12-23 00:00 UTC"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		time.Sleep(30 * day)
		if got := text(); got != "over" {
			t.Error(got)
		}
	})
}

// A slowRelay is relay "mx" up to the connection: it notes when a message would
// have been sent, and to which domain.
type slowRelay struct {
	*MX
	mu   sync.Mutex
	sent map[string][]time.Time
}

func (r *slowRelay) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	domain := env.Recipients[0].Mailbox.Domain
	r.sent[domain] = append(r.sent[domain], time.Now())
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.NewReply(250, 0, 0, "ok"), Remote: true})
}

// to is when messages to a domain were sent.
func (r *slowRelay) to(domain string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent[domain])
}

// A road is the one pipeline of a queue.
type road struct {
	relay    appliance.Relay
	pipeline *appliance.Pipeline
}

func (r *road) Acquire(string) (*appliance.Pipeline, func(), bool) {
	return r.pipeline, func() {}, true
}

func (r *road) AcquireRelay(string) (appliance.Relay, func(), bool) { return r.relay, func() {}, true }

// queued is a queue that delivers with the relay of a test.
func queued(t *testing.T, relay appliance.Relay, events appliance.EventFunc) appliance.Engine {
	t.Helper()
	kept := store.New()
	if err := kept.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := appliance.Addr{Kind: appliance.KindRelay, Name: "internet"}
	r := &road{relay, &appliance.Pipeline{Relay: appliance.RefTo[appliance.Relay](addr, relay)}}
	settings := appliance.DefaultSettings()
	e := queue.New(appliance.EngineContext{
		Hostname: "mail.us.test", Store: kept, Router: r, Settings: settings.Queue,
		Events: events, Log: zap.NewNop(),
	})
	r.pipeline.Open(appliance.Addr{Kind: appliance.KindPipeline, Name: "out"}, appliance.House{
		Hostname: "mail.us.test", Spool: e, Now: time.Now, Limits: settings.Limits,
	})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Stop(context.Background()), kept.Stop(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return e
}

func queueMessage(t *testing.T, e appliance.Engine, to string) {
	t.Helper()
	d, err := e.Draft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(d, "\r\nhello\r\n")
	env, now := envelope(to), time.Now()
	if err := e.Commit(t.Context(), appliance.Accepted{
		ID: appliance.NewQueueID(now), Received: now, Draft: d, Origin: appliance.Origin{Pipeline: "out"}, Envelope: env,
		Deliveries: []appliance.Delivery{{Destination: "internet/" + env.Recipients[0].Mailbox.Domain, Due: now,
			Recipients: []appliance.RecipientState{{Recipient: env.Recipients[0]}}}},
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWarmup: for 30 days no site gets more than the plan has for a day, nor
// much less, whatever waits; the domains of a site share what it gets, other
// sites have their own. Afterwards all is sent.
func TestWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)))
		z := zone{"MX a.test": "10 mx.test", "MX b.test": "10 mx.test", "MX c.test": "10 mx.else.test"}
		relay := &slowRelay{sent: make(map[string][]time.Time), MX: provision(t, z, func(m *MX) {
			m.Warmup = &Warmup{Begin: "2026-11-23", First: 1, DoubleEvery: 6 * day, Days: 30}
		})}
		e := queued(t, relay, func(appliance.Event) {})
		for i := range 200 {
			queueMessage(t, e, fmt.Sprintf("u%d@%c.test", i, "ab"[i%2]))
			queueMessage(t, e, fmt.Sprintf("u%d@c.test", i))
		}
		plan, whole := relay.warmup, 186 // 6 days each of 1, 2, 4, 8, 16
		time.Sleep(30*day - time.Second)
		synctest.Wait()

		a, b, c := relay.to("a.test"), relay.to("b.test"), relay.to("c.test")
		both := slices.Concat(a, b)
		slices.SortFunc(both, time.Time.Compare)
		checkWarmup(t, both, plan)
		checkWarmup(t, c, plan)
		if least := whole * 97 / 100; len(both) < least || len(c) < least {
			t.Errorf("%d and %d messages in 30 days, the plan has %d", len(both), len(c), whole)
		}
		if min(len(a), len(b)) < len(both)*2/5 {
			t.Errorf("%d to one domain of a site, %d to the other", len(a), len(b))
		}
		time.Sleep(2 * time.Hour) // a message is waited for that was due by the last rate
		synctest.Wait()
		if a, b, c := len(relay.to("a.test")), len(relay.to("b.test")), len(relay.to("c.test")); a != 100 || b != 100 || c != 200 {
			t.Errorf("%d, %d and %d messages in the end", a, b, c)
		}
	})
}

// checkWarmup holds every stretch of a day against the plan. When the rate
// changes, one message may come sooner than the old one would have it.
func checkWarmup(t *testing.T, sent []time.Time, plan *warmupPlan) {
	t.Helper()
	first := 0
	for i, at := range sent {
		for at.Sub(sent[first]) >= day {
			first++
		}
		if n, most := i-first+1, plan.perDay(at)+1; n > most {
			t.Fatalf("%d messages in the 24 hours before %v, at most %d may be", n, at, most)
		}
	}
}
