package mx

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a DNS of "TYPE name" to answers:
//
//	"MX a.test": "10 mx1.a.test, 20 mx2.a.test"
//	"A a.test":  "192.0.2.1, 2001:db8::1"
//
// "SERVFAIL" among the answers is an error beside the others. What is not
// there does not exist.
type zone map[string]string

var _ appliance.Resolver = zone{}

func (z zone) lookup(kind, name string) (answers []string, err error) {
	if !strings.HasSuffix(name, ".") {
		return nil, fmt.Errorf("%q is not fully qualified: a search list would apply", name)
	}
	s, ok := z[kind+" "+strings.TrimSuffix(name, ".")]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	for a := range strings.SplitSeq(s, ", ") {
		if a == "SERVFAIL" {
			err = &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
			continue
		}
		answers = append(answers, a)
	}
	return answers, err
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	answers, err := z.lookup("MX", name)
	var all []*net.MX
	for _, a := range answers {
		mx := new(net.MX)
		if _, err := fmt.Sscanf(a, "%d %s", &mx.Pref, &mx.Host); err != nil {
			return nil, err
		}
		mx.Host += "."
		if mx.Host == ".." {
			mx.Host = "."
		}
		all = append(all, mx)
	}
	return all, err
}

func (z zone) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	answers, err := z.lookup("A", host)
	var all []netip.Addr
	for _, a := range answers {
		if ip := netip.MustParseAddr(a); ip.Unmap().Is4() == (network == "ip4") {
			all = append(all, ip)
		}
	}
	if len(all) == 0 && err == nil {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, err
}

func (zone) LookupAddr(context.Context, string) ([]string, error) {
	return nil, errors.New("not asked")
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return z.lookup("TXT", name)
}

// provision returns an MX in the zone that is stopped at the end of the test.
func provision(t *testing.T, z zone, change func(*MX)) *MX {
	t.Helper()
	return provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: z}, change)
}

