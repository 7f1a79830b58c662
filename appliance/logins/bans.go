package logins

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var (
	errTogether = appliance.NewReply(454, 7, 0, "Too many log-ins from your network at a time; please try again in a minute")
	errAttacked = appliance.NewReply(454, 7, 0, "Too many failed log-ins for this account; please try again in a minute")
)

// errBanned is what a banned client is told. RFC 5321, section 3.8: 421 is
// sent by a server that closes the connection.
func errBanned(d time.Duration) *appliance.Reply {
	return appliance.Replyf(421, 7, 0, "Too many failed log-ins or errors from your network; try again in %s",
		appliance.FormatDuration(max(time.Minute, d.Round(time.Minute))))
}

// Bans implements [appliance.LoginGuard].
func (g *Guard) Bans() []appliance.Ban {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.house.Now()
	var all []appliance.Ban
	for key := range g.networks.all() {
		if n := g.banned(key, now); n != nil {
			all = append(all, appliance.Ban{
				Kind: appliance.BanNetwork, Name: networkName(key), Failures: g.set.BanAfter, Until: n.until,
				Reason: "failed log-ins, or connections closed for errors",
			})
		}
	}
	for name, a := range g.accounts.all() {
		if g.attacked(a, now) {
			all = append(all, appliance.Ban{
				Kind: appliance.BanAccount, Name: name, Failures: a.tally.n, Until: a.tally.over(g.set.AccountFailures - 1),
				Reason: fmt.Sprintf("failed log-ins; clients from networks that are new to it are heard every %s", pace),
			})
		}
	}
	slices.SortFunc(all, func(a, b appliance.Ban) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), strings.Compare(a.Name, b.Name)) // networks first
	})
	return all
}

// Clear implements [appliance.LoginGuard].
func (g *Guard) Clear(name string) int {
	prefix, isNetwork := parseNetwork(name)
	user := g.accountOf(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	now, listed := g.house.Now(), 0
	for key := range g.networks.all() {
		if name == "" || isNetwork && prefix.Overlaps(key) {
			if g.banned(key, now) != nil {
				listed++
			}
			g.forgive(key)
		}
	}
	for account, a := range g.accounts.all() {
		if name == "" || account == user {
			if g.attacked(a, now) {
				listed++
			}
			g.accounts.drop(account)
		}
	}
	return listed
}

// forgive forgets what is held against a network. Log-ins that are under way
// and those who are welcome stay. mu is held.
func (g *Guard) forgive(key netip.Prefix) {
	n := g.networks.peek(key)
	*n = network{together: n.together, friendly: n.friendly}
}

// parseNetwork reads an address or a network.
func parseNetwork(text string) (netip.Prefix, bool) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return appliance.ClientNetwork(ip)
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}
