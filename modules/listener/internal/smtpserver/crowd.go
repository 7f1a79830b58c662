package smtpserver

import (
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A crowd is the set of open sessions and its limits.
type crowd struct {
	maxTotal, maxPerIP, maxPerUser int // 0 is no limit

	rate   rater // of connections
	memory *appliance.Memory

	mu      sync.Mutex
	all     map[*session]struct{}
	perIP   map[netip.Prefix]int
	perUser map[string]int
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
// is spent only on those that come in. Who is trusted may come as often as it
// likes.
func (c *crowd) enter(conn net.Conn, trusted bool, begin func() *session) (*session, *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open()
	key, known := appliance.ClientNetwork(addrPort(conn.RemoteAddr()).Addr())
	if r := c.objection(conn, key, known, trusted); r != nil {
		return nil, r
	}
	memory := c.memory.LendConnection()
	if memory.Take(sessionCost) != nil {
		return nil, refusedMemory
	}
	s := begin()
	s.memory = memory
	c.all[s] = struct{}{}
	if known {
		c.perIP[key]++
	}
	return s, nil
}

// open makes an empty crowd ready. mu is held.
func (c *crowd) open() {
	if c.all == nil {
		c.all, c.perIP, c.perUser = make(map[*session]struct{}), make(map[netip.Prefix]int), make(map[string]int)
		c.ceiling = descriptorCeiling()
	}
}

// objection is what speaks against another session, but for its memory. mu is
// held.
func (c *crowd) objection(conn net.Conn, key netip.Prefix, known, trusted bool) *refusal {
	switch {
	case known && !trusted && !c.rate.allow(key, time.Now()):
		return refusedRate
	case beyond(conn, c.ceiling):
		return refusedDescriptors
	case c.maxTotal > 0 && len(c.all) >= c.maxTotal:
		return refusedTotal
	case known && c.maxPerIP > 0 && c.perIP[key] >= c.maxPerIP:
		return refusedAddress
	}
	return nil
}

// A refusal is why a connection is not served: what the client is told, and
// what the metric calls it.
type refusal struct {
	reason string
	reply  *appliance.Reply
}

var (
	refusedTotal       = &refusal{"total", errCrowded}
	refusedDescriptors = &refusal{"descriptors", errCrowded}
	refusedAddress     = &refusal{"address", errCrowdedIP}
	refusedRate        = &refusal{"rate", errTooFast}
	refusedMemory      = &refusal{"memory", errBusy}
	refusedUser        = &refusal{"user", errCrowdedUser}
)

// refusals are all of them, in the order of their reasons.
var refusals = []*refusal{refusedAddress, refusedDescriptors, refusedMemory, refusedRate, refusedTotal, refusedUser}

// login counts a session as one of a user, or says that there are too many.
func (c *crowd) login(s *session, user string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open()
	if c.maxPerUser > 0 && c.perUser[user] >= c.maxPerUser {
		return false
	}
	c.perUser[user]++
	s.user = user
	return true
}

func (c *crowd) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.memory.Return()
	delete(c.all, s)
	if key, known := appliance.ClientNetwork(s.info.Client.Addr()); known {
		drop(c.perIP, key)
	}
	if s.user != "" {
		drop(c.perUser, s.user)
	}
}

// drop counts one less.
func drop[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
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
