package smtpconn

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFinalReply_N7: the reply to the final dot may take ten minutes (RFC 5321,
// section 4.5.3.2.6); who does not wait for it sends everything twice. What
// comes after eleven comes to nobody, and the message may have been taken.
func TestFinalReply_N7(t *testing.T) {
	for takes, want := range map[time.Duration]string{
		9 * time.Minute:                "250 2.0.0 remote mx.test",
		10*time.Minute - time.Second:   "250 2.0.0 remote mx.test",
		10*time.Minute + 5*time.Second: "451 4.4.2 mx.test ambiguous",
		11 * time.Minute:               "451 4.4.2 mx.test ambiguous",
	} {
		t.Run(takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(Config{Hello: "client.test", Dial: pipeServer(obliging(map[string]time.Duration{".": takes}))})
				target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}
				began := time.Now()
				got := fate(p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target)))
				if waited := time.Since(began); got != want || waited != min(takes, 10*time.Minute) {
					t.Errorf("%s after %v, want %s", got, waited, want)
				}
				if err := p.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Minute) // the late server finds nobody
			})
		})
	}
}

// A rude server takes every message, and resets the connection with its last
// word.
type rude struct {
	addr  netip.AddrPort
	taken atomic.Int32
}

func serveRude(t *testing.T) *rude {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rude{addr: netip.MustParseAddrPort(l.Addr().String())}
	var all sync.WaitGroup
	all.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			all.Go(func() { s.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return s
}

func (s *rude) serve(c *net.TCPConn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_ = c.SetLinger(0) // Close sends RST
	answer := obliging(nil)
	r := bufio.NewReader(c)
	for line := "connect"; ; {
		if _, err := io.WriteString(c, answer(line)); err != nil || line == "." {
			return
		}
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
		if line = strings.TrimSpace(line); line == "." {
			s.taken.Add(1)
		}
	}
}

// TestReset_N8: a connection that is reset after the 250 was good for one
// message, which is delivered and does not come again; the next one gets a
// connection of its own.
func TestReset_N8(t *testing.T) {
	s := serveRude(t)
	p := pool(t)
	for n := range int32(5) {
		rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(Target{Name: "mx.test", Addr: s.addr, TLS: TLSNone}))
		check(t, rs, "250 2.0.0 remote")
		if got := s.taken.Load(); got != n+1 {
			t.Fatalf("message %d: the server has taken %d", n+1, got)
		}
	}
}
