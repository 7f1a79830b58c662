package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A fake is a resolver whose one server is a function. It is made in a bubble
// of synctest.
type fake struct {
	*Resolver
	asked atomic.Int32
}

func newFake(t *testing.T, answer func(ctx context.Context, q question) (response, error)) *fake {
	t.Helper()
	f := &fake{Resolver: onMachine(t, appliance.ResolverContext{}, "", "")}
	f.ask = func(ctx context.Context, _ netip.AddrPort, _ options, q question) (response, error) {
		f.asked.Add(1)
		return answer(ctx, q)
	}
	return f
}

// after asks once more after a while, and says whether the server was asked.
func (f *fake) after(t *testing.T, d time.Duration) bool {
	t.Helper()
	time.Sleep(d)
	before := f.asked.Load()
	f.Query(t.Context(), "MX", "q.test")
	return f.asked.Load() > before
}

// TestCacheTimes: how long what is kept (N14: no TTL, huge TTL).
func TestCacheTimes(t *testing.T) {
	for _, tc := range []struct {
		name              string
		change            func(*dns.Msg)
		answer, authority string
		want              time.Duration
	}{
		{"TTL", nil, "q.test. 300 MX 10 a.test.", "", 300 * time.Second},
		{"the smallest TTL of the records", nil, "q.test. 300 MX 10 a.test.\nq.test. 200 MX 20 b.test.", "", 200 * time.Second},
		{"the TTL of an alias", nil, "q.test. 100 CNAME r.test.\nr.test. 300 MX 10 a.test.", "", 100 * time.Second},
		{"N14 no TTL", nil, "q.test. 0 MX 10 a.test.", "", 0},
		{"N14 a TTL of years", nil, "q.test. 2000000000 MX 10 a.test.", "", 24 * time.Hour},
		{"N14 a TTL below nothing", nil, "q.test. 4294967295 MX 10 a.test.", "", 0},
		{"NODATA, minimum", nil, "", "test. 60 SOA a. b. 1 1 1 1 30", 30 * time.Second},
		{"NXDOMAIN, TTL of the SOA", rcode(dns.RcodeNameError), "", "test. 20 SOA a. b. 1 1 1 1 30", 20 * time.Second},
		{"NXDOMAIN for years", rcode(dns.RcodeNameError), "", "test. 2000000000 SOA a. b. 1 1 1 1 2000000000", 15 * time.Minute},
		{"NXDOMAIN without SOA", rcode(dns.RcodeNameError), "", "", 0},
		{"N14 NXDOMAIN with the SOA of others", rcode(dns.RcodeNameError), "", "example. 60 SOA a. b. 1 1 1 1 30", 0},
		{"SERVFAIL", rcode(dns.RcodeServerFailure), "", "", 5 * time.Second},
		{"SERVFAIL with SOA", rcode(dns.RcodeServerFailure), "", "test. 60 SOA a. b. 1 1 1 1 30", 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(_ context.Context, q question) (response, error) {
					return says(q, tc.change, tc.answer, tc.authority), nil
				})
				f.after(t, 0)
				if tc.want > 0 && f.after(t, tc.want-time.Nanosecond) {
					t.Error("asked again before the time")
				}
				if !f.after(t, time.Nanosecond) {
					t.Error("not asked again after the time")
				}
			})
		})
	}
}

// TestShared: those who ask the same at the same time share one question, and
// who gives up does not take the others along.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(ctx context.Context, q question) (response, error) {
			select {
			case <-time.After(2 * time.Second):
				return says(q, nil, q.name+" 0 MX 10 a.test.", ""), nil
			case <-ctx.Done():
				return response{}, ctx.Err()
			}
		})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := f.Query(short, "MX", "q.test"); kind(err) != "time-out" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gives up after a second: %v", err)
			}
		})
		for range 5 {
			all.Go(func() {
				got, err := f.Query(t.Context(), "MX", "Q.test.")
				if err != nil || show(got) != "10 a.test." {
					t.Errorf("%q, %v", show(got), err)
				}
				got.MX[0].Host = "mine" // everybody has his own
			})
		}
		all.Wait()
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestAbandoned: when nobody waits any more the question ends, and says
// nothing about the name.
func TestAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		f := newFake(t, func(ctx context.Context, q question) (response, error) {
			if slow {
				<-ctx.Done()
				return response{}, ctx.Err()
			}
			return says(q, nil, q.name+" MX 10 a.test.", ""), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := f.Query(ctx, "MX", "q.test"); kind(err) != "temporary" || !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up: %v", err)
		}
		synctest.Wait()
		if len(f.flights) != 0 {
			t.Error("the question goes on")
		}
		slow = false
		if got, err := f.Query(t.Context(), "MX", "q.test"); err != nil {
			t.Errorf("%q, %v", show(got), err)
		}
	})
}