func provisionWith(t *testing.T, ctx *appliance.Context, change func(*MX)) *MX {
	t.Helper()
	m := New()
	if change != nil {
		change(m)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	// Whatever the addresses of the machine that runs this test are.
	m.guard.own = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("198.51.100.1")} }
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func box(s string) appliance.Mailbox {
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

// TestTargets is where mail for u@a.test may go, and what is said when it may
// not.
func TestTargets(t *testing.T) {
	v4only := func(m *MX) { m.IPVersions = []string{"ipv4"} }
	for _, tc := range []struct {
		name   string
		to     string // default u@a.test
		zone   zone
		change func(*MX)
		want   []string
	}{
		{name: "by preference", zone: zone{"MX a.test": "20 mx2.test, 10 MX1.test", "A mx1.test": "192.0.2.1", "A mx2.test": "192.0.2.2"},
			want: []string{"mx1.test 192.0.2.1:25", "mx2.test 192.0.2.2:25"}},
		{name: "IPv4 before IPv6", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "2001:db8::1, 192.0.2.1, 192.0.2.2"},
			want: []string{"mx.test 192.0.2.1:25", "mx.test 192.0.2.2:25", "mx.test [2001:db8::1]:25"}},
		{name: "IPv6 before IPv4", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "192.0.2.1, 2001:db8::1"},
			change: func(m *MX) { m.IPVersions = []string{"ipv6", "ipv4"} },
			want:   []string{"mx.test [2001:db8::1]:25", "mx.test 192.0.2.1:25"}},
		{name: "only the families of source", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "192.0.2.1, 2001:db8::1"},
			change: func(m *MX) { m.Source = []string{"2001:db8::7"} }, want: []string{"mx.test [2001:db8::1]:25"}},
		{name: "a family that is not used", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "2001:db8::1"}, change: v4only,
			want: []string{"mx.test 451 4.4.4"}},
		{name: "a mapped address is IPv4", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "::ffff:192.0.2.1"},
			want: []string{"mx.test 192.0.2.1:25"}},

		{name: "N1 no MX", zone: zone{"A a.test": "192.0.2.1"}, want: []string{"a.test 192.0.2.1:25"}},
		{name: "N1 no such domain", zone: zone{}, want: []string{"550 5.1.2"}},
		{name: "N1 SERVFAIL for MX", zone: zone{"MX a.test": "SERVFAIL", "A a.test": "192.0.2.1"}, want: []string{"451 4.4.3"}},
		{name: "N1 SERVFAIL for A", zone: zone{"A a.test": "SERVFAIL"}, want: []string{"a.test 451 4.4.3"}},
		{name: "N1 SERVFAIL for the host", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "SERVFAIL"}, want: []string{"mx.test 451 4.4.3"}},
		{name: "N1 the family that is not used fails", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "2001:db8::1, SERVFAIL"}, change: v4only,
			want: []string{"mx.test 451 4.4.3"}},

		{name: "N2 null MX", zone: zone{"MX a.test": "0 .", "A a.test": "192.0.2.1"}, want: []string{"556 5.1.10"}},
		{name: "N2 null MX and another", zone: zone{"MX a.test": "0 ., 10 mx.test", "A mx.test": "192.0.2.1"}, want: []string{"mx.test 192.0.2.1:25"}},

		{name: "N3 an address is no host", zone: zone{"MX a.test": "10 192.0.2.9, 20 mx.test", "A mx.test": "192.0.2.1"}, want: []string{"mx.test 192.0.2.1:25"}},
		{name: "N3 only addresses", zone: zone{"MX a.test": "10 192.0.2.9", "A a.test": "192.0.2.1"}, want: []string{"550 5.4.4"}},
		{name: "N3 a host that does not exist", zone: zone{"MX a.test": "10 gone.test, 20 mx.test", "A mx.test": "192.0.2.1"},
			want: []string{"gone.test 550 5.4.4", "mx.test 192.0.2.1:25"}},
		{name: "N3 records and an error at once", zone: zone{"MX a.test": "10 mx.test, SERVFAIL", "A mx.test": "192.0.2.1"}, want: []string{"mx.test 192.0.2.1:25"}},

		{name: "N4 special addresses are skipped", zone: zone{"MX a.test": "10 bad.test, 20 mx.test", "A bad.test": "10.0.0.1, 169.254.169.254", "A mx.test": "192.168.1.1, 192.0.2.1"},
			want: []string{"bad.test 550 5.4.4", "mx.test 192.0.2.1:25"}},
		{name: "N4 allow_networks", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "10.1.2.3"}, change: func(m *MX) { m.AllowNetworks = []string{"10.0.0.0/8"} },
			want: []string{"mx.test 10.1.2.3:25"}},
		{name: "N4 loopback is ourselves", zone: zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1"}, want: []string{"mx.test 554 5.4.6"}},
		{name: "N4 our name is the best MX", zone: zone{"MX a.test": "10 Mail.US.test, 20 mx.test", "A mx.test": "192.0.2.1"}, want: []string{"mail.us.test 554 5.4.6"}},
		{name: "N4 our name is not the best MX", zone: zone{"MX a.test": "10 mx.test, 20 mail.us.test, 30 mx3.test", "A mx.test": "192.0.2.1", "A mx3.test": "192.0.2.3"},
			want: []string{"mx.test 192.0.2.1:25", "mail.us.test 554 5.4.6"}},
		{name: "N4 our name among equals", zone: zone{"MX a.test": "10 mx.test, 10 mail.us.test, 10 mx2.test", "A mx.test": "192.0.2.1", "A mx2.test": "192.0.2.2"},
			want: []string{"mail.us.test 554 5.4.6"}},
		{name: "N4 our address cuts what is not better", zone: zone{"MX a.test": "10 mx.test, 20 us.test, 20 other.test, 30 mx3.test",
			"A mx.test": "192.0.2.1", "A us.test": "198.51.100.1", "A other.test": "192.0.2.4", "A mx3.test": "192.0.2.3"},
			want: []string{"mx.test 192.0.2.1:25", "us.test 554 5.4.6"}},
		{name: "N4 localhost", to: "u@localhost", zone: zone{"A localhost": "192.0.2.1"}, want: []string{"localhost 554 5.4.6"}},
		{name: "N4 below localhost", zone: zone{"MX a.test": "10 a.localhost", "A a.localhost": "192.0.2.1"}, want: []string{"a.localhost 554 5.4.6"}},
		{name: "N4 our own domain without MX", to: "u@mail.us.test", zone: zone{"A mail.us.test": "192.0.2.1"}, want: []string{"mail.us.test 554 5.4.6"}},

		{name: "a literal", to: "u@[192.0.2.1]", want: []string{"[192.0.2.1] 192.0.2.1:25 as 192.0.2.1"}},
		{name: "an IPv6 literal", to: "u@[IPv6:2001:db8::1]", want: []string{"[IPv6:2001:db8::1] [2001:db8::1]:25 as 2001:db8::1"}},
		{name: "C11 a loopback literal", to: "u@[127.0.0.1]", want: []string{"[127.0.0.1] 554 5.4.6"}},
		{name: "C11 a private literal", to: "u@[IPv6:::ffff:10.0.0.1]", want: []string{"[IPv6:::ffff:10.0.0.1] 550 5.4.4"}},
		{name: "no domain", to: "postmaster", want: []string{"550 5.1.2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.to == "" {
				tc.to = "u@a.test"
			}
			m := provision(t, tc.zone, tc.change)
			if diff := gocmp.Diff(tc.want, describe(m, tc.to)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func describe(m *MX, to string) (got []string) {
	for target, failure := range m.targets(context.Background(), box(to), &destination{domain: box(to).Domain}) {
		var s string
		switch {
		case failure != nil:
			s = fmt.Sprintf("%s %d %s", failure.Result.Host, failure.Result.Reply.Code, failure.Result.Reply.Status())
		case target.ServerName != "":
			s = fmt.Sprintf("%s %s as %s", target.Name, target.Addr, target.ServerName)
		default:
			s = fmt.Sprintf("%s %s", target.Name, target.Addr)
		}
		got = append(got, strings.TrimSpace(s))
	}
	return got
}

func TestN3Caps(t *testing.T) {
	z := zone{}
	var records, addrs []string
	for i := range 200 {
		records = append(records, fmt.Sprintf("10 mx%d.test", i))
		addrs = append(addrs, fmt.Sprintf("192.0.2.%d", i))
	}
	for i := range 200 {
		z[fmt.Sprintf("A mx%d.test", i)] = strings.Join(addrs[:50], ", ")
	}
	z["MX a.test"] = strings.Join(records, ", ")
	if n := len(describe(provision(t, z, nil), "u@a.test")); n != maxAddresses {
		t.Errorf("%d targets, want %d", n, maxAddresses)
	}
}

func TestN3Shuffle(t *testing.T) {
	z := zone{"MX a.test": "10 a.test, 10 b.test, 10 c.test", "A a.test": "192.0.2.1", "A b.test": "192.0.2.2", "A c.test": "192.0.2.3"}
	m := provision(t, z, nil)
	first := map[string]bool{}
	for range 200 { // each is first with probability 1/3: missing one has odds of 10^-35
		first[describe(m, "u@a.test")[0]] = true
	}
	if len(first) != 3 {
		t.Errorf("first was only ever %v", first)
	}
}

// TestLazy: a host is looked up only when it is its turn.
func TestLazy(t *testing.T) {
	m := provision(t, zone{"MX a.test": "10 mx.test, 20 boom.test", "A mx.test": "192.0.2.1", "A boom.test": "this would panic"}, nil)
	for target := range m.targets(t.Context(), box("u@a.test"), &destination{domain: "a.test"}) {
		if target.Name != "mx.test" {
			t.Error(target)
		}
		break
	}
}

func TestN4Guard(t *testing.T) {
	g := guard{
		allowed: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")},
		own:     func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("203.0.113.7")} },
	}
	for ip, want := range map[string]*appliance.Reply{
		"192.0.2.1": nil, "8.8.8.8": nil, "2001:db8::1": nil, "10.9.1.1": nil, "::ffff:10.9.1.1": nil, "100.63.255.255": nil, "100.128.0.0": nil,
		"127.0.0.1": errSelf, "127.255.0.1": errSelf, "::1": errSelf, "0.0.0.0": errSelf, "::": errSelf, "::ffff:127.0.0.1": errSelf,
		"203.0.113.7": errSelf, "::ffff:203.0.113.7": errSelf, "64:ff9b::7f00:1": errSelf, "2002:7f00:1::": errSelf,
		"10.0.0.1": errSpecial, "172.16.0.1": errSpecial, "192.168.0.1": errSpecial, "fd00::1": errSpecial, "fc00::1": errSpecial,
		"169.254.169.254": errSpecial, "fe80::1": errSpecial, "fe80::1%eth0": errSpecial, "100.64.0.1": errSpecial, "100.127.255.255": errSpecial,
		"224.0.0.1": errSpecial, "ff02::1": errSpecial, "255.255.255.255": errSpecial, "0.1.2.3": errSpecial, "198.18.0.1": errSpecial,
		"64:ff9b::a00:1": errSpecial, "2002:c0a8:1::": errSpecial, "::10.0.0.1": errSpecial, "fec0::1": errSpecial, "64:ff9b::808:808": nil,
		"64:ff9b:1::a00:1": errSpecial, "2001:0:a00:1::1": errSpecial, "2001:1::1": nil, "::ffff:0:a00:1": errSpecial, "100::1": errSpecial, "192.88.99.1": errSpecial,
	} {
		if got := g.check(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v, want %v", ip, got, want)
		}
	}
}

func TestInterfaceAddrs(t *testing.T) {
	if !slices.Contains(interfaceAddrs(), netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("no loopback among %v", interfaceAddrs())
	}
}

// TestN4DialledIP: the guard looks at the address that is dialled, whatever
// was looked up before.
func TestN4DialledIP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	m := provision(t, zone{}, nil)
	c, err := m.dial(t.Context(), "tcp", l.Addr().String())
	if r := appliance.ReplyTo(err); c != nil || r == nil || r.Code != 554 {
		t.Errorf("dial: %v, %v; want errSelf", c, err)
	}
	if _, err := m.dial(t.Context(), "tcp", "10.255.255.255:25"); appliance.ReplyTo(err).Code != 550 {
		t.Errorf("dial: %v; want errSpecial", err)
	}
}

