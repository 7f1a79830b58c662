package queue

import (
	"context"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// place puts a destination where its state belongs: into the turns of its
// site, the agenda, or neither, if it waits for its site to be known, for an
// attempt to end, or for a person. mu is held.
func (e *engine) place(d *destination, now time.Time) {
	switch {
	case e.suspended.has(d):
		e.agenda.remove(d)
		if d.site != nil {
			d.site.drop(d)
		}
	case d.inTurn:
	case d.runnable(now):
		e.agenda.remove(d)
		e.locate(d, now)
		if d.site != nil {
			d.inTurn = true
			d.site.turns = append(d.site.turns, d)
			e.placeSite(d.site, now)
		}
	case d.isDue(now) || d.due.IsZero():
		e.agenda.remove(d)
	default:
		e.agenda.put(d)
	}
}

// placeSite puts a site where its state belongs: into the turns, among those
// that wait for their pace, or neither, if it has nothing to do or no room. mu
// is held.
func (e *engine) placeSite(s *site, now time.Time) {
	if s.inTurn {
		return
	}
	if len(s.turns) == 0 || !s.room(e.settings) {
		e.paced.remove(s)
		return
	}
	if at := s.next(now); at.After(now) {
		s.wait = at
		e.paced.put(s)
		return
	}
	e.paced.remove(s)
	s.inTurn = true
	e.turns = append(e.turns, s)
}

// dispatch begins attempts while there is work and room for it.
func (e *engine) dispatch(ctx context.Context) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.store.waited = false
	e.comeDue(now)
	e.startLocating()
	for n := 0; e.running < max(1, e.settings.Concurrency) && len(e.turns) > 0 && ctx.Err() == nil; n++ {
		if e.store.waited = e.store.failures > 0 && now.Before(e.store.retry); e.store.waited {
			return
		}
		if n == maxTurns {
			e.nudge()
			return
		}
		s := e.turns[0]
		e.turns[0] = nil
		e.turns, s.inTurn = e.turns[1:], false
		e.turnOf(ctx, s, now)
		e.placeSite(s, now)
	}
}

// comeDue places what has waited for a time that has come. mu is held.
func (e *engine) comeDue(now time.Time) {
	e.endSuspensions(now)
	for d, ok := e.agenda.first(); ok && d.isDue(now); d, ok = e.agenda.first() {
		e.agenda.remove(d)
		e.place(d, now)
	}
	for s, ok := e.paced.first(); ok && !s.wait.After(now); s, ok = e.paced.first() {
		e.paced.remove(s)
		e.placeSite(s, now)
	}
}

// turnOf is the turn of a site: that of the first of its destinations which
// has something to do. mu is held.
func (e *engine) turnOf(ctx context.Context, s *site, now time.Time) {
	if !s.room(e.settings) || s.next(now).After(now) {
		return
	}
	for d := s.pop(); d != nil; d = s.pop() {
		runnable := d.runnable(now)
		if runnable {
			e.turn(ctx, d, s, now)
		}
		e.place(d, now)
		if runnable {
			return
		}
	}
}

// turn begins one attempt for d, if there is something to attempt. mu is
// held, but for the time in which the store is asked.
func (e *engine) turn(ctx context.Context, d *destination, s *site, now time.Time) {
	if len(d.ready) == 0 {
		e.lease(ctx, d, now)
	}
	if len(d.ready) == 0 || d.site != s || e.suspended.has(d) {
		return // it has another turn, or none
	}
	j := d.ready[0]
	d.ready = slices.Delete(d.ready, 0, 1) // and not [1:], which would hold on to the message
	d.running++
	s.running++
	e.running++
	if s.used = now; !s.outage.down(now) && !d.outage.down(now) {
		s.pace.take(now)
	}
	e.workers.Go(func() { e.work(d, s, j) })
}

// leaseSize is for how many deliveries of d the store is asked: one if others
// wait for their turn or the site for its pace, more if d is alone. mu is held.
func (e *engine) leaseSize(d *destination) int {
	s := d.site
	if !s.pace.rate.IsZero() || s.load.slow > 0 {
		return 1
	}
	return max(1, s.limit(e.settings)/(1+len(e.turns)+len(s.turns)))
}

// lease asks the store for due deliveries of d. mu is held, but not while the
// store is asked.
func (e *engine) lease(ctx context.Context, d *destination, now time.Time) {
	want := appliance.LeaseRequest{
		Destination: d.name, Now: now, Until: now.Add(leaseTime), Max: e.leaseSize(d),
	}
	// What is committed from now on sets it again.
	d.due, d.leasing = time.Time{}, true
	e.mu.Unlock()
	e.leasing.Lock()
	got, err := e.house.Store.Lease(ctx, want)
	e.leasing.Unlock()
	e.mu.Lock()
	d.leasing = false
	if err != nil {
		d.expect(now, now)
		if ctx.Err() == nil {
			e.storeFailed(err, now)
		}
		return
	}
	e.storeWorks()
	switch {
	case len(got) > 0:
		// Only an empty answer means that there is no more.
		d.drained = false
		d.expect(now, now)
	case d.unsure && !d.drained:
		d.drained = true
		e.scan.want(now)
	}
	for _, l := range got {
		// A lease that ran out while its outcome could not be settled is
		// ours again; the outcome stands.
		if !e.working[l.Key] {
			e.working[l.Key] = true
			d.ready = append(d.ready, job{l, want.Until})
		}
	}
}