// TestClose: it ends what is asked, waits for it, and nothing is asked afterwards.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		f := newFake(t, func(ctx context.Context, q question) (response, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			over.Store(true)
			return response{}, ctx.Err()
		})
		done := make(chan error, 1)
		go func() { _, err := f.Query(t.Context(), "MX", "q.test"); done <- err }()
		synctest.Wait()
		f.Close()
		if !over.Load() {
			t.Error("closed before the end")
		}
		if err := <-done; kind(err) != "temporary" {
			t.Error(err)
		}
		if _, err := f.Query(t.Context(), "A", "r.test"); kind(err) != "temporary" {
			t.Error(err)
		}
	})
}

// TestOutstanding: no more questions than that are with the servers at a time.
func TestOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now, most int
		change := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			now += by
			most = max(most, now)
		}
		f := newFake(t, func(_ context.Context, q question) (response, error) {
			change(+1)
			time.Sleep(time.Second)
			change(-1)
			return says(q, nil, q.name+" MX 10 a.test.", ""), nil
		})
		var all sync.WaitGroup
		for i := range 2 * maxOutstanding {
			all.Go(func() {
				if _, err := f.Query(t.Context(), "MX", fmt.Sprintf("q%d.test", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most != maxOutstanding {
			t.Errorf("%d at a time", most)
		}
	})
}

// TestConfigure: the cache outlives a reload that changes nothing about the DNS.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ context.Context, q question) (response, error) {
			return says(q, authentic, q.name+" MX 10 a.test.", ""), nil
		})
		f.after(t, 0)
		f.Configure(appliance.Settings{Hostname: "other.test"})
		if f.after(t, 0) {
			t.Error("the same servers are asked again")
		}
		f.Configure(appliance.Settings{DNSSEC: true})
		if got, err := f.Query(t.Context(), "MX", "q.test"); err != nil || !got.Secure {
			t.Errorf("%+v, %v: an answer from before the servers were believed", got, err)
		}
		f.Configure(appliance.Settings{Resolver: appliance.DNSServers{"192.0.2.1"}})
		if !f.after(t, 0) {
			t.Error("the other server is not asked")
		}
	})
}

// TestCacheSize: the cache stays within its bounds, and what was not used for
// longest leaves first.
func TestCacheSize(t *testing.T) {
	c := newCache(10_000)
	entry := result{answer: appliance.DNSAnswer{Texts: []string{strings.Repeat("x", 500)}}, keep: time.Hour}
	q := func(i int) question { return question{dns.TypeTXT, fmt.Sprintf("q%d.test.", i)} }
	c.put(q(0), entry)
	for i := 1; i < 100; i++ {
		c.put(q(i), entry)
		if _, ok := c.get(q(0)); !ok {
			t.Fatalf("what is used all the time is gone after %d", i)
		}
	}
	sum := 0
	for e := c.order.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*cached).size
	}
	if c.used != sum || c.used > c.limit || len(c.entries) != c.order.Len() || len(c.entries) < 5 {
		t.Errorf("%d entries of %d octets, %d counted", len(c.entries), sum, c.used)
	}
	if _, ok := c.get(q(1)); ok {
		t.Error("the oldest is still there")
	}
	entry.answer.Texts[0] = strings.Repeat("x", 5000)
	if c.put(q(200), entry); len(c.entries) < 5 {
		t.Error("one answer has displaced the others")
	}
}
