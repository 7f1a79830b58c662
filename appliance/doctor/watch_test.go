package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dnsbl"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// A zoneResolver answers from a zone without a network, for virtual time.
type zoneResolver struct{ zone }

func (r *zoneResolver) ask(name string, typ uint16) ([]dns.RR, error) {
	m := new(dns.Msg)
	r.answer(m, dns.Question{Name: dns.Fqdn(name), Qtype: typ})
	var all []dns.RR
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == typ {
			all = append(all, rr)
		}
	}
	switch {
	case m.Rcode == dns.RcodeServerFailure:
		return nil, &net.DNSError{Err: "SERVFAIL", Name: name, IsTemporary: true}
	case all == nil:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return all, nil
}

func (r *zoneResolver) LookupAddr(_ context.Context, addr string) (names []string, err error) {
	all, err := r.ask(records.ReverseName(netip.MustParseAddr(addr)), dns.TypePTR)
	for _, rr := range all {
		names = append(names, rr.(*dns.PTR).Ptr)
	}
	return names, err
}

func (r *zoneResolver) LookupMX(_ context.Context, name string) (mx []*net.MX, err error) {
	all, err := r.ask(name, dns.TypeMX)
	for _, rr := range all {
		mx = append(mx, &net.MX{Host: rr.(*dns.MX).Mx, Pref: rr.(*dns.MX).Preference})
	}
	return mx, err
}

func (r *zoneResolver) LookupNetIP(_ context.Context, _, host string) (ips []netip.Addr, err error) {
	all, err := r.ask(host, dns.TypeA)
	for _, rr := range all {
		ip, _ := netip.AddrFromSlice(rr.(*dns.A).A.To4())
		ips = append(ips, ip)
	}
	return ips, err
}

func (r *zoneResolver) LookupTXT(_ context.Context, name string) (texts []string, err error) {
	all, err := r.ask(name, dns.TypeTXT)
	for _, rr := range all {
		texts = append(texts, strings.Join(rr.(*dns.TXT).Txt, ""))
	}
	return texts, err
}

// memory is a place in a store.
type memory struct {
	appliance.Values
	mu  sync.Mutex
	m   map[string][]byte
	err error
}

func (v *memory) Get(_ context.Context, key string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.m[key]; ok {
		return b, v.err
	}
	return nil, fs.ErrNotExist
}

func (v *memory) Put(_ context.Context, key string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.m[key] = value
	}
	return v.err
}

// A hook is the other side of a webhook.
type hook struct {
	mu      sync.Mutex
	answers []string // the next ones: "200", "302", "" refuses the connection; then 204
	seen    []string // when, and what
}

func (h *hook) answer(next ...string) {
	h.mu.Lock()
	h.answers = next
	h.mu.Unlock()
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var n Notice
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s %s %s %s", r.Method, r.Header.Get("Content-Type"), n.Hostname, n.Status)
	for _, c := range n.Changes {
		text += fmt.Sprintf("; %s %s→%s", c.Name, c.Was, c.Status)
	}
	h.seen = append(h.seen, text)
	answer := "204"
	if len(h.answers) > 0 {
		answer, h.answers = h.answers[0], h.answers[1:]
	}
	if answer == "" {
		return nil, errRefused
	}
	return &http.Response{Status: answer, StatusCode: int(answer[0]-'0') * 100, Body: http.NoBody, Header: http.Header{"Location": {"https://evil.test/"}}, Request: r}, nil
}

// A watched is a watch and what is around it.
type watched struct {
	t     *testing.T
	dns   *zoneResolver
	world *world
	store *memory
	hook  *hook
	logs  *observer.ObservedLogs
	core  zapcore.Core
	reg   *prometheus.Registry
	w     *Watch
	mu    sync.Mutex // guards the world
}

// change changes the configuration.
func (x *watched) change(f func(*Subject)) {
	x.mu.Lock()
	f(x.world.Subject)
	x.mu.Unlock()
}

const webhookAddress = "https://hooks.test/secret-token"

