package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// firstLimit is how many deliveries at a time a destination begins with.
	firstLimit = 2
	// maxPause is the longest time for which a next hop that could not be
	// reached is left alone. It bounds how long mail waits after an outage.
	maxPause = 5 * time.Minute
)

// health is what the latest attempts say about a next hop.
type health struct {
	limit    int       // deliveries at a time, as far as the next hop is concerned
	failures int       // times in a row that it could not be reached
	since    time.Time // of the last of them
	until    time.Time // left alone until then
	result   appliance.Result
}

// A sign is what one attempt says about the next hop.
type sign int

const (
	silent  sign = iota // nothing: the fault was ours, or in the message
	answers             // it has answered
	busy                // it has enough (421), or was lost in the middle of the message
	dead                // it could not be reached
)

// read finds the sign in the results of one attempt.
func read(results []appliance.Result) sign {
	if len(results) == 0 {
		return silent
	}
	s := dead
	for i := range results {
		r := &results[i]
		switch {
		case r.Remote && r.Reply.Code == 421: // RFC 5321, section 3.8: closing the channel
			return busy
		case r.Midway:
			return busy
		case r.Remote || r.Reply.Positive():
			s = answers
		case s == dead && aboutMessage(r):
			s = silent
		}
	}
	return s
}

// aboutMessage says whether a result that is not the next hop's own says more
// about this message, or about us, than about the next hop.
func aboutMessage(r *appliance.Result) bool {
	// RFC 3463, section 3.4: x.3.x is about the system that says it, and that
	// is this one.
	return r.Reply.Permanent() || r.Reply.Detail.Subject == 3
}

// note takes the sign of an attempt that began at the given time. pause is for
// a next hop that could not be reached.
func (h *health) note(s sign, r appliance.Result, began, now time.Time, pause time.Duration) {
	switch s {
	case answers:
		*h = health{limit: h.limit + 1}
	case busy:
		*h = health{limit: max(1, h.limit/2)}
	case dead:
		h.limit = 1
		if h.failures > 0 && began.Before(h.since) {
			return // went out together with the one that counted
		}
		h.failures++
		h.since, h.until, h.result = now, now.Add(min(pause, maxPause)), r
	}
}

// down says whether the next hop is being left alone. A time further ahead
// than a pause can be is from before the clock was put back.
func (h *health) down(now time.Time) bool {
	return now.Before(h.until) && h.until.Sub(now) <= maxPause
}

// isDown returns the failure to share if the next hop is being left alone.
func (e *engine) isDown(destination string) (appliance.Result, bool) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.dests[destination]
	if d == nil || !d.health.down(now) {
		return appliance.Result{}, false
	}
	return d.health.result, true
}

// learn takes over what an attempt says about the next hop.
func (e *engine) learn(destination string, results []appliance.Result, began time.Time, s appliance.QueueSettings) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.destination(destination)
	pause := s.Retry.Wait(d.health.failures+1, nil)
	d.health.note(read(results), results[0], began, now, pause)
	d.health.limit = min(d.health.limit, max(1, s.DestinationConcurrency))
}
