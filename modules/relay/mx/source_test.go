package mx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// two are two addresses of each family, the second ones with names of their own.
func two(m *MX) {
	m.SendFrom = []SendFrom{
		{"203.0.113.7", ""}, {"203.0.113.8", "mail2.us.test"}, {"2001:db8::7", "Mail6.US.test"},
	}
}

func waysTo(m *MX, to string) (all []string) {
	for target, failure := range m.targets(context.Background(), box(to), &destination{domain: box(to).Domain}) {
		if failure != nil {
			all = append(all, fmt.Sprintf("%s %d %s", failure.Result.Host, failure.Result.Reply.Code, failure.Result.Reply.Status()))
			continue
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s from %s %s", target.Addr.Addr(), target.Source, target.Hello)))
	}
	return all
}

// TestLadder: other addresses, then the other family, then other exchangers,
// then another address of ours; we ourselves end it.
func TestLadder(t *testing.T) {
	z := zone{
		"MX a.test": "10 mx1.test, 20 mx2.test, 30 gone.test", "A mx1.test": "192.0.2.1, 192.0.2.2, 2001:db8::1", "A mx2.test": "192.0.2.3",
		"MX b.test": "10 mx2.test, 20 MAIL2.us.test, 30 mx1.test",
	}
	m := provision(t, z, two)
	for to, want := range map[string][]string{
		"u@a.test": {
			"192.0.2.1 from 203.0.113.7", "192.0.2.2 from 203.0.113.7", "2001:db8::1 from 2001:db8::7 mail6.us.test",
			"192.0.2.3 from 203.0.113.7", "gone.test 550 5.4.4",
			"192.0.2.1 from 203.0.113.8 mail2.us.test", "192.0.2.2 from 203.0.113.8 mail2.us.test", "192.0.2.3 from 203.0.113.8 mail2.us.test",
		},
		"u@b.test":             {"192.0.2.3 from 203.0.113.7", "192.0.2.3 from 203.0.113.8 mail2.us.test", "MAIL2.us.test 554 5.4.6"},
		"u@[IPv6:2001:db8::1]": {"2001:db8::1 from 2001:db8::7 mail6.us.test"},
	} {
		fold := gocmp.Transformer("fold", strings.ToLower)
		if diff := gocmp.Diff(want, waysTo(m, to), fold); diff != "" {
			t.Errorf("%s: %s", to, diff)
		}
	}
	m = provision(t, z, func(m *MX) { m.SendFrom = []SendFrom{{"203.0.113.7", ""}} })
	if got := waysTo(m, "u@[IPv6:2001:db8::1]"); !slices.Equal(got, []string{"[IPv6:2001:db8::1] 451 4.4.4"}) {
		t.Errorf("an address of a family that is not used: %q", got)
	}
}

// TestN3CapsOfSources: the bound holds for all of them together, and each has
// its part.
func TestN3CapsOfSources(t *testing.T) {
	var addrs []string
	for i := range 50 {
		addrs = append(addrs, fmt.Sprintf("192.0.2.%d", i+1))
	}
	got := waysTo(provision(t, zone{"A a.test": strings.Join(addrs, ", ")}, two), "u@a.test")
	n := slices.IndexFunc(got, func(s string) bool { return strings.Contains(s, "203.0.113.8") })
	if len(got) != maxAddresses || n != maxAddresses/2 {
		t.Errorf("%d in all, the second address begins at %d", len(got), n)
	}
}

// A tap hears what a client says.
type tap struct {
	net.Conn
	mu   sync.Mutex
	said bytes.Buffer
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said.Write(b[:n])
	return n, err
}

func (c *tap) hello() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, _, _ := strings.Cut(c.said.String(), "\r\n")
	return line
}

