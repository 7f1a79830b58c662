package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is what a Reporter reaches: records by domain, and what it sent.
type world struct {
	values valuestest.Values

	mu      sync.Mutex
	records map[string]string // by domain; "SERVFAIL"
	fail    bool              // nobody takes anything
	sent    []string          // "23 01:30 b.test", "upload https://…"
}

func newWorld() *world {
	return &world{records: map[string]string{"b.test": "mailto:reports@b.test"}}
}

func (w *world) LookupTXT(_ context.Context, name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch rua := w.records[strings.TrimSuffix(strings.TrimPrefix(name, "_smtp._tls."), ".")]; rua {
	case "":
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	case "SERVFAIL":
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	default:
		return []string{"v=TLSRPTv1; rua=" + rua}, nil
	}
}

var errClosed = errors.New("closed for today")

func (w *world) take(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail {
		return errClosed
	}
	w.sent = append(w.sent, what)
	return nil
}

func (w *world) post(_ context.Context, env appliance.Envelope, h appliance.Header, _ []byte) (appliance.QueueID, error) {
	return "q1", w.take(h.Get(fieldDomain) + " to " + env.Recipients[0].Mailbox.String() + " " + h.Get("Message-ID"))
}

func (w *world) upload(_ context.Context, to *url.URL, _ []byte) error { return w.take(to.String()) }

// reports is what was sent since the last call.
func (w *world) reports() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.sent = nil }()
	slices.Sort(w.sent)
	return strings.Join(w.sent, ", ")
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// left is the keys in the store.
func (w *world) left(t *testing.T) (keys []string) {
	t.Helper()
	infos, err := w.values.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		keys = append(keys, i.Key)
	}
	return keys
}

func (w *world) start(t *testing.T, log *zap.Logger) *Reporter {
	t.Helper()
	r := New(Config{
		Organization: "Us", From: box("postmaster@us.test"), Instance: "internet",
		Values: &w.values, Resolver: w, Post: w.post, Upload: w.upload, Log: log,
	})
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// until sleeps to a time of the bubble, whose clock begins at midnight UTC of
// 2000-01-01.
func until(day, hour int) {
	time.Sleep(time.Until(time.Date(2000, 1, day, hour, 0, 0, 0, time.UTC)))
	synctest.Wait()
}

// report is what the world gets about b.test for a day of January 2000.
func reportOf(day int) string {
	return fmt.Sprintf("b.test to reports@b.test <2000-01-%02d.b.test.internet@us.test>", day)
}

// TestDayChange: what was counted before midnight is sent once, not before
// half past twelve and not after four; what was counted after it, a day later.
func TestDayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.start(t, nil)
		until(1, 12)
		r.Record("b.test", byNone, nil)
		r.Record("silent.test", byNone, nil) // publishes nothing
		until(1, 23)
		r.Record("b.test", bySTS, nil)
		time.Sleep(time.Hour - time.Nanosecond)
		r.Record("b.test", bySTS, &Failure{Type: "certificate-expired"})
		time.Sleep(time.Second)
		r.Record("b.test", byDANE, nil)
		time.Sleep(restTime - time.Minute)
		if got := w.reports(); got != "" {
			t.Errorf("too early: %s", got)
		}
		until(2, 5)
		if got := w.reports(); got != reportOf(1) {
			t.Errorf("the first day: %q", got)
		}
		until(3, 5)
		if got := w.reports(); got != reportOf(2) {
			t.Errorf("the second day: %q", got)
		}
		until(12, 0)
		if got, keys := w.reports(), w.left(t); got != "" || len(keys) != 0 {
			t.Errorf("days later: %q, and the store has %q", got, keys)
		}
	})
}

// TestRestart: what several processes counted on a day, one after the other and
// side by side, is in one report.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		first := w.start(t, nil)
		first.Record("b.test", byNone, nil)
		first.Stop()
		second, third := w.start(t, nil), w.start(t, nil)
		second.Record("b.test", byNone, nil)
		third.Record("b.test", byNone, nil)
		time.Sleep(saveEvery + time.Second)
		all, keys, err := second.load(t.Context(), "2000-01-01", "")
		if err != nil || len(keys) != 3 || all["b.test"][0].Summary.Successful != 3 {
			t.Errorf("%v in %q, %v", all, keys, err)
		}
		until(2, 5)
		if got := w.reports(); got != reportOf(1) {
			t.Errorf("%q", got)
		}
		// A process that comes late with what it counted changes nothing.
		if err := w.values.Put(t.Context(), dayKey("2000-01-01")+"late", []byte(`{"b.test":[{}]}`)); err != nil {
			t.Fatal(err)
		}
		until(2, 8)
		if got, keys := w.reports(), w.left(t); got != "" || !slices.Equal(keys, []string{stateKey("2000-01-01")}) {
			t.Errorf("late: %q, %q", got, keys)
		}
	})
}

