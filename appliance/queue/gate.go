package queue

import (
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A gate is what a relay has over all of its sites: the limits of the addresses
// that it sends from, and its part of the flows. All fields are guarded by
// engine.mu.
type gate struct {
	limits  appliance.SiteLimits
	running int // attempts in flight
	pace    pace
	backlog *flow
}

// gate returns that of the relay of a destination or site. mu is held.
func (e *engine) gate(name string) *gate {
	relay, _, _ := strings.Cut(name, "/")
	g := e.gates[relay]
	if g == nil {
		g = new(gate)
		g.backlog = &flow{gate: g}
		e.gates[relay] = g
	}
	return g
}

func (g *gate) setLimits(l appliance.SiteLimits) {
	g.limits, g.pace.rate = l, l.Rate
}

// room says whether another attempt may begin, but for the pace.
func (g *gate) room() bool { return g.limits.Connections == 0 || g.running < g.limits.Connections }

// next is when the pace lets another delivery begin.
func (g *gate) next(now time.Time) time.Time { return g.pace.next(now, 0) }
