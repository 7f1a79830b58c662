package smtpserver

import (
	"math"
	"net"
	"net/netip"
	"sync"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A crowd is the set of open sessions and its limits.
type crowd struct {
	maxTotal, maxPerIP int // 0 is no limit
	memory             *appliance.Memory

	mu      sync.Mutex
	all     map[*session]struct{}
	perIP   map[netip.Prefix]int
	ceiling int // the first file descriptor that no client may have, 0 is none
}

// maxReserve is how many file descriptors are kept back from clients, whatever
// the limits of connections are: the queue and deliveries need some, and mail
// that was accepted goes before mail that was not.
const maxReserve = 256

// sessionCost is what a session is charged for, in octets: goroutine, buffers,
// TLS, and the first recipients and header fields of its message.
const sessionCost = 64 << 10

// ceilingBelow is limit less the reserve, which is a quarter of a low limit.
func ceilingBelow(limit uint64) int {
	return int(min(limit-min(limit/4, maxReserve), math.MaxInt32))
}

// enter adds a session for a connection, or says why not. What a session costs
// is spent only on those that come in.
func (c *crowd) enter(conn net.Conn, begin func() *session) (*session, *appliance.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all, c.perIP = make(map[*session]struct{}), make(map[netip.Prefix]int)
		c.ceiling = descriptorCeiling()
	}
	if beyond(conn, c.ceiling) {
		return nil, errCrowded
	}
	if c.maxTotal > 0 && len(c.all) >= c.maxTotal {
		return nil, errCrowded
	}
	key, known := neighbourhood(addrPort(conn.RemoteAddr()).Addr())
	if known && c.maxPerIP > 0 && c.perIP[key] >= c.maxPerIP {
		return nil, errCrowdedIP
	}
	memory := c.memory.LendConnection()
	if memory.Take(sessionCost) != nil {
		return nil, errBusy
	}
	s := begin()
	s.memory = memory
	c.all[s] = struct{}{}
	if known {
		c.perIP[key]++
	}
	return s, nil
}

func (c *crowd) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.memory.Return()
	delete(c.all, s)
	if key, known := neighbourhood(s.info.Client.Addr()); known {
		if c.perIP[key]--; c.perIP[key] == 0 {
			delete(c.perIP, key)
		}
	}
}

// each calls f for every session. f must not wait.
func (c *crowd) each(f func(*session)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.all {
		f(s)
	}
}

// neighbourhood is what counts as one client: an IPv4 address, or the /64 that
// one IPv6 customer commonly has. A unix socket has none.
func neighbourhood(ip netip.Addr) (netip.Prefix, bool) {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil && ip.IsValid()
}