// gate is a server that greets clients from one address with a refusal. The
// result is who came, and how they said hello.
func gate(t *testing.T, refused string) (port uint16, came func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var taps []*tap
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			x := &tap{Conn: c}
			mu.Lock()
			taps = append(taps, x)
			mu.Unlock()
			if c.RemoteAddr().(*net.TCPAddr).IP.String() == refused {
				_, _ = io.WriteString(c, "554 5.7.1 You are listed\r\n")
				_ = c.Close()
				continue
			}
			wg.Go(func() { new(server).serve(x, takes) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String()).Port(), func() (all []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, x := range taps {
			all = append(all, strings.TrimSpace(x.RemoteAddr().(*net.TCPAddr).IP.String()+" "+x.hello()))
		}
		return all
	}
}

// TestSendFrom: a receiver that refuses one address of ours gets the message
// from another, which introduces itself by its own name, and the next message
// over the same connection.
func TestSendFrom(t *testing.T) {
	port, came := gate(t, "127.0.0.9")
	m := provision(t, zone{"A a.test": "127.0.0.1"}, func(m *MX) {
		loopback(port)(m)
		m.SendFrom = []SendFrom{{"127.0.0.9", "mail9.us.test"}, {"127.0.0.10", "mail10.us.test"}}
	})
	for range 2 {
		if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "250 2.0.0 a.test" {
			t.Error(got)
		}
	}
	if diff := gocmp.Diff([]string{"127.0.0.9", "127.0.0.10 EHLO mail10.us.test"}, came()); diff != "" {
		t.Error(diff)
	}
}

// TestPoolOfSources: a connection from one address is not used for another.
func TestPoolOfSources(t *testing.T) {
	port, came := gate(t, "")
	m := provision(t, zone{"A a.test": "127.0.0.1"}, func(m *MX) {
		loopback(port)(m)
		m.SendFrom = []SendFrom{{"127.0.0.9", "mail9.us.test"}, {"127.0.0.10", ""}}
	})
	h := usable{host: host{name: "a.test", addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, demand: demand{mode: m.mode}}
	for _, i := range []int{0, 1, 0, 1} {
		from := m.sources["ip4"][i]
		only := m.target(h.host, h.addrs[0], h.demand, from)
		targets := func(yield func(smtpconn.Target, *smtpconn.Failure) bool) { yield(only, nil) }
		if got := summary(m.pool.Deliver(t.Context(), envelope("u@a.test"), msg, targets)); got != "250 2.0.0 a.test" {
			t.Error(got)
		}
	}
	if diff := gocmp.Diff([]string{"127.0.0.9 EHLO mail9.us.test", "127.0.0.10 EHLO mail.us.test"}, came()); diff != "" {
		t.Error(diff)
	}
}

func TestSendFromValidate(t *testing.T) {
	for _, tc := range []struct {
		blocks []SendFrom
		change func(*MX)
		word   string
	}{
		{blocks: []SendFrom{{"mail.us.test", ""}}, word: "not an IP address"},
		{blocks: []SendFrom{{"::ffff:192.0.2.1", ""}}, word: "not an IP address"},
		{blocks: []SendFrom{{"192.0.2.1", ""}, {"192.0.2.1", "b.us.test"}}, word: "twice"},
		{blocks: []SendFrom{{"192.0.2.1", "mail"}}, word: "full name"},
		{blocks: []SendFrom{{"192.0.2.1", "[192.0.2.1]"}}, word: "full name"},
		{blocks: []SendFrom{{"192.0.2.1", "a b.test"}}, word: "full name"},
		{blocks: []SendFrom{{"192.0.2.1", ""}}, change: func(m *MX) { m.Source = []string{"192.0.2.1"} }, word: "beside source"},
		{blocks: []SendFrom{{"192.0.2.1", ""}}, change: func(m *MX) { m.IPVersions = []string{"ipv6"} }, word: "ip_versions"},
		{blocks: make([]SendFrom, maxSendFrom+1), word: "at most"},
	} {
		m := New()
		m.SendFrom = tc.blocks
		if tc.change != nil {
			tc.change(m)
		}
		a, ok := errors.AsType[*appliance.AttrError](m.Validate())
		if !ok || a.Attr != "send_from" || !strings.Contains(a.Msg, tc.word) {
			t.Errorf("%v: %v, want %q", tc.blocks, a, tc.word)
		}
	}
	m := New()
	two(m)
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
}

// pointers is a zone with PTR records.
type pointers struct {
	zone
	names map[string]string
}

func (p pointers) LookupAddr(_ context.Context, addr string) ([]string, error) {
	switch name := p.names[addr]; name {
	case "":
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	case "SERVFAIL":
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	default:
		return []string{name}, nil
	}
}

// TestExplainSources: which address, by which name, and whether its PTR record
// agrees; that is looked up only if it may be.
func TestExplainSources(t *testing.T) {
	dns := pointers{zone{}, map[string]string{"203.0.113.7": "MAIL.us.test.", "203.0.113.8": "host8.isp.test.", "203.0.113.10": "SERVFAIL"}}
	m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: dns}, func(m *MX) {
		m.SendFrom = []SendFrom{{"203.0.113.7", ""}, {"203.0.113.8", "mail2.us.test"}, {"203.0.113.9", ""}, {"203.0.113.10", ""}}
	})
	texts := func(dns bool) (all []string) {
		for _, a := range m.Explain(t.Context(), appliance.Question{To: box("u@a.test"), DNS: dns}) {
			if a.Topic == "source" {
				all = append(all, a.Attr+" "+a.Text)
			}
		}
		return all
	}
	plain := []string{
		"send_from.1 203.0.113.7 as mail.us.test", "send_from.2 203.0.113.8 as mail2.us.test",
		"send_from.3 203.0.113.9 as mail.us.test", "send_from.4 203.0.113.10 as mail.us.test",
	}
	if diff := gocmp.Diff(plain, texts(false)); diff != "" {
		t.Error(diff)
	}
	for i, more := range []string{
		"", "; its PTR record says host8.isp.test, which many receivers refuse",
		"; it has no PTR record, which many receivers refuse", "; its PTR record cannot be looked up",
	} {
		plain[i] += more
	}
	if diff := gocmp.Diff(plain, texts(true)); diff != "" {
		t.Error(diff)
	}
}