// TestRetry: what is not taken is tried again each hour, without those who were
// told, and given up after a day.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		w := newWorld()
		r := w.start(t, zap.New(core))
		w.records["c.test"], w.records["d.test"] = "SERVFAIL", "https://d.test/x"
		for _, d := range []string{"b.test", "c.test", "d.test"} {
			r.Record(d, byNone, nil)
		}
		until(2, 5)
		if got, want := w.reports(), reportOf(1)+", https://d.test/x"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		until(2, 12)
		w.set(func() { w.records["c.test"] = "gopher://c.test,https://c.test/y,mailto:never@c.test" })
		time.Sleep(retryEvery + saveEvery)
		if got := w.reports(); got != "https://c.test/y" {
			t.Errorf("later: %q", got)
		}
		w.set(func() { w.fail = true })
		until(3, 12)
		r.Record("b.test", byNone, nil)
		until(5, 6)
		w.set(func() { w.fail = false })
		until(6, 12)
		if got := w.reports(); got != "" || logs.FilterMessage("reports of TLS are given up").Len() != 1 {
			t.Errorf("given up: %q, %v", got, logs.All())
		}
		if keys := w.left(t); len(keys) != 2 { // the states of two days
			t.Errorf("%q", keys)
		}
	})
}

// TestMany: more domains than a batch has are each told once, by two nodes on
// one store, also if one of them stops in the middle.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		core, logs := observer.New(zap.WarnLevel)
		nodes := []*Reporter{w.start(t, zap.New(core)), w.start(t, zap.New(core))}
		var want []string
		for i := range 3*batchSize + 7 {
			d := fmt.Sprintf("d%03d.test", i)
			w.records[d] = "https://" + d + "/"
			want = append(want, w.records[d])
			nodes[i%2].Record(d, byNone, nil)
		}
		time.Sleep(saveEvery + time.Second)
		nodes[0].Stop()
		until(2, 5)
		if got := w.reports(); got != strings.Join(want, ", ") || logs.Len() != 0 {
			t.Errorf("%s, %v", got, logs.All())
		}
	})
}

// TestP8Store: what the store cannot do costs no delivery, and is made up for.
func TestP8Store(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		w := newWorld()
		broken := errors.New("disk on fire")
		failing := "put"
		w.values.Fail = func(op, _ string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if op == failing {
				return broken
			}
			return nil
		}
		r := w.start(t, zap.New(core))
		r.Record("b.test", byNone, nil)
		time.Sleep(saveEvery + time.Second)
		if logs.FilterMessageSnippet("cannot be saved").Len() != 1 {
			t.Errorf("%v", logs.All())
		}
		for hour, op := range []string{"list", "get", "lock", "delete"} {
			w.set(func() { failing = op })
			until(2, 5+hour*2)
		}
		w.set(func() { failing = "" })
		until(2, 16)
		if got := w.reports(); got != reportOf(1) {
			t.Errorf("%q", got)
		}
		if keys := w.left(t); !slices.Equal(keys, []string{stateKey("2000-01-01")}) {
			t.Errorf("%q", keys)
		}
	})
}

// TestDamage: a value that cannot be read costs what was in it; a state that
// cannot be read costs the day, rather than a second report to everybody.
func TestDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		put := func(key, value string) {
			t.Helper()
			if err := w.values.Put(t.Context(), key, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		r := w.start(t, nil)
		r.Record("b.test", byNone, nil)
		put(dayKey("2000-01-01")+"x", `{"c.test":`)
		put(dayKey("2000-01-01")+"y", `null`)
		put(dayKey("yesterday")+"x", `{}`)
		until(2, 5)
		if got := w.reports(); got != reportOf(1) {
			t.Errorf("%q", got)
		}
		r.Record("b.test", byNone, nil)
		put(stateKey("2000-01-02"), `{`)
		until(3, 5)
		if got := w.reports(); got != "" {
			t.Errorf("%q", got)
		}
	})
}