// A server takes mail at an address and knows from whom connections came.
type server struct {
	addr    netip.AddrPort
	mu      sync.Mutex
	clients []string
	rcpts   []string
	tls     *tls.Config // nil offers no STARTTLS
	shown   []string    // the common names in the certificates of clients
}

// listen serves on ip; port 0 chooses one. answer is the reply to a RCPT.
func listen(t *testing.T, addr string, answer func(rcpt string) string) *server {
	t.Helper()
	return listenTLS(t, addr, nil, answer)
}

func listenTLS(t *testing.T, addr string, cfg *tls.Config, answer func(rcpt string) string) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: netip.MustParseAddrPort(l.Addr().String()), tls: cfg}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c, answer) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return s
}

func (s *server) serve(c net.Conn, answer func(string) string) {
	defer func() { _ = c.Close() }() // c may become TLS
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	s.mu.Lock()
	s.clients = append(s.clients, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String())
	s.mu.Unlock()
	r := bufio.NewReader(c)
	reply, content := "220 mx", false
	for {
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
		s.mu.Lock()
		offered := s.tls
		s.mu.Unlock()
		if reply == "220 go" {
			tc := tls.Server(c, offered)
			if tc.Handshake() != nil {
				return
			}
			s.mu.Lock()
			for _, cert := range tc.ConnectionState().PeerCertificates {
				s.shown = append(s.shown, cert.Subject.CommonName)
			}
			s.mu.Unlock()
			c, r = tc, bufio.NewReader(tc)
		}
		line, err := r.ReadString('\n')
		for content && err == nil && line != ".\r\n" {
			line, err = r.ReadString('\n')
		}
		if err != nil {
			return
		}
		content = strings.HasPrefix(line, "DATA")
		switch {
		case content:
			reply = "354 go"
		case strings.HasPrefix(line, "RCPT"):
			to := strings.TrimSpace(strings.TrimPrefix(line, "RCPT TO:"))
			s.mu.Lock()
			s.rcpts = append(s.rcpts, to)
			s.mu.Unlock()
			reply = answer(to)
		case line == "STARTTLS\r\n":
			reply = "220 go"
		case offered != nil:
			reply = "250-mx.test\r\n250 STARTTLS"
		default:
			reply = "250 mx.test"
		}
	}
}

