package logins

import (
	"net/netip"
	"time"
)

// An acquaintance is an account and a network that its user came from.
type acquaintance struct {
	network netip.Prefix
	account string
}

// A familiarity is what is known of it.
type familiarity struct {
	last     time.Time // success
	failures int       // in a row since then
}

// How long a network is familiar to an account, and how many failures in a row
// end that.
const (
	familiarFor = 30 * 24 * time.Hour
	maxFailures = 10
)

func (f *familiarity) holds(now time.Time) bool {
	return f.failures < maxFailures && now.Sub(f.last) < familiarFor
}

// isFamiliar says whether the user has logged in from there. mu is held.
func (g *Guard) isFamiliar(c *candidate, now time.Time) bool {
	f := g.familiar.peek(acquaintance{c.network, c.account})
	return f != nil && f.holds(now)
}

// knowsAnybody says whether any user has logged in from there. mu is held.
func (g *Guard) knowsAnybody(key netip.Prefix, now time.Time) bool {
	n := g.networks.peek(key)
	return n != nil && now.Sub(n.friendly) < familiarFor
}

// befriend notes a success. What is held against the network stays: a guesser
// may have a password of his own. mu is held.
func (g *Guard) befriend(c *candidate, now time.Time) {
	*g.familiar.touch(acquaintance{c.network, c.account}) = familiarity{last: now}
	g.networks.touch(c.network).friendly = now
}

// estrange notes a failure. mu is held.
func (g *Guard) estrange(c *candidate) {
	if f := g.familiar.peek(acquaintance{c.network, c.account}); f != nil {
		f.failures++
	}
}
