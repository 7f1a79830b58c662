package mtasts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// A world is what a Cache can ask, and how often it did.
type world struct {
	mu      sync.Mutex
	texts   map[string]string // by domain: the id, "" for none; "SERVFAIL"
	policy  map[string]string // by domain: the text, "" for 404
	delay   time.Duration     // of a fetch
	lookups int
	fetches int
}

func newWorld() *world {
	return &world{texts: map[string]string{"a.test": "1"}, policy: map[string]string{"a.test": good}}
}

func (w *world) set(id, policy string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts["a.test"], w.policy["a.test"] = id, policy
}

func (w *world) LookupTXT(_ context.Context, name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	switch id := w.texts[strings.TrimSuffix(strings.TrimPrefix(name, "_mta-sts."), ".")]; id {
	case "":
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	case "SERVFAIL":
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	default:
		return []string{"v=STSv1; id=" + id}, nil
	}
}

func (w *world) fetch(ctx context.Context, domain string) (*mtasts.Policy, error) {
	w.mu.Lock()
	w.fetches++
	text, delay := w.policy[domain], w.delay
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if text == "" {
		return nil, ErrFetch
	}
	return mtasts.ParsePolicy(text)
}

func (w *world) cache(t *testing.T, v *valuestest.Values, log *zap.Logger) *Cache {
	t.Helper()
	cfg := Config{Resolver: w, Fetch: w.fetch, Log: log}
	if v != nil {
		cfg.Values = v
	}
	c := NewCache(cfg)
	t.Cleanup(c.Stop)
	return c
}

// mode is what is in force for a domain, in a word.
func mode(t *testing.T, c *Cache, domain string) mtasts.Mode {
	t.Helper()
	a, err := c.Policy(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	if a.Policy == nil {
		return ""
	}
	return a.Policy.Mode
}

// want fails unless mode is m, after any look beside it has ended.
func want(t *testing.T, c *Cache, m mtasts.Mode, when string) {
	t.Helper()
	if got := mode(t, c, "a.test"); got != m {
		t.Errorf("%s: %q, want %q", when, got, m)
	}
	synctest.Wait()
}

func policyText(mode, age string) string {
	return "version: STSv1\nmode: " + mode + "\nmx: mx.a.test\nmax_age: " + age + "\n"
}

// TestN12Remembered: the policy is asked for when it has to be, and no more.
func TestN12Remembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache(t, nil, nil)
		counts := func(when string, lookups, fetches int) {
			t.Helper()
			if w.lookups != lookups || w.fetches != fetches {
				t.Errorf("%s: %d look-ups, %d fetches; want %d, %d", when, w.lookups, w.fetches, lookups, fetches)
			}
		}
		want(t, c, mtasts.Enforce, "first")
		want(t, c, mtasts.Enforce, "again")
		counts("at once", 1, 1)
		time.Sleep(checkEvery)
		want(t, c, mtasts.Enforce, "ten minutes later")
		counts("ten minutes later", 2, 1)
		w.set("2", policyText("testing", "172800"))
		time.Sleep(checkEvery)
		want(t, c, mtasts.Enforce, "the delivery does not wait")
		want(t, c, mtasts.Testing, "a new id")
		counts("a new id", 3, 2)
		time.Sleep(fetchEvery - time.Hour)
		want(t, c, mtasts.Testing, "23 hours later")
		counts("23 hours later", 4, 2)
		w.set("2", policyText("none", "86400"))
		time.Sleep(time.Hour)
		want(t, c, mtasts.Testing, "a day later")
		counts("a day later", 5, 3)
		want(t, c, mtasts.None, "the same id, another policy")
	})
}

// TestN12Outage: what is known stays in force until max_age is over, whatever
// happens to the record and to the web server.
func TestN12Outage(t *testing.T) {
	for name, tc := range map[string]struct{ id, policy string }{
		"404":                {"2", ""},
		"malformed":          {"2", "<html>"},
		"the record is gone": {"", good},
		"a strange record":   {"x-y", good},
		"SERVFAIL":           {"SERVFAIL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, v := newWorld(), new(valuestest.Values)
				c := w.cache(t, v, nil)
				want(t, c, mtasts.Enforce, "first")
				w.set(tc.id, tc.policy)
				for range 6 {
					time.Sleep(24 * time.Hour)
					want(t, c, mtasts.Enforce, "during the outage")
				}
				time.Sleep(23 * time.Hour)
				want(t, w.cache(t, v, nil), mtasts.Enforce, "after a restart")
				time.Sleep(time.Hour)
				want(t, c, "", "after max_age")
				want(t, w.cache(t, v, nil), "", "after max_age and a restart")
				w.set("3", policyText("testing", "60"))
				time.Sleep(checkEvery)
				want(t, c, mtasts.Testing, "after the outage")
			})
		})
	}
}