func takes(string) string { return "250 ok" }

// loopback lets mail go to 127.0.0.0/8 and a port.
func loopback(port uint16) func(*MX) {
	return func(m *MX) { m.AllowNetworks, m.Port = []string{"127.0.0.0/8"}, int(port) }
}

func envelope(to ...string) appliance.Envelope {
	env := appliance.Envelope{From: box("from@us.test")}
	for _, s := range to {
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: box(s)})
	}
	return env
}

var msg = &appliance.Message{ID: "id", Body: appliance.BytesBody("\r\nhello\r\n")}

func summary(rs []appliance.Result) string {
	var all []string
	for i := range rs {
		all = append(all, fmt.Sprintf("%d %s %s", rs[i].Reply.Code, rs[i].Reply.Status(), rs[i].Host))
	}
	return strings.Join(all, ", ")
}

// TestDeliver: the first exchanger is down, the second defers one of three
// recipients and refuses another, the third takes who was deferred.
func TestDeliver(t *testing.T) {
	second := listen(t, "127.0.0.2:0", func(rcpt string) string {
		return cmp.Or(map[string]string{"<b@a.test>": "450 4.2.1 busy", "<c@a.test>": "550 5.1.1 no"}[rcpt], "250 ok")
	})
	third := listen(t, fmt.Sprintf("127.0.0.3:%d", second.addr.Port()), takes)
	z := zone{"MX a.test": "10 mx1.test, 20 mx2.test, 30 mx3.test", "A mx1.test": "127.0.0.4", "A mx2.test": "127.0.0.2", "A mx3.test": "127.0.0.3"}
	m := provision(t, z, loopback(second.addr.Port()))
	rs := m.Deliver(t.Context(), envelope("a@a.test", "b@a.test", "c@a.test"), msg)
	if got, want := summary(rs), "250 2.0.0 mx2.test, 250 2.0.0 mx3.test, 550 5.1.1 mx2.test"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !slices.Equal(third.rcpts, []string{"<b@a.test>"}) {
		t.Errorf("the third exchanger was asked about %q", third.rcpts)
	}
}