func watchIt(t *testing.T, lines string) *watched {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	x := &watched{t: t, dns: new(zoneResolver), store: &memory{m: make(map[string][]byte)}, hook: new(hook), core: core, logs: logs}
	x.dns.load(t, changed(wellZone, lines))
	x.world = newWorld(t, x.dns)
	x.world.Now = time.Now
	x.world.Settings.Deliverability.Watch = time.Hour
	x.world.Settings.Deliverability.Webhook = appliance.NewSecret(webhookAddress)
	x.start()
	return x
}

func (x *watched) start() {
	x.reg = prometheus.NewRegistry()
	x.w = StartWatch(WatchOptions{
		Subject: func() *Subject {
			x.mu.Lock()
			defer x.mu.Unlock()
			w := x.world.Subject
			return &Subject{Settings: w.Settings, Resolver: w.Resolver, Relays: w.Relays, Domains: w.Domains, Records: w.Records,
				Healthy: w.Healthy, Dial: w.Dial, Now: w.Now, Local: w.Local}
		},
		Values: x.store, Metrics: x.reg, Log: zap.New(x.core), Transport: x.hook,
	})
}

// said is what the log and the webhook were told since the last time.
func (x *watched) said() []string {
	var all []string
	for _, e := range x.logs.TakeAll() {
		all = append(all, strings.ToUpper(e.Level.String())+" "+e.Message)
		if strings.Contains(fmt.Sprint(e.ContextMap()), "secret-token") {
			x.t.Errorf("a secret is in the log: %v", e)
		}
	}
	x.hook.mu.Lock()
	defer x.hook.mu.Unlock()
	all = append(all, x.hook.seen...)
	x.hook.seen = nil
	return all
}

func (x *watched) expect(when string, want ...string) {
	x.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, x.said()); diff != "" {
		x.t.Errorf("%s: %s", when, diff)
	}
}

// gauge is waxwing_dns_check_ok.
func (x *watched) gauge(domain, record string) float64 {
	return testutil.ToFloat64(x.w.ok.WithLabelValues(domain, record))
}

const (
	afterFirst = 2*firstLook + time.Second
	nullMX     = "example.com. MX 0 .\nexample.com. TXT \"v=spf1 ip4:203.0.113.5 -all\""
	aWhile     = time.Hour + 10*time.Minute // longer than the interval with its jitter
)

// TestWatch: what breaks is said once, when two looks have seen it, and again
// when it is mended; the gauges follow; a restart repeats nothing.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, "")
		time.Sleep(afterFirst)
		x.expect("all is well")
		if n := testutil.CollectAndCount(x.reg, "waxwing_dns_check_ok"); n < 3 || x.gauge("example.com", "mx") != 1 || x.gauge("203.0.113.5", "ptr") != 1 {
			t.Errorf("%d gauges", n)
		}

		x.dns.load(t, changed(wellZone, nullMX))
		time.Sleep(aWhile)
		const broken = "WARN the DNS is not what mail from here needs: MX"
		x.expect("the MX is gone", broken, "POST application/json mail.example.com fail; MX ok→fail")
		if x.gauge("example.com", "mx") != 0 || x.gauge("203.0.113.5", "ptr") != 1 {
			t.Error("the gauge does not say so")
		}
		time.Sleep(3 * aWhile)
		x.expect("it is gone still")

		x.w.Stop()
		x.start()
		synctest.Wait()
		if x.gauge("example.com", "mx") != 0 {
			t.Error("the gauge is forgotten over a restart")
		}
		time.Sleep(aWhile)
		x.expect("after a restart")

		x.dns.load(t, wellZone)
		time.Sleep(aWhile)
		x.expect("it is there again", "INFO the DNS is well again: MX", "POST application/json mail.example.com ok; MX fail→ok")
		if x.gauge("example.com", "mx") != 1 {
			t.Error("the gauge is 0 still")
		}
		x.w.Stop()
	})
}

// TestWatchOfTheFirstLook: what is wrong from the beginning is said, too.
func TestWatchOfTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, "example.com. MX 10 old.example.com.\nexample.com. TXT \"v=spf1 ip4:203.0.113.5 -all\"")
		time.Sleep(afterFirst)
		x.expect("one look is none")
		time.Sleep(confirmTime)
		x.expect("two", "WARN the DNS is not what mail from here needs: MX old.example.com",
			"POST application/json mail.example.com fail; MX old.example.com →fail")
		x.dns.load(t, wellZone)
		time.Sleep(aWhile)
		x.expect("mended", "INFO the DNS is well again: MX", "POST application/json mail.example.com ok; MX fail→ok")
		x.w.Stop()
	})
}

