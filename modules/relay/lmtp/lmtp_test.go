package lmtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		address, tls string
		want         string // attribute that is to blame, "" for none
	}{
		{"unix:/run/dovecot/lmtp", "", ""},
		{"unix:/run/dovecot/lmtp", "none", ""},
		{"unix:/run/dovecot/lmtp", "opportunistic", "tls"},
		{"unix:run/dovecot/lmtp", "", "address"},
		{"unix:", "", "address"},
		{"127.0.0.1:24", "", ""},
		{"[::1]:24", "", ""},
		{"dovecot:24", "", ""},
		{"mail.example.com:24", "verified", ""},
		{"mail.example.com:24", "starttls", "tls"},
		{"mail.example.com:24", "dane", "tls"},
		{"mail.example.com:25", "", "address"},
		{"mail.example.com", "", "address"},
		{"mail.example.com:0", "", "address"},
		{"mail.example.com:99999", "", "address"},
		{"mail example:24", "", "address"},
		{"", "", "address"},
	} {
		l := New()
		l.Address, l.TLS = c.address, c.tls
		got := ""
		if err := l.Validate(); err != nil {
			got = err.Error()
			if e, ok := errors.AsType[*appliance.AttrError](err); ok {
				got = e.Attr
			}
		}
		if got != c.want {
			t.Errorf("%q, tls %q: %q is to blame, want %q", c.address, c.tls, got, c.want)
		}
	}
	for _, change := range []func(*LMTP){func(l *LMTP) { l.Idle = time.Hour }, func(l *LMTP) { l.ConnectTimeout = 0 }} {
		l := New()
		l.Address = "127.0.0.1:24"
		change(l)
		if l.Validate() == nil {
			t.Errorf("%+v is valid", l)
		}
	}
}

// A mailServer has mailboxes that are named by what it says of them.
type mailServer struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	mail []string
}

func (s *mailServer) serve(t *testing.T, l net.Listener) {
	s.wg.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			s.wg.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
}

// verdicts are the replies after the content, by local part.
var verdicts = map[string]string{"full": "452 4.2.2 mailbox full", "ok": "250 2.0.0 saved", "strict": "554 5.7.1 spam"}

func (s *mailServer) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	say("220 lmtp.test")
	var to []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch line[:4] {
		case "LHLO":
			say("250-lmtp.test\r\n250-8BITMIME\r\n250 PIPELINING")
		case "RCPT":
			local, _, _ := strings.Cut(strings.TrimPrefix(line, "RCPT TO:<"), "@")
			if verdicts[local] == "" {
				say("550 5.1.1 no such mailbox")
				continue
			}
			to = append(to, local)
			say("250 ok")
		case "DATA":
			say("354 go on")
			s.take(r)
			for _, local := range to {
				say(verdicts[local])
			}
			to = nil
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) take(r *bufio.Reader) {
	var b strings.Builder
	for line, err := r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
		b.WriteString(line)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = append(s.mail, b.String())
}

// relay is one that is provisioned, and stopped when the test ends.
func relay(t *testing.T, address string, resolver appliance.Resolver) *LMTP {
	t.Helper()
	l := New()
	l.Address = address
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := l.Provision(&appliance.Context{Hostname: "mail.example.com", Resolver: resolver}); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func send(t *testing.T, l *LMTP, to ...string) []appliance.Result {
	t.Helper()
	env := appliance.Envelope{From: mailbox(t, "ann@example.com")}
	for _, local := range to {
		env.Recipients = append(env.Recipients, appliance.Recipient{Mailbox: mailbox(t, local+"@example.com")})
	}
	return l.Deliver(t.Context(), env, text(t))
}

func text(t *testing.T) *appliance.Message {
	t.Helper()
	h, err := appliance.ParseHeader([]byte("Subject: x\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &appliance.Message{ID: "id", Header: h, Body: appliance.BytesBody("\r\nhello\r\n")}
}

func mailbox(t *testing.T, s string) appliance.Mailbox {
	t.Helper()
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// summary writes results as "250 2.0.0 final".
func summary(rs []appliance.Result) (all []string) {
	for i := range rs {
		s := fmt.Sprintf("%d %s", rs[i].Reply.Code, rs[i].Reply.Status())
		if rs[i].Final {
			s += " final"
		}
		all = append(all, s)
	}
	return all
}

// TestDeliver: over a socket and over TCP, each recipient gets the reply that
// is about its mailbox.
func TestDeliver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(tcp.Addr().String()).Port()
	var s mailServer
	t.Cleanup(s.wg.Wait) // the last of all
	s.serve(t, unix)
	s.serve(t, tcp)
	for _, address := range []string{"unix:" + path, tcp.Addr().String(), fmt.Sprintf("localhost:%d", port), fmt.Sprintf("dovecot:%d", port)} {
		l := relay(t, address, names{"dovecot": "127.0.0.1"})
		if got := l.NextHop(mailbox(t, "a@example.org")); got != address {
			t.Errorf("next hop %q, want %q", got, address)
		}
		got := summary(send(t, l, "full", "ok", "nobody", "strict"))
		if want := []string{"452 4.2.2", "250 2.0.0 final", "550 5.1.1", "554 5.7.1"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if len(s.mail) != 4 || s.mail[0] != "Subject: x\r\n\r\nhello\r\n" {
		t.Errorf("the server has got %q", s.mail)
	}
}

// TestRequireTLS: who requires TLS does not mean a socket of this machine, and
// does mean a network.
func TestRequireTLS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var s mailServer
	t.Cleanup(s.wg.Wait)
	s.serve(t, unix)
	s.serve(t, tcp)
	for address, want := range map[string]string{"unix:" + path: "250 2.0.0 final", tcp.Addr().String(): "550 5.7.30"} {
		l := relay(t, address, nil)
		env := appliance.Envelope{From: mailbox(t, "ann@example.com"), RequireTLS: true,
			Recipients: []appliance.Recipient{{Mailbox: mailbox(t, "ok@example.com")}}}
		if got := summary(l.Deliver(t.Context(), env, text(t))); got[0] != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		if got := l.HonoursRequireTLS(); got != (want[0] == '2') {
			t.Errorf("%s: honours REQUIRETLS: %t", address, got)
		}
	}
}

// TestAway: a server that is not there is a reason to wait, not to bounce.
func TestAway(t *testing.T) {
	for address, want := range map[string]string{
		"unix:" + filepath.Join(t.TempDir(), "none"): "451 4.4.1",
		"nowhere.test:24": "451 4.4.3",
		"empty.test:24":   "451 4.4.3",
	} {
		rs := send(t, relay(t, address, names{"empty.test": ""}), "ok")
		if got := summary(rs); got[0] != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		if strings.Contains(rs[0].Host, "/") {
			t.Errorf("the server is called %q, which is no name for a report", rs[0].Host)
		}
	}
}

// names is a resolver that knows some names, "" being one without addresses.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	ip, ok := n[host]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case ip == "":
		return nil, nil
	}
	return []netip.Addr{netip.MustParseAddr(ip)}, nil
}

func (names) LookupAddr(context.Context, string) ([]string, error) { return nil, errors.ErrUnsupported }
func (names) LookupMX(context.Context, string) ([]*net.MX, error)  { return nil, errors.ErrUnsupported }
func (names) LookupTXT(context.Context, string) ([]string, error)  { return nil, errors.ErrUnsupported }
