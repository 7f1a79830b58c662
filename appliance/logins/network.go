package logins

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A network is what is held against one client. The zero value is nothing.
type network struct {
	tally    tally
	together int       // log-ins under way
	until    time.Time // end of the ban, if there is one
	friendly time.Time // when a user last logged in from there
	bans     int       // in a row, without a day between two of them
	guesses  [8]uint64 // the last that were wrong, and at
	at       int       // the place of the next one
}

// isShared says whether many clients can have the same address. mu is held.
func (g *Guard) isShared(p netip.Prefix) bool {
	return appliance.SharedNetwork(p) || slices.ContainsFunc(g.never, p.Overlaps)
}

// banned returns the network if it is banned now, or nil. mu is held.
func (g *Guard) banned(key netip.Prefix, now time.Time) *network {
	if n := g.networks.peek(key); n != nil && now.Before(n.until) && !g.isShared(key) {
		return n
	}
	return nil
}

// Offended implements [appliance.LoginGuard].
func (g *Guard) Offended(client netip.Addr) {
	key, ok := appliance.ClientNetwork(client)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offend(key, g.house.Now())
}

// maxBan is the longest ban.
const maxBan = 4 * time.Hour

// offend holds one more failure against a network. mu is held.
func (g *Guard) offend(key netip.Prefix, now time.Time) {
	n := g.networks.touch(key)
	count := n.tally.add(now)
	if g.set.BanAfter == 0 || count < g.set.BanAfter || now.Before(n.until) || g.isShared(key) {
		return
	}
	if now.Sub(n.until) > 24*time.Hour {
		n.bans = 0
	}
	d := maxBan
	if n.bans < 16 {
		d = min(g.set.BanFor<<n.bans, maxBan)
	}
	d = max(d, g.set.BanFor)
	n.bans++
	n.until = now.Add(d)
	n.tally = tally{}
	g.metrics.bans.Inc()
	g.house.Events.Emit(appliance.Event{
		Kind: appliance.EventBanned, Time: now, Client: networkName(key), Next: n.until,
		Reply: errBanned(d).With(fmt.Errorf("%d failed log-ins or connections closed for errors", count)),
	})
}

// leave ends a log-in of the network.
func (n *network) leave() { n.together = max(0, n.together-1) }

// guessed says whether the network has sent the same wrong password before,
// and remembers it.
func (n *network) guessed(guess uint64) bool {
	if slices.Contains(n.guesses[:], guess) {
		return true
	}
	n.guesses[n.at] = guess
	n.at = (n.at + 1) % len(n.guesses)
	return false
}

// The answer to a wrong password is late by a second for each failure beyond
// so many, and never by more than what clients wait for in any case.
const (
	promptly = 5
	maxDelay = 10 * time.Second
)

func (n *network) delay(now time.Time) time.Duration {
	if now.Before(n.until) {
		return maxDelay
	}
	return min(max(0, time.Duration(n.tally.count(now)-promptly)*time.Second), maxDelay)
}

// networkName writes one IPv4 address as such.
func networkName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