// TestWatchIsCalm: a DNS server that does not answer, and a record that is away
// for a moment, are no change.
func TestWatchIsCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, "")
		time.Sleep(afterFirst)
		x.dns.load(t, changed(wellZone, "example.com. TXT SERVFAIL\n5.113.0.203.in-addr.arpa. TXT SERVFAIL"))
		time.Sleep(3 * aWhile)
		x.expect("nobody answers")
		if x.gauge("example.com", "mx") != 1 {
			t.Error("the gauge has changed")
		}
		x.dns.load(t, wellZone)
		time.Sleep(aWhile)
		x.expect("they answer again")

		st := state{{"example.com", "mx"}: {Told: appliance.FoundOK, Seen: appliance.FoundOK}}
		look := func(s appliance.Standing) (int, bool) {
			changes, unsure := st.take([]appliance.Finding{{Parts: []appliance.Finding{{Status: s, Domain: "example.com", Record: "mx"}}}}, time.Now())
			return len(changes), unsure
		}
		for i, step := range []struct {
			status  appliance.Standing
			changes int
			unsure  bool
		}{
			{appliance.FoundFail, 0, true}, {appliance.FoundOK, 0, false}, {appliance.FoundFail, 0, true}, {appliance.FoundWarn, 0, true},
			{appliance.FoundWarn, 1, false}, {appliance.FoundSkipped, 0, false}, {appliance.FoundOK, 0, true}, {appliance.FoundOK, 1, false},
		} {
			if n, unsure := look(step.status); n != step.changes || unsure != step.unsure {
				t.Errorf("step %d: %d changes, unsure %v", i, n, unsure)
			}
		}
		x.w.Stop()
	})
}

// TestListsAreWatchedOneByOne: that one list does not answer takes nothing from
// what the others say.
func TestListsAreWatchedOneByOne(t *testing.T) {
	st := make(state)
	look := func(all ...dnsbl.Listing) (told []string) {
		for range 2 {
			changes, _ := st.take([]appliance.Finding{{Parts: listings("203.0.113.5", all)}}, testTime)
			for _, c := range changes {
				told = append(told, fmt.Sprintf("%s %s→%s", c.Record, c.Was, c.Status))
			}
		}
		return told
	}
	clean, listed, silent := dnsbl.Listing{List: "a.test"}, dnsbl.Listing{List: "a.test", Listed: true}, dnsbl.Listing{List: "b.test", Problem: "it refuses", Fix: "ask otherwise"}
	for i, step := range []struct {
		all  []dnsbl.Listing
		want []string
	}{
		{[]dnsbl.Listing{clean, silent}, nil},
		{[]dnsbl.Listing{listed, silent}, []string{"blocklist:a.test ok→fail"}},
		{[]dnsbl.Listing{{List: "a.test", Problem: "no answer"}, {List: "b.test"}}, nil},
		{[]dnsbl.Listing{clean, {List: "b.test"}}, []string{"blocklist:a.test fail→ok"}},
	} {
		if diff := cmp.Diff(step.want, look(step.all...)); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}

// TestWebhookTries: three times, with pauses, and never elsewhere; the log does
// not have its address.
func TestWebhookTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, nullMX)
		x.hook.answer([]string{"", "500", "302"}...)
		time.Sleep(afterFirst + confirmTime + 2*time.Minute)
		const told = "POST application/json mail.example.com fail; MX →fail"
		x.expect("all tries", "WARN the DNS is not what mail from here needs: MX", "WARN the webhook of the deliverability block cannot be told of a change", told, told, told)
		x.dns.load(t, wellZone)
		x.hook.answer([]string{"", "200"}...)
		time.Sleep(aWhile)
		const well = "POST application/json mail.example.com ok; MX fail→ok"
		x.expect("the second", "INFO the DNS is well again: MX", well, well)
		x.w.Stop()
	})
}