// TestReuse: domains with the same mail exchanger share its connection.
func TestReuse(t *testing.T) {
	s := listen(t, "127.0.0.1:0", takes)
	m := provision(t, zone{"MX a.test": "10 mx.test", "MX b.test": "10 mx.test", "A mx.test": "127.0.0.1"}, loopback(s.addr.Port()))
	for _, to := range []string{"u@a.test", "u@b.test", "u@a.test"} {
		if got := summary(m.Deliver(t.Context(), envelope(to), msg)); got != "250 2.0.0 mx.test" {
			t.Error(got)
		}
	}
	if len(s.clients) != 1 {
		t.Errorf("%d connections", len(s.clients))
	}
}

func TestSource(t *testing.T) {
	s := listen(t, "127.0.0.1:0", takes)
	m := provision(t, zone{"A a.test": "127.0.0.1"}, func(m *MX) {
		loopback(s.addr.Port())(m)
		m.Source = []string{"127.0.0.9"}
	})
	if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "250 2.0.0 a.test" {
		t.Error(got)
	}
	if !slices.Equal(s.clients, []string{"127.0.0.9"}) {
		t.Errorf("connections came from %v", s.clients)
	}
}

func TestNowhere(t *testing.T) {
	m := provision(t, zone{}, nil)
	if got := summary(m.Deliver(t.Context(), envelope("u@a.test", "v@a.test"), msg)); got != "550 5.1.2 , 550 5.1.2 " {
		t.Error(got)
	}
	if rs := m.Deliver(t.Context(), appliance.Envelope{}, msg); len(rs) != 0 {
		t.Error(rs)
	}
	if hop := m.NextHop(box("u@a.test")); hop != "a.test" {
		t.Error(hop)
	}
}

func TestValidate(t *testing.T) {
	for attr, change := range map[string]func(*MX){
		"tls":             func(m *MX) { m.TLS = "implicit" },
		"source":          func(m *MX) { m.Source = []string{"192.0.2.1", "192.0.2.2"} },
		"allow_networks":  func(m *MX) { m.AllowNetworks = []string{"10.0.0.1/8"} },
		"ip_versions":     func(m *MX) { m.IPVersions = []string{"ipv4", "ipv4"} },
		"port":            func(m *MX) { m.Port = 70000 },
		"connect_timeout": func(m *MX) { m.ConnectTimeout = 0 },
		"idle":            func(m *MX) { m.Idle = time.Hour },
		"client_key":      func(m *MX) { m.ClientKey = "/c.key" },
		"tls_downgrade":   func(m *MX) { m.TLSDowngrade = "panic" },
		"domain":          func(m *MX) { m.Domains = []Domain{{"example.org", "implicit"}} },
		"client_certificate": func(m *MX) {
			m.TLS, m.ClientCertificate, m.ClientKey = "none", "/c.pem", "/c.key"
		},
	} {
		m := New()
		change(m)
		if e, ok := errors.AsType[*appliance.AttrError](m.Validate()); !ok || e.Attr != attr {
			t.Errorf("%s: %v", attr, m.Validate())
		}
	}
	m := New()
	m.IPVersions, m.Source = []string{"ipv4"}, []string{"2001:db8::7"}
	if e, ok := errors.AsType[*appliance.AttrError](m.Validate()); !ok || e.Attr != "source" {
		t.Error(m.Validate())
	}
	if err := New().Validate(); err != nil {
		t.Error(err)
	}
}
