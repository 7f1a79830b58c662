package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// firstLimit is how many deliveries at a time a site begins with.
	firstLimit = 2
	// maxPause is the longest time for which a next hop that could not be
	// reached is left alone. It bounds how long mail waits after an outage.
	maxPause = 5 * time.Minute
)

// A sign is what one attempt says about the next hop.
type sign int

const (
	silent  sign = iota // nothing: the fault was ours, or in the message
	answers             // it has answered
	shaky               // it was lost in the middle of the message
	busy                // it says that it has enough
	apart               // this next hop could not be used, which says nothing about others of its site
	dead                // no server of the site could be reached
)

// read finds the sign in the results of one attempt.
func read(results []appliance.Result, rules appliance.ClassRules) sign {
	said, failure, ours := silent, silent, false
	for i := range results {
		r := &results[i]
		switch {
		case r.Remote && tooMuch(r, rules):
			return busy
		case r.Midway:
			said = shaky
		case r.Remote || r.Reply.Positive():
			said = max(said, answers)
		case aboutMessage(r):
			ours = true
		default:
			failure = max(failure, failed(r))
		}
	}
	if said != silent || ours {
		return said
	}
	return failure
}

// tooMuch says whether the next hop asks for less mail at a time.
func tooMuch(r *appliance.Result, rules appliance.ClassRules) bool {
	if r.Reply.Code == 421 { // RFC 5321, section 3.8: it closes the channel
		return true
	}
	return r.Reply.Temporary() && rules.Classify(r) == appliance.ClassRate
}

// failed is what a failure of our own finding says. RFC 3463, section 3.5:
// x.4.1 and x.4.2 are about the connection, which all next hops of a site
// share; DNS (x.4.3), routing (x.4.4) and security (x.7.x) are those of a
// domain.
func failed(r *appliance.Result) sign {
	switch d := r.Reply.Detail; {
	case d.Subject == 7, d.Subject == 4 && (d.Detail == 3 || d.Detail == 4):
		return apart
	}
	return dead
}

// aboutMessage says whether a result that is not the next hop's own says more
// about this message, or about us, than about the next hop.
func aboutMessage(r *appliance.Result) bool {
	// RFC 3463, section 3.4: x.3.x is about the system that says it, and that
	// is this one.
	return r.Reply.Permanent() || r.Reply.Detail.Subject == 3
}

// An outage is a row of failures to reach a next hop, or a site.
type outage struct {
	failures int       // in a row
	since    time.Time // of the last of them
	until    time.Time // left alone until then
	result   appliance.Result
}

// add takes the failure of an attempt that began at the given time, unless it
// went out together with the one that counted last.
func (o *outage) add(r appliance.Result, began, now time.Time, pause time.Duration) {
	if o.failures > 0 && began.Before(o.since) {
		return
	}
	o.failures++
	o.since, o.until, o.result = now, now.Add(min(pause, maxPause)), r
}

// down says whether the next hop is being left alone. A time further ahead
// than a pause can be is from before the clock was put back.
func (o *outage) down(now time.Time) bool {
	return now.Before(o.until) && o.until.Sub(now) <= maxPause
}

// isDown returns the failure to share if the next hop is being left alone.
func (e *engine) isDown(destination string) (appliance.Result, bool) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.dests[destination]
	switch {
	case d == nil:
	case d.outage.down(now):
		return d.outage.result, true
	case d.site != nil && d.site.outage.down(now):
		return d.site.outage.result, true
	}
	return appliance.Result{}, false
}

// learn takes over what an attempt says about the next hop and its site.
func (e *engine) learn(destination string, results []appliance.Result, began time.Time, s appliance.QueueSettings) {
	sign, now := read(results, s.Classes), e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.destination(destination)
	switch sign {
	case apart:
		d.outage.add(results[0], began, now, s.Retry.Wait(d.outage.failures+1, nil))
		return
	case answers, shaky, busy:
		d.outage = outage{}
	}
	if d.site != nil {
		d.site.note(sign, results, began, now, s)
	}
}

// note takes the sign of an attempt at a site.
func (s *site) note(g sign, results []appliance.Result, began, now time.Time, settings appliance.QueueSettings) {
	if g != silent {
		s.suspect = false // it has been tried
	}
	switch g {
	case answers:
		s.outage, s.answered = outage{}, true
		s.load.answered(now, s.most(settings))
	case shaky, busy:
		s.outage, s.answered = outage{}, true
		s.load.cut(g == busy, results, began, now)
	case dead:
		s.load.limit = 1
		s.outage.add(results[0], began, now, settings.Retry.Wait(s.outage.failures+1, nil))
	}
}
