package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// siteTime is how long the site of a destination is believed, and
	// lostTime how long it is its own when nobody could say.
	siteTime = 10 * time.Minute
	lostTime = time.Minute
	// locateTime bounds one look-up. It is short: mail waits for it.
	locateTime = 5 * time.Second
	// maxLocating bounds the look-ups at a time, and maxLocatingOld those for
	// mail that has been in the queue before: a backlog whose DNS is dead does
	// not delay what comes in now.
	maxLocating    = 64
	maxLocatingOld = 48
)

// A locator finds the sites of destinations, some at a time. It is guarded by
// engine.mu.
type locator struct {
	relays     appliance.RelayFinder // nil: each destination is a site of its own
	fresh, old []*destination        // to be looked up, those with new mail first
	running    int
	ofOld      int             // of them
	parent     context.Context // ends with the engine
}

// locate has the site of d looked up by the next call of startLocating. Where
// nobody knows of sites it has its own at once. mu is held.
func (e *engine) locate(d *destination, now time.Time) {
	l := &e.locator
	switch {
	case d.locating || now.Before(d.located) && d.located.Sub(now) <= siteTime:
		return
	case l.relays == nil:
		e.located(d, nil, siteTime)
		return
	}
	d.locating = true
	if len(d.batches) > 0 {
		l.fresh = append(l.fresh, d)
	} else {
		l.old = append(l.old, d)
	}
}

// startLocating begins look-ups while there is room for them. It is called by
// run, or by a look-up that ends: engine.loop is not waited for yet. mu is held.
func (e *engine) startLocating() {
	l := &e.locator
	for l.parent.Err() == nil && l.running < maxLocating {
		var d *destination
		old := len(l.fresh) == 0
		switch {
		case !old:
			d, l.fresh = shift(l.fresh)
		case len(l.old) > 0 && l.ofOld < maxLocatingOld:
			d, l.old = shift(l.old)
			l.ofOld++
		default:
			return
		}
		l.running++
		e.loop.Go(func() { e.findSite(d, old) })
	}
}

func shift(list []*destination) (*destination, []*destination) {
	d := list[0]
	list[0] = nil
	return d, list[1:]
}

// findSite looks one destination up.
func (e *engine) findSite(d *destination, old bool) {
	s, err := e.askRelay(d.name)
	found := &s
	e.mu.Lock()
	defer e.mu.Unlock()
	e.locator.running--
	if old {
		e.locator.ofOld--
	}
	valid := siteTime
	if err != nil {
		found, valid = nil, lostTime
		e.house.Log.Debug("the servers of a destination are not known; it is a site of its own for now",
			zap.String("destination", d.name), zap.Error(err))
	}
	d.locating = false
	switch {
	case e.dests[d.name] != d: // forgotten meanwhile
	case err != nil && d.site != nil:
		d.located = e.now().Add(valid) // what was true then is the best that is known
	default:
		e.located(d, found, valid)
		e.place(d, e.now())
	}
	e.startLocating()
	e.nudge()
}

// askRelay asks the relay of a destination for its site.
func (e *engine) askRelay(destination string) (s appliance.Site, err error) {
	name, nextHop, _ := strings.Cut(destination, "/")
	relay, release, ok := e.locator.relays.AcquireRelay(name)
	if !ok {
		return s, nil // its mail is routed anew at the next attempt
	}
	defer release()
	sited, ok := relay.(appliance.SitedRelay)
	if !ok {
		return s, nil
	}
	defer func() {
		if r := recover(); r != nil {
			e.metrics.panics.Inc()
			err = fmt.Errorf("relay.%s panicked: %v", name, r)
			e.house.Log.Error("a relay panicked", zap.Error(err), zap.ByteString("stack", debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(e.locator.parent, locateTime)
	defer cancel()
	return sited.Site(ctx, nextHop)
}

// located makes d part of the site that was found. mu is held.
func (e *engine) located(d *destination, found *appliance.Site, valid time.Duration) {
	now := e.now()
	d.located = now.Add(valid)
	e.join(d, e.siteFound(d.name, found, now), now)
}

// siteFound returns the site of a destination, with the limits that its relay
// has said; without a name it is a site of its own, and without anything found
// its limits are those that are known. mu is held.
func (e *engine) siteFound(destination string, found *appliance.Site, now time.Time) *site {
	name := destination
	if found != nil && found.Name != "" {
		relay, _, _ := strings.Cut(destination, "/")
		name = relay + "/" + found.Name
	}
	s := e.site(name, now)
	if found != nil {
		s.setLimits(found.Limits)
		e.gate(name).setLimits(found.Relay)
	}
	return s
}
