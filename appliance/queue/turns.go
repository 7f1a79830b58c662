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
	if d.due.IsZero() || d.isDue(now) {
		e.agenda.remove(d)
	} else {
		e.agenda.put(d)
	}
	if e.suspended.has(d) {
		if d.site != nil {
			d.site.drop(d)
		}
		return
	}
	for l := range lanes {
		if !d.runnable(l, now) {
			continue
		}
		e.locate(d, now)
		if d.site != nil {
			d.site.push(d, l)
		}
	}
	if d.site != nil {
		e.placeSite(d.site, now)
	}
}

// placeSite puts a site where its state belongs: into the turns, among those
// that wait for their pace, or neither, if it has nothing to do or no room. mu
// is held.
func (e *engine) placeSite(s *site, now time.Time) {
	if s.waiting() == 0 || !s.room(e.settings) {
		e.paced.remove(s)
		return
	}
	if at := s.next(now); at.After(now) {
		s.wait = at
		e.paced.put(s)
		return
	}
	e.paced.remove(s)
	if l := s.lane(); !s.inTurn[l] {
		s.inTurn[l] = true
		e.turns[l] = append(e.turns[l], s)
	}
}

// dispatch begins attempts while there is work and room for it.
func (e *engine) dispatch(ctx context.Context) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.comeDue(now)
	e.startLocating()
	for n := 0; e.running < max(1, e.settings.Concurrency) && ctx.Err() == nil; n++ {
		l, ok := e.nextLane()
		if !ok || now.Before(e.store.retry) && e.store.failures > 0 {
			return
		}
		if n == maxTurns {
			e.nudge()
			return
		}
		var s *site
		s, e.turns[l] = shift(e.turns[l])
		s.inTurn[l] = false
		if l == old && s.inTurn[fresh] {
			continue // something new has come in since: it has a better place
		}
		e.turnOf(ctx, s, e.choose(s, l), now)
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
func (e *engine) turnOf(ctx context.Context, s *site, l lane, now time.Time) {
	if !s.room(e.settings) || s.next(now).After(now) {
		return
	}
	for d := s.pop(l); d != nil; d = s.pop(l) {
		runnable := d.runnable(l, now)
		if runnable {
			e.turn(ctx, d, s, l, now)
		}
		e.place(d, now)
		if runnable {
			return
		}
	}
}

// turn begins one attempt for d, if there is something to attempt. mu is
// held, but for the time in which the store is asked.
func (e *engine) turn(ctx context.Context, d *destination, s *site, l lane, now time.Time) {
	if len(d.ready[l]) == 0 {
		e.lease(ctx, d, l, now)
	}
	if len(d.ready[l]) == 0 || d.site != s || e.suspended.has(d) {
		return // it has another turn, or none
	}
	j := d.ready[l][0]
	d.ready[l] = slices.Delete(d.ready[l], 0, 1) // and not [1:], which would hold on to the message
	d.running++
	s.running++
	if e.running++; l == old {
		e.runningOld++
	}
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
	return max(1, s.limit(e.settings)/(1+len(e.turns[fresh])+len(e.turns[old])+s.waiting()))
}

// lease asks the store for due deliveries of d. mu is held, but not while the
// store is asked.
func (e *engine) lease(ctx context.Context, d *destination, l lane, now time.Time) {
	want := appliance.LeaseRequest{
		Destination: d.name, Now: now, Until: now.Add(leaseTime), Max: e.leaseSize(d),
	}
	if l == fresh {
		want.Keys = d.newcomers.take(want.Max)
		e.newcomers -= len(want.Keys)
	} else {
		d.due = time.Time{} // what is committed from now on sets it again
	}
	got, err := e.ask(ctx, d, want)
	if err != nil {
		d.expect(now, now)
		if ctx.Err() == nil {
			e.storeFailed(err, now)
		}
		return
	}
	e.storeWorks()
	if l == old {
		e.drain(d, len(got), now)
	}
	for _, x := range got {
		// A lease that ran out while its outcome could not be settled is
		// ours again; the outcome stands.
		if !e.working[x.Key] {
			e.working[x.Key] = true
			d.ready[l] = append(d.ready[l], job{x, want.Until, l})
		}
	}
}

// ask is Store.Lease, for which mu is given up.
func (e *engine) ask(ctx context.Context, d *destination, want appliance.LeaseRequest) ([]appliance.Leased, error) {
	d.leasing = true
	e.mu.Unlock()
	e.leasing.Lock()
	got, err := e.house.Store.Lease(ctx, want)
	e.leasing.Unlock()
	e.mu.Lock()
	d.leasing = false
	return got, err
}

// drain takes note of how many deliveries were due. Only none means that there
// are no more. mu is held.
func (e *engine) drain(d *destination, due int, now time.Time) {
	switch {
	case due > 0:
		d.drained = false
		d.expect(now, now)
	case d.unsure && !d.drained:
		d.drained = true
		e.scan.want(now)
	}
}