// TestN12NoDNS: whoever keeps the record from us does not make us forget a
// policy that the domain still serves. What it serves now counts.
func TestN12NoDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, v := newWorld(), new(valuestest.Values)
		c := w.cache(t, v, nil)
		want(t, c, mtasts.Enforce, "first")
		w.set("SERVFAIL", good)
		for range 30 {
			time.Sleep(24 * time.Hour)
			want(t, c, mtasts.Enforce, "without the record")
		}
		if w.fetches != 31 {
			t.Errorf("%d fetches", w.fetches)
		}
		want(t, w.cache(t, v, nil), mtasts.Enforce, "after a restart")
		w.set("SERVFAIL", "")
		time.Sleep(25 * time.Hour)
		before := w.fetches
		for range 60 {
			time.Sleep(time.Minute)
			want(t, c, mtasts.Enforce, "without anything")
		}
		if n := w.fetches - before; n > 6 {
			t.Errorf("%d fetches in an hour", n)
		}
		w.set("SERVFAIL", policyText("none", "60"))
		time.Sleep(checkEvery)
		want(t, c, mtasts.Enforce, "before the look")
		want(t, c, mtasts.None, "after the end of the policy")
	})
}

// TestShelfOctets: policies that grow need room, too.
func TestShelfOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{values: new(valuestest.Values), log: zap.NewNop()}
		save := func(domain string, n int) bool {
			p := mtasts.Policy{Mode: mtasts.Enforce, MaxAge: 240 * time.Hour, MX: []string{strings.Repeat("a", n)}}
			return s.save(t.Context(), &record{Domain: domain, ID: "1", Fetched: time.Now(), Policy: p})
		}
		const large = 1 << 20
		for i := range maxKeptOctets/large - 1 {
			save(fmt.Sprintf("d%d.test", i), large)
		}
		for i := range 3 {
			save(fmt.Sprintf("grows%d.test", i), 10)
		}
		for i := range 3 {
			save(fmt.Sprintf("grows%d.test", i), large-large/8)
		}
		if s.octets > maxKeptOctets {
			t.Errorf("%d octets", s.octets)
		}
		if !save("d0.test", large) || save("grows1.test", large) {
			t.Error("what fits is not kept, or what does not fit is")
		}
	})
}

// TestN12None: a domain without a policy, or with one that cannot be had, is
// not asked again for a while, and says why.
func TestN12None(t *testing.T) {
	for _, tc := range []struct {
		id, policy string
		err        error
		again      time.Duration
		fetches    int
	}{
		{"", "", mtasts.ErrNoRecord, checkEvery, 0},
		{"x-y", good, mtasts.ErrRecord, checkEvery, 0},
		{"1", "", ErrFetch, checkEvery, 1},
		{"1", "x", mtasts.ErrPolicy, checkEvery, 1},
		{"SERVFAIL", "", nil, troubleEvery, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.set(tc.id, tc.policy)
			c := w.cache(t, nil, nil)
			for range 3 {
				a, err := c.Policy(t.Context(), "a.test")
				if err != nil || a.Policy != nil || a.Err == nil || tc.err != nil && !errors.Is(a.Err, tc.err) {
					t.Errorf("%+v, %v", a, err)
				}
				time.Sleep(tc.again/2 - time.Second)
			}
			if w.lookups != 1 || w.fetches != tc.fetches {
				t.Errorf("%q: %d look-ups, %d fetches", tc.id, w.lookups, w.fetches)
			}
			time.Sleep(3 * time.Second)
			w.set("2", good)
			want(t, c, mtasts.Enforce, "once it has one")
		})
	}
}

