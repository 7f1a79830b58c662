package acme

import (
	"math/rand/v2"
	"time"
)

// pauses are the times between attempts that fail. Five failed validations in
// an hour are what Let's Encrypt allows to a name.
var pauses = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
}

// backOff is how long to wait after so many failures in a row, the first being
// 1. A tenth more or less keeps many servers from coming back together.
func backOff(failures int) time.Duration {
	return spread(pauses[min(max(failures, 1), len(pauses))-1], rand.Float64())
}

// spread makes d longer or shorter by up to a tenth; x is between 0 and 1.
func spread(d time.Duration, x float64) time.Duration {
	return d + time.Duration((2*x-1)*0.1*float64(d))
}

// Limits of the wait that an authority can impose.
const (
	limitedAtLeast = time.Hour
	limitedAtMost  = 7 * 24 * time.Hour
)

// A look is due an hour after the last one at the latest: that is how soon a
// renewal by another instance, or a revocation, is noticed.
const lookEvery = time.Hour

// nextLook is how long a keeper may rest after it found all well: until the
// renewal of its certificate, if that is soon. A certificate that has just been
// issued is left alone for a twentieth of its life, so that an authority that
// says "renew at once" of everything is not asked in a loop.
func nextLook(held *held, justIssued bool, now time.Time) time.Duration {
	due := held.renewal.Sub(now)
	leaf := held.certificate.Leaf
	if soonest := leaf.NotAfter.Sub(leaf.NotBefore) / 20; justIssued && due < soonest {
		return max(time.Second, soonest) // not even looked at: the look would renew it
	}
	return min(lookEvery, max(time.Second, due))
}

// clockTick is how often a keeper that rests looks at the clock.
const clockTick = time.Minute

// A rest is a pause that is over as soon as either clock says so. A machine
// that sleeps stops its timers, and must not find its certificate expired an
// hour after it has woken up; and a clock that is set back must not make an
// hour a week.
type rest struct {
	left  time.Duration // for the timers
	until time.Time     // by the clock on the wall
}

func newRest(pause time.Duration, now time.Time) rest {
	return rest{left: pause, until: now.Add(pause).Round(0)} // without the monotonic clock
}

// nap is how long to sleep until the next look at the clock, 0 when the rest is
// over. It takes for granted that the nap before it has been slept.
func (r *rest) nap(now time.Time) time.Duration {
	nap := max(0, min(clockTick, r.left, r.until.Sub(now.Round(0))))
	r.left -= nap
	return nap
}
