package queue

import (
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

	running  int // attempts in flight
	bigs     int // of them, those with big messages
	settling int // attempts that are over, their outcomes not yet durable

	answered bool // since it is remembered
	suspect  bool // nothing in its mail shows that it did before

	senders []*stream  // of newcomers
	backlog [2]*stream // old and big

	index int       // place in engine.paced, -1 if not there
	used  time.Time // when it last had a member, or an attempt
	wait  time.Time // for the pace; means something in engine.paced
}

func newSite(name string, backlog *flow) *site {
	s := &site{name: name, index: -1, load: load{limit: firstLimit}}
	s.backlog = [2]*stream{newStream(s, old, backlog), newStream(s, big, backlog)}
	return s
}

func (s *site) before(other *site) bool { return s.wait.Before(other.wait) }
func (s *site) slot() *int              { return &s.index }

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

// bigSize is from when on a message is big.
const bigSize = 1 << 20

// roomForBig says whether another big message could begin. They have three of
// four places, so that small ones are not stuck behind them.
func (s *site) roomForBig(settings appliance.QueueSettings) bool {
	return s.bigs < max(1, 3*s.limit(settings)/4)
}

// waiting is how many destinations wait for a turn.
func (s *site) waiting() (n int) {
	for t := range s.streams {
		n += len(t.line)
	}
	return n
}

// inTurn says whether the site waits for a slot.
func (s *site) inTurn() bool {
	for t := range s.streams {
		if t.index >= 0 {
			return true
		}
	}
	return false
}

// drop takes a destination out of all lines.
func (s *site) drop(d *destination) {
	for t := range s.streams {
		t.drop(d)
	}
}

// idle says whether the record can be forgotten.
func (s *site) idle(now time.Time) bool {
	return s.members == 0 && s.running+s.settling == 0 && now.Sub(s.used).Abs() > siteMemory &&
		!s.next(now).After(now) && s.pace.earned(now)
}

// site returns the record of a site; mu is held.
func (e *engine) site(name string, now time.Time) *site {
	s := e.sites[name]
	if s == nil {
		s = newSite(name, e.gate(name).backlog)
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
	s.pace.rate = l.Rate // what was taken stays taken
}

// hop is the part of the name of a destination or site that follows the relay.
func hop(name string) string {
	_, after, _ := strings.Cut(name, "/")
	return after
}
