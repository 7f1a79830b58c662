package mx

import (
	"context"
	"net/netip"
	"time"
)

// A turn is the addresses of ours, at most one of each family, that all servers
// of others are tried from before the next turn. In the nil turn the system
// chooses.
type turn map[string]source

func (t turn) of(family string) (source, bool) {
	if t == nil {
		return source{}, true
	}
	s, ok := t[family]
	return s, ok
}

// turns are those of one attempt, in their order.
type turns struct {
	list []turn
	// doubtful is the first one with addresses that the site has refused lately.
	// After another refusal in the attempt nothing is tried from these.
	doubtful int
}

// turns puts the addresses that are not refused first, and keeps the order of
// the file otherwise.
func (s sources) turns(refused func(netip.Addr) bool) turns {
	if len(s) == 0 {
		return turns{list: []turn{nil}, doubtful: 1}
	}
	var all turns
	doubtful := make(sources, len(s))
	good := make(sources, len(s))
	for _, family := range families {
		for _, x := range s[family] {
			if refused(x.addr) {
				doubtful[family] = append(doubtful[family], x)
			} else {
				good[family] = append(good[family], x)
			}
		}
	}
	all.add(good)
	all.doubtful = len(all.list)
	all.add(doubtful)
	return all
}

// families are both, as the resolver calls them.
var families = []string{"ip4", "ip6"}

// add appends the turns of s: the first addresses of each family, then the
// second ones, and so on.
func (t *turns) add(s sources) {
	begin := len(t.list)
	for _, family := range families {
		for i, x := range s[family] {
			if begin+i == len(t.list) {
				t.list = append(t.list, turn{})
			}
			t.list[begin+i][family] = x
		}
	}
}

// share is how many connections are tried in one turn.
func (t *turns) share() int { return max(1, maxAddresses/len(t.list)) }

// turns are those of an attempt.
func (m *MX) turns(d *destination) turns {
	now := time.Now()
	return m.sources.turns(func(from netip.Addr) bool { return m.refusals.has(refusal{d.site, from}, now) })
}

// siteOf names the servers of a domain for the memory of refusals. It is asked
// for only if there is something to choose.
func (m *MX) siteOf(ctx context.Context, domain string) string {
	if !m.sources.choice() {
		return ""
	}
	site, err := m.Site(ctx, domain)
	if err != nil {
		return domain
	}
	return site.Name
}