// TestWatchFollowsTheConfiguration: "0s" and capture watch nothing, a reload
// lets it look soon, and what is not looked at any more has no gauge.
func TestWatchFollowsTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, "")
		x.change(func(s *Subject) { s.Settings.Deliverability.Watch = 0 })
		time.Sleep(24 * time.Hour)
		if n := testutil.CollectAndCount(x.reg, "waxwing_dns_check_ok"); n != 0 {
			t.Errorf("%d gauges of nothing", n)
		}
		x.change(func(s *Subject) { s.Settings.Deliverability.Watch = 5 * time.Minute })
		x.w.Reloaded()
		x.w.Reloaded()
		time.Sleep(afterFirst)
		synctest.Wait()
		if n := testutil.CollectAndCount(x.reg, "waxwing_dns_check_ok"); n < 3 {
			t.Errorf("%d gauges", n)
		}
		x.change(func(s *Subject) { s.Domains = nil })
		x.w.Reloaded()
		time.Sleep(afterFirst)
		synctest.Wait()
		if n := testutil.CollectAndCount(x.reg, "waxwing_dns_check_ok"); n != 2 {
			t.Errorf("%d gauges without the domain", n)
		}
		x.change(func(s *Subject) { s.Settings.Mode = appliance.ModeCapture })
		x.w.Reloaded()
		time.Sleep(afterFirst)
		synctest.Wait()
		if n := testutil.CollectAndCount(x.reg, "waxwing_dns_check_ok"); n != 0 {
			t.Errorf("%d gauges of captured mail", n)
		}
		x.expect("none of it is a change")
		x.w.Stop()
	})
}

// TestWatchOfUnknownAddresses: while nobody can say which addresses mail leaves
// from, what has been said of them stays, and is not said again.
func TestWatchOfUnknownAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, "")
		known := func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil }
		x.change(func(s *Subject) { s.Settings.Deliverability.Addresses, s.Local = nil, known })
		x.dns.load(t, strings.ReplaceAll(wellZone, "5.113.0.203.in-addr.arpa.", "6.113.0.203.in-addr.arpa."))
		time.Sleep(afterFirst + confirmTime)
		x.expect("no PTR record", "WARN the DNS is not what mail from here needs: PTR of 203.0.113.5", "POST application/json mail.example.com fail; PTR of 203.0.113.5 →fail")
		x.change(func(s *Subject) { s.Local = func() ([]netip.Addr, error) { return nil, errRefused } })
		time.Sleep(2 * aWhile)
		x.change(func(s *Subject) { s.Local = known })
		time.Sleep(2 * aWhile)
		x.expect("the address is known again")
		x.w.Stop()
	})
}

// TestWatchStops: in the middle of a look, and while the webhook waits.
func TestWatchStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watchIt(t, nullMX)
		x.hook.answer([]string{"", "", ""}...)
		for len(x.said()) == 0 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		begin := time.Now()
		x.w.Stop()
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %s", took)
		}
	})
}

// TestStoredState: what cannot be read is begun anew, and said.
func TestStoredState(t *testing.T) {
	st := state{{"example.com", "spf"}: {Told: appliance.FoundFail, Since: testTime, Seen: appliance.FoundOK}}
	v := &memory{m: make(map[string][]byte)}
	core, logs := observer.New(zap.InfoLevel)
	w := &Watch{o: WatchOptions{Values: v, Log: zap.New(core)}, state: st}
	w.save(t.Context())
	if got := w.load(t.Context()); !cmp.Equal(st, got) || logs.Len() != 0 {
		t.Errorf("%v, %d lines", got, logs.Len())
	}
	for _, bad := range [][]byte{nil, []byte("{"), []byte(`{"version":2}`), bytes.Repeat([]byte(" "), maxState+1)} {
		v.m[stateKey] = bad
		if got := w.load(t.Context()); got == nil || len(got) != 0 || logs.Len() != 1 {
			t.Errorf("%.20q: %v, %d lines", bad, got, logs.Len())
		}
		logs.TakeAll()
	}
	v.err = errors.New("the disk has failed")
	w.save(t.Context())
	if logs.Len() != 1 {
		t.Error("nobody is told that it cannot be kept")
	}
}
