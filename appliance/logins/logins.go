// Package logins is the appliance.LoginGuard of Waxwing: it bounds how often
// passwords can be guessed, without locking out those who know theirs.
//
// # Networks
//
// What counts as one client is its IPv4 address or its IPv6 /64. Each failed
// log-in and each connection that was closed for what the client did is held
// against its network; one is forgiven every six minutes. From the sixth on,
// wrong passwords are answered later and later, up to ten seconds. At
// ban_after the network is banned for ban_for, and for twice as long each
// further time of the same day, up to four hours: its connections are answered
// 421. A wrong password that the same network has sent before does not count:
// a device with an old password is nuisance enough to its owner.
//
// Addresses that many clients can share are never banned, only answered late:
// loopback; private networks (RFC 1918, RFC 4193, RFC 6598, link-local), since
// a container sees the address of its gateway and a cluster that of its nodes
// in place of the client's; what never_ban names. Trusted networks never come
// here.
//
// # Accounts
//
// Many networks can guess at one account. When it has account_failures of
// them, which are forgiven alike, clients are heard one at a time, five
// seconds apart; who would have to wait longer than ten is answered 454. Names
// that do not exist count alike, so nobody can tell.
//
// # Who knows the password
//
// A network from which a user has logged in is familiar to that account, for 30
// days. From there the account's other troubles do not matter, nor does a ban of
// the network: the colleagues of somebody whose program runs wild can go on. Ten
// failures in a row end the familiarity, until the next success.
//
// # Limits
//
// All of this is in memory, and bounded; what was not heard of for the longest
// time is forgotten first. A restart forgets all.
package logins

import (
	"context"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of what is remembered: some 20 MiB in all.
const (
	maxNetworks = 50_000
	maxAccounts = 10_000
	maxFamiliar = 50_000
)

// A Guard is the appliance.LoginGuard.
type Guard struct {
	house   appliance.LoginContext
	metrics *metrics
	seed    maphash.Seed // of guesses: nobody can compute them from outside

	mu       sync.Mutex
	set      appliance.LoginSettings
	never    []netip.Prefix
	networks *lru[netip.Prefix, network]
	accounts *lru[string, account]
	familiar *lru[acquaintance, familiarity]
}

var _ appliance.LoginGuard = (*Guard)(nil)

// New returns a guard.
func New(c appliance.LoginContext) appliance.LoginGuard { return newGuard(c) }

func newGuard(c appliance.LoginContext) *Guard {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Events == nil {
		c.Events = appliance.EventFunc(func(appliance.Event) {})
	}
	g := &Guard{
		house: c, seed: maphash.MakeSeed(),
		networks: newLRU[netip.Prefix, network](maxNetworks),
		accounts: newLRU[string, account](maxAccounts),
		familiar: newLRU[acquaintance, familiarity](maxFamiliar),
	}
	g.metrics = newMetrics(c.Metrics, g.figures)
	g.Configure(c.Settings)
	return g
}

// Configure implements [appliance.LoginGuard].
func (g *Guard) Configure(s appliance.LoginSettings) {
	var never []netip.Prefix
	for _, text := range s.NeverBan {
		if p, err := appliance.ParseNetwork(text); err == nil { // checked when the file was loaded
			never = append(never, p)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set, g.never = s, never
	if s.BanAfter == 0 {
		for _, n := range g.networks.all() {
			n.until = time.Time{}
		}
	}
}

// Welcome implements [appliance.LoginGuard].
func (g *Guard) Welcome(client netip.Addr, users bool) *appliance.Reply {
	key, ok := appliance.ClientNetwork(client)
	if !ok {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.house.Now()
	if n := g.banned(key, now); n != nil && (!users || !g.knowsAnybody(key, now)) {
		g.metrics.refused.WithLabelValues(appliance.BanNetwork).Inc()
		return errBanned(n.until.Sub(now))
	}
	return nil
}

// Begin implements [appliance.LoginGuard].
func (g *Guard) Begin(ctx context.Context, l appliance.LoginAttempt) (end func(appliance.LoginOutcome), err error) {
	c := g.candidate(l)
	wait, reply := g.turn(&c)
	if reply != nil {
		return nil, reply
	}
	if err := pause(ctx, wait); err != nil {
		g.leave(&c)
		return nil, err
	}
	return func(o appliance.LoginOutcome) {
		_ = pause(ctx, g.note(&c, o)) // who has gone does not wait
	}, nil
}

// A candidate is somebody who tries to log in.
type candidate struct {
	network netip.Prefix // not valid for a unix socket
	shared  bool
	account string
	guess   uint64 // stands for the user name and the password
}

func (g *Guard) candidate(l appliance.LoginAttempt) candidate {
	c := candidate{account: g.accountOf(l.User)}
	c.network, _ = appliance.ClientNetwork(l.Client)
	var h maphash.Hash
	h.SetSeed(g.seed)
	_, _ = h.WriteString(l.User + "\x00" + l.Password.Reveal()) // never fails
	c.guess = h.Sum64()
	g.mu.Lock()
	defer g.mu.Unlock()
	c.shared = g.isShared(c.network)
	return c
}

// accountOf is the one name of an account that can be written in several ways.
func (g *Guard) accountOf(user string) string {
	user = strings.ToLower(user)
	return strings.TrimSuffix(user, "@"+strings.ToLower(g.house.Hostname))
}

// maxTogether is how many log-ins of a network are under way at a time, of
// users that it is not familiar to: they are guesses that nobody has counted yet.
const maxTogether = 10

// turn says how long the candidate has to wait for its turn, or why it has none.
func (g *Guard) turn(c *candidate) (time.Duration, *appliance.Reply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.house.Now()
	if g.isFamiliar(c, now) {
		g.networks.touch(c.network).together++
		return 0, nil
	}
	if n := g.banned(c.network, now); n != nil {
		return 0, g.refuse(appliance.BanNetwork, errBanned(n.until.Sub(now)))
	}
	n := g.networks.touch(c.network)
	if n.together >= maxTogether && !c.shared {
		return 0, g.refuse(appliance.BanNetwork, errTogether)
	}
	var wait time.Duration
	if a := g.accounts.peek(c.account); a != nil && !c.shared && g.attacked(a, now) {
		if wait = a.turn(now); wait > maxWait {
			return 0, g.refuse(appliance.BanAccount, errAttacked)
		}
		a.next = now.Add(wait + pace)
	}
	n.together++
	return wait, nil
}

func (g *Guard) refuse(kind string, r *appliance.Reply) *appliance.Reply {
	g.metrics.refused.WithLabelValues(kind).Inc()
	return r
}

// leave takes back what turn has counted.
func (g *Guard) leave(c *candidate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.networks.touch(c.network).leave()
}

// note counts what came of a log-in, and says how late to answer it.
func (g *Guard) note(c *candidate, o appliance.LoginOutcome) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.house.Now()
	n := g.networks.touch(c.network)
	n.leave()
	switch o {
	case appliance.LoginGood:
		g.befriend(c, now)
		return 0
	case appliance.LoginUnknown:
		return 0
	}
	g.estrange(c)
	if n.guessed(c.guess) {
		return n.delay(now)
	}
	g.failed(c.account, now)
	g.offend(c.network, now)
	return n.delay(now)
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
