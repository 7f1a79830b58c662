package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A pace spreads the deliveries to a site, or all of them, over time. It is the generic cell
// rate algorithm: one number says when the site is free again, however many
// deliveries there were. A tenth of the rate may come at once; what is left of
// the time is divided among the others, so that no stretch of it has more than
// the rate says.
type pace struct {
	rate appliance.Rate
	free time.Time // when all that was taken has been earned
	last time.Time // when the last one was taken
}

// burst is how many may come at once.
func (p *pace) burst() int { return max(1, p.rate.Count/10) }

// step is how long it takes to earn one.
func (p *pace) step() time.Duration {
	n := time.Duration(p.rate.Count - p.burst() + 1)
	return (p.rate.Per + n - 1) / n
}

// next is when the next delivery may begin, at least pause after the last one.
// Times further ahead than they can be are from before the clock was put back.
func (p *pace) next(now time.Time, pause time.Duration) time.Time {
	var at time.Time
	if !p.rate.IsZero() && p.free.Sub(now) <= p.rate.Per {
		at = p.free.Add(-time.Duration(p.burst()-1) * p.step())
	}
	if t := p.last.Add(pause); pause > 0 && t.After(at) && !p.last.After(now) {
		at = t
	}
	return at
}

// earned says whether all that was taken has been earned, so that nothing is
// forgotten with the pace.
func (p *pace) earned(now time.Time) bool {
	return p.rate.IsZero() || !p.free.After(now) || p.free.Sub(now) > p.rate.Per
}

// take notes that a delivery begins.
func (p *pace) take(now time.Time) {
	p.last = now
	if p.rate.IsZero() {
		return
	}
	if p.free.Before(now) || p.free.Sub(now) > p.rate.Per {
		p.free = now
	}
	p.free = p.free.Add(p.step())
}

// setRate takes over the rate of all deliveries. mu is held.
func (e *engine) setRate(r appliance.Rate) {
	if e.pace.rate != r {
		e.pace = pace{rate: r}
	}
}

// holdUp says whether a pace lets nothing begin before a time, for which run
// waits then. mu is held.
func (e *engine) holdUp(at, now time.Time) bool {
	if !at.After(now) {
		return false
	}
	if e.pacedUntil.IsZero() || at.Before(e.pacedUntil) {
		e.pacedUntil = at
	}
	return true
}
