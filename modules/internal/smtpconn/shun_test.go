package smtpconn

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestShunned(t *testing.T) {
	var s shunned
	a, b := Target{Addr: netip.MustParseAddrPort("192.0.2.1:25")}, Target{Addr: netip.MustParseAddrPort("192.0.2.2:25")}
	elsewhere := a
	elsewhere.Source = netip.MustParseAddr("203.0.113.7")
	now := time.Now()
	s.add(a, now)
	if !s.has(a, now.Add(shunTime-1)) || s.has(b, now) || s.has(elsewhere, now) {
		t.Error("what was added, and nothing else, is shunned")
	}
	if s.has(a, now.Add(shunTime)) || !s.has(a, now.Add(shunTime)) || s.has(a, now.Add(2*shunTime)) {
		t.Error("when the time is over, one and only one is to find out")
	}
	s.remove(a)
	if s.has(a, now) {
		t.Error("it was removed")
	}
	for i := range maxShunned + 1 {
		s.add(Target{Addr: netip.AddrPortFrom(a.Addr.Addr(), uint16(i))}, now)
	}
	if len(s.until) > maxShunned {
		t.Errorf("%d are remembered", len(s.until))
	}
}

// nobody is an address to which no connection can be had.
var nobody = Target{Name: "dead.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}

// countDials makes connections to nobody fail and counts the attempts.
func countDials(n *atomic.Int32) func(*Config) {
	return func(c *Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == nobody.Addr.String() {
				n.Add(1)
				return nil, errors.New("no route")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
}

// TestShunDead: an address that does not answer delays one message, not all.
func TestShunDead(t *testing.T) {
	const taken = "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\n"
	s := serve(t, quick+taken+quit, quick+taken+quit)
	var dials atomic.Int32
	p := pool(t, countDials(&dials), func(c *Config) { c.MaxMessages = 1 })
	for range 2 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(nobody, s.target())), "250 2.0.0 remote")
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections to the dead address, one wanted", n)
	}
	// If there is no other, it is tried.
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(nobody)), "451 4.4.1")
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections to the dead address, two wanted", n)
	}
}

// TestShunLoop: a mail exchanger that is down stays a better one than we are.
// Mail for it waits, and is not in a loop.
func TestShunLoop(t *testing.T) {
	self := NewFailure("", appliance.NewReply(554, 4, 6, "we are a mail exchanger"))
	self.Stop = true
	var better iter.Seq2[Target, *Failure] = func(yield func(Target, *Failure) bool) {
		if yield(nobody, nil) {
			yield(Target{}, self)
		}
	}
	var dials atomic.Int32
	p := pool(t, countDials(&dials))
	for range 2 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, better), "451 4.4.1")
	}
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections, two wanted", n)
	}
}

// TestShunNotSelf: a server that turns out to be ourselves ends every attempt;
// what stands behind it would send the message back.
func TestShunNotSelf(t *testing.T) {
	const self = "S: 220 mx.test\nC= EHLO client.test\nS: 250 client.test\nHANG"
	s := serve(t, self, self)
	var dials atomic.Int32
	p := pool(t, countDials(&dials), func(c *Config) { c.RefuseSelf = true })
	for range 2 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target(), nobody)), "554 5.4.6")
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("%d connections to what stands behind it", n)
	}
}