// TestSingleLook: whoever waits for the same domain waits for one fetch, and
// for no longer than his own time.
func TestSingleLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.delay = 10 * time.Second
		c := w.cache(t, nil, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if m := mode(t, c, "a.test"); m != mtasts.Enforce {
					t.Errorf("%q", m)
				}
			})
		}
		hurry, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Policy(hurry, "a.test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		if w.fetches != 1 {
			t.Errorf("%d fetches", w.fetches)
		}
	})
}

// TestR11Clock: a clock that was wrong when a policy was fetched neither
// loses it nor keeps it from being fetched again.
func TestR11Clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			off     time.Duration
			fetches int
			offline mtasts.Mode // what is in force if nothing can be fetched
		}{
			"right":      {0, 0, mtasts.Enforce},
			"in 3 days":  {3 * 24 * time.Hour, 1, mtasts.Enforce},
			"in 5 years": {5 * 8766 * time.Hour, 1, mtasts.Enforce},
			"2 days ago": {-2 * 24 * time.Hour, 1, mtasts.Enforce},
			"long ago":   {-5 * 8766 * time.Hour, 1, ""},
		} {
			w, v := newWorld(), new(valuestest.Values)
			p, _ := mtasts.ParsePolicy(good)
			s := shelf{values: v, log: zap.NewNop()}
			if !s.save(t.Context(), &record{Domain: "a.test", ID: "1", Fetched: time.Now().Add(tc.off), Policy: *p}) {
				t.Fatal("not saved")
			}
			c := w.cache(t, v, nil)
			want(t, c, mtasts.Enforce, name)
			if w.fetches != tc.fetches {
				t.Errorf("%s: %d fetches, want %d", name, w.fetches, tc.fetches)
			}
			s = shelf{values: v, log: zap.NewNop()}
			s.save(t.Context(), &record{Domain: "a.test", ID: "1", Fetched: time.Now().Add(tc.off), Policy: *p})
			w.set("", "")
			want(t, w.cache(t, v, nil), tc.offline, name+", offline")
		}
	})
}

// TestP8Store: a store that cannot be read defers mail, as a policy may be in
// it; one that cannot be written costs a warning.
func TestP8Store(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk on fire")
		w, v := newWorld(), new(valuestest.Values)
		v.Fail = func(op, _ string) error {
			if op == "get" {
				return broken
			}
			return nil
		}
		c := w.cache(t, v, nil)
		if _, err := c.Policy(t.Context(), "a.test"); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		core, logs := observer.New(zap.WarnLevel)
		v.Fail = func(op, _ string) error {
			if op == "put" {
				return broken
			}
			return nil
		}
		want(t, c, mtasts.Enforce, "readable again")
		if c.log = zap.New(core); logs.Len() != 0 {
			t.Error(logs.All())
		}
		want(t, w.cache(t, v, zap.New(core)), mtasts.Enforce, "not writable")
		if logs.FilterMessageSnippet("in memory only").Len() != 1 {
			t.Errorf("%v", logs.All())
		}
		v.Fail = nil
		if err := v.Put(t.Context(), key("a.test"), []byte(`{"domain":`)); err != nil {
			t.Fatal(err)
		}
		want(t, w.cache(t, v, zap.New(core)), mtasts.Enforce, "a damaged value")
	})
}

// TestModeNone: it takes a policy back, in the store too.
func TestModeNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, v := newWorld(), new(valuestest.Values)
		c := w.cache(t, v, nil)
		want(t, c, mtasts.Enforce, "first")
		w.set("2", policyText("none", "86400"))
		time.Sleep(checkEvery)
		want(t, c, mtasts.Enforce, "while it is fetched")
		want(t, c, mtasts.None, "none")
		w.set("", "")
		want(t, w.cache(t, v, nil), "", "after a restart")
	})
}

