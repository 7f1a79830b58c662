package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// siteMemory is how long a site that has no mail is remembered: longer than it
// is left alone, and long enough for what was learned about its limits.
const siteMemory = 10 * time.Minute

// A site is the servers that one or more destinations share, with their limits
// and how they do. All fields are guarded by engine.mu.
type site struct {
	name    string // "relay/site"
	limits  appliance.SiteLimits
	members int // destinations that belong to it

	load   load
	outage outage
	pace   pace

	running  int            // attempts in flight
	settling int            // attempts that are over, their outcomes not yet durable
	turns    []*destination // with work to begin, in turn
	inTurn   bool           // stands in engine.turns
	index    int            // place in engine.paced, -1 if not there
	used     time.Time      // when it last had a member, or an attempt
	wait     time.Time      // for the pace; means something in engine.paced
}

func (s *site) when() time.Time { return s.wait }
func (s *site) slot() *int      { return &s.index }

// most is how many deliveries at a time the site can ever get.
func (s *site) most(settings appliance.QueueSettings) int {
	if s.limits.Connections > 0 {
		return s.limits.Connections
	}
	return max(1, settings.DestinationConcurrency)
}

// limit is how many it gets now.
func (s *site) limit(settings appliance.QueueSettings) int {
	return max(1, min(s.load.limit, s.most(settings)))
}

// room says whether another delivery could begin, but for the pace. While
// outcomes become durable the next hop is free for others, but not for more
// than as many again: a store that makes none durable stops its deliveries
// (R3).
func (s *site) room(settings appliance.QueueSettings) bool {
	limit := s.limit(settings)
	return s.running < limit && s.running+s.settling < 2*limit
}

// next is when the pace lets another delivery begin. What shares a failure
// costs the site nothing.
func (s *site) next(now time.Time) time.Time {
	if s.outage.down(now) {
		return time.Time{}
	}
	return s.pace.next(now, s.load.slow)
}

// pop takes the destination whose turn it is, or nil.
func (s *site) pop() *destination {
	if len(s.turns) == 0 {
		return nil
	}
	d := s.turns[0]
	s.turns[0] = nil
	s.turns, d.inTurn = s.turns[1:], false
	return d
}

// drop takes a destination out of the turns.
func (s *site) drop(d *destination) {
	if d.inTurn {
		s.turns = slices.DeleteFunc(s.turns, func(x *destination) bool { return x == d })
		d.inTurn = false
	}
}

// idle says whether the record can be forgotten.
func (s *site) idle(now time.Time) bool {
	return s.members == 0 && s.running+s.settling == 0 && now.Sub(s.used).Abs() > siteMemory &&
		!s.next(now).After(now)
}

// site returns the record of a site; mu is held.
func (e *engine) site(name string, now time.Time) *site {
	s := e.sites[name]
	if s == nil {
		s = &site{name: name, index: -1, load: load{limit: firstLimit}}
		e.sites[name] = s
	}
	s.used = now
	return s
}

// join makes a destination part of a site. mu is held.
func (e *engine) join(d *destination, s *site, now time.Time) {
	if d.site == s {
		return
	}
	e.part(d, now)
	d.site = s
	s.members++
}

// part takes a destination out of its site. mu is held.
func (e *engine) part(d *destination, now time.Time) {
	if s := d.site; s != nil {
		s.drop(d)
		s.members--
		s.used, d.site = now, nil
		e.placeSite(s, now)
	}
}

// setLimits takes over what a relay says about a site.
func (s *site) setLimits(l appliance.SiteLimits) {
	s.limits = l
	if s.pace.rate != l.Rate {
		s.pace = pace{rate: l.Rate, last: s.pace.last}
	}
}

// hop is the part of the name of a destination or site that follows the relay.
func hop(name string) string {
	_, after, _ := strings.Cut(name, "/")
	return after
}