// TestMemoryBounds: a flood of domains pushes out what can be had again, and
// not what is nowhere else.
func TestMemoryBounds(t *testing.T) {
	var m memory
	m.init()
	now := time.Now()
	precious := m.entry("precious.test", now)
	m.set(precious, &record{Fetched: now, Policy: mtasts.Policy{Mode: mtasts.Enforce, MaxAge: time.Hour, MX: []string{"mx.test"}}}, now)
	precious.unsaved = true
	for i := range maxDomains + 100 {
		m.entry(fmt.Sprintf("d%d.test", i), now)
	}
	if len(m.entries) != maxDomains || m.recent.Len() != maxDomains || m.entry("precious.test", now) != precious {
		t.Errorf("%d domains, and the precious one: %v", len(m.entries), m.entries["precious.test"] != nil)
	}
	huge := mtasts.Policy{Mode: mtasts.Enforce, MaxAge: time.Hour}
	for range 900 {
		huge.MX = append(huge.MX, strings.Repeat("x", 60))
	}
	for i := range 2000 {
		m.set(m.entry(fmt.Sprintf("h%d.test", i), now), &record{Fetched: now, Policy: huge}, now)
	}
	sum := 0
	for el := m.recent.Front(); el != nil; el = el.Next() {
		sum += el.Value.(*entry).known.octets()
	}
	if sum != m.octets || sum > maxOctets {
		t.Errorf("%d octets, counted as %d", sum, m.octets)
	}
}

// TestShelfFull: when there is no room, what has expired or does not enforce
// goes first; what nobody uses goes with a warning; what is in use stays.
func TestShelfFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		v := new(valuestest.Values)
		s := shelf{values: v, log: zap.New(core)}
		save := func(domain string, mode mtasts.Mode, age, maxAge time.Duration) bool {
			return s.save(t.Context(), &record{Domain: domain, ID: "1", Fetched: time.Now().Add(-age), Policy: mtasts.Policy{Mode: mode, MaxAge: maxAge, MX: []string{"mx.test"}}})
		}
		const day = 24 * time.Hour
		save("expired.test", mtasts.Enforce, 3*day, day)
		save("testing.test", mtasts.Testing, 2*day, 30*day)
		save("unused.test", mtasts.Enforce, 8*day, 30*day)
		for i := len(s.kept); i < maxKept; i++ {
			if !save(fmt.Sprintf("d%d.test", i), mtasts.Enforce, time.Hour, 30*day) {
				t.Fatal("not saved")
			}
		}
		for i, gone := range []string{"unused.test", "expired.test", "testing.test", ""} {
			saved := save(fmt.Sprintf("new%d.test", i), mtasts.Enforce, 0, 30*day)
			if saved != (gone != "") || len(s.kept) != maxKept {
				t.Errorf("%d: saved %v, %d kept", i, saved, len(s.kept))
			}
			if _, ok := s.kept[key(gone)]; ok {
				t.Errorf("%s is still there", gone)
			}
		}
		if !save("new0.test", mtasts.Enforce, 0, 30*day) {
			t.Error("what is there cannot be brought up to date")
		}
		if logs.FilterMessageSnippet("nobody has used").Len() != 1 || logs.FilterMessageSnippet("in memory only").Len() != 1 {
			t.Error(logs.All())
		}
		all, err := v.List(t.Context(), place)
		if err != nil || len(all) != maxKept {
			t.Errorf("%d values, %v", len(all), err)
		}
	})
}

func TestKey(t *testing.T) {
	v := new(valuestest.Values)
	long := strings.Repeat(strings.Repeat("x", 60)+".", 4) + "test"
	for _, domain := range []string{"a.test", long, "xn--bcher-kva.example"} {
		s := shelf{values: v, log: zap.NewNop()}
		s.save(t.Context(), &record{Domain: domain, ID: "1", Fetched: time.Now(), Policy: mtasts.Policy{Mode: mtasts.Enforce, MaxAge: time.Hour, MX: []string{"mx.test"}}})
		r, err := s.load(t.Context(), domain)
		if err != nil || r == nil || r.Domain != domain {
			t.Errorf("%s: %v, %v", domain, r, err)
		}
	}
}

// TestStop: it ends a fetch, and nothing begins afterwards.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.delay = time.Hour
		c := w.cache(t, nil, nil)
		done := make(chan error)
		go func() { _, err := c.Policy(context.Background(), "a.test"); done <- err }()
		synctest.Wait()
		c.Stop()
		if err := <-done; !errors.Is(err, errStopped) {
			t.Errorf("%v: mail would go without its policy", err)
		}
		if _, err := c.Policy(t.Context(), "b.test"); !errors.Is(err, errStopped) {
			t.Error(err)
		}
	})
}
