package queue

import (
	"context"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// place puts a destination where its state belongs: into the streams of its
// site, the agenda, or neither, if it waits for its site to be known, for an
// attempt to end, or for a person. It can be called at any time. mu is held.
func (e *engine) place(d *destination, now time.Time) {
	suspended := e.suspended.has(d)
	if !suspended && (d.runnable(fresh, now) || d.runnable(old, now) || d.runnable(big, now)) {
		e.locate(d, now)
	}
	if s := d.site; s != nil {
		if suspended {
			s.drop(d)
		} else {
			e.lineUp(d, s, now)
		}
		e.placeSite(s, now)
	}
	if d.due.IsZero() || d.isDue(now) {
		e.agenda.remove(d)
	} else {
		e.agenda.put(d)
	}
}

// lineUp has a destination wait in the streams for which it has work. Where it
// does already it keeps its place; where it has none any more its turn will
// tell. mu is held.
func (e *engine) lineUp(d *destination, s *site, now time.Time) {
	if d.outage.failures > 0 && d.running > 0 {
		return
	}
	for _, b := range slices.Clone(d.batches) {
		if t := s.stream(b); t != nil {
			t.push(d)
			continue
		}
		e.forgetNewcomers(d, b, len(b.list))
		d.expect(now, now)
	}
	for _, t := range s.backlog {
		if len(d.ready[t.from]) > 0 || t.from == old && d.runnable(old, now) {
			t.push(d)
		}
	}
}

// placeSite puts the streams of a site where their state belongs: into lanes,
// or nowhere, if there is nothing to do or no room; and the site itself among
// those that wait for their pace. It can be called at any time. mu is held.
func (e *engine) placeSite(s *site, now time.Time) {
	open := s.waiting() > 0 && s.room(e.settings)
	if at := s.next(now); open && at.After(now) {
		s.wait, open = at, false
		e.paced.put(s)
	} else {
		e.paced.remove(s)
	}
	for t := range s.streams {
		e.placeStream(t, open && (t.from != big || s.roomForBig(e.settings)), now)
	}
	s.senders = slices.DeleteFunc(s.senders, func(t *stream) bool { return len(t.line) == 0 })
}

// dispatch begins attempts while there is work and room for it.
func (e *engine) dispatch(ctx context.Context) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.store.waited, e.pacedUntil = false, time.Time{}
	e.comeDue(now)
	e.startLocating()
	for n := 0; e.running < max(1, e.settings.Concurrency) && ctx.Err() == nil; n++ {
		t := e.nextTurn(now)
		if e.store.waited = t != nil && e.store.failures > 0 && now.Before(e.store.retry); t == nil || e.store.waited {
			return
		}
		if n == maxTurns {
			e.nudge()
			return
		}
		e.turnOf(ctx, t, now)
		e.placeSite(t.site, now)
	}
}

// nextTurn is the first of the lane whose turn it is, of those that have room;
// nil if there is none, or the pace of all deliveries lets none begin. mu is
// held.
func (e *engine) nextTurn(now time.Time) *stream {
	for i := range lane(lanes) {
		l := (e.lastLane + 1 + i) % lanes
		t := e.first(l, now)
		if t == nil {
			continue
		}
		if e.holdUp(e.pace.next(now, 0), now) {
			return nil
		}
		e.lastLane = l
		return t
	}
	return nil
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

// turnOf is the turn of a stream: that of the first of its destinations which
// has something to do. mu is held.
func (e *engine) turnOf(ctx context.Context, t *stream, now time.Time) {
	s := t.site
	e.leave(t)
	if !s.room(e.settings) || s.next(now).After(now) || s.lane(t.from, now) != t.lane {
		return // its state has changed with the time
	}
	e.flows.served(t.lane, t.tag)
	t.armed = false
	for len(t.line) > 0 {
		d := t.shift()
		runnable := d.runnable(t.from, now)
		if runnable {
			e.turn(ctx, d, t, now)
		}
		e.place(d, now)
		if runnable {
			return
		}
	}
}

// turn begins one attempt for d, if there is something to attempt. mu is
// held, but for the time in which the store is asked.
func (e *engine) turn(ctx context.Context, d *destination, t *stream, now time.Time) {
	s, ready := t.site, &d.ready[t.from]
	switch {
	case t.news:
		ready = &d.ready[old] // where it waits if it cannot begin now
		e.leaseNewcomer(ctx, d, t)
	case len(*ready) == 0:
		e.leaseDue(ctx, d)
	}
	if len(*ready) == 0 || d.site != s || e.suspended.has(d) || e.deferTurn(d, t, now) {
		return // it has another turn, or none
	}
	j := take(ready)
	e.begin(t, &j)
	d.running++
	s.running++
	if j.big() {
		s.bigs++
	}
	if s.used = now; !s.outage.down(now) && !d.outage.down(now) {
		s.pace.take(now)
		t.flow.gate.pace.take(now)
		e.pace.take(now)
	}
	e.workers.Go(func() { e.work(d, s, j) })
}

// take removes the first of a list.
func take(list *[]job) job {
	j := (*list)[0]
	*list = slices.Delete(*list, 0, 1) // and not [1:], which would hold on to the message
	return j
}

// deferTurn says whether what has been leased belongs elsewhere than could be
// known before it was read, and has it wait there. mu is held.
func (e *engine) deferTurn(d *destination, t *stream, now time.Time) bool {
	s := t.site
	if t.from == big {
		return false
	}
	j := &d.ready[old][0]
	switch {
	case j.big() && !s.roomForBig(e.settings):
		d.ready[big] = append(d.ready[big], take(&d.ready[old]))
		return true
	case t.from == old && !s.answered && !s.suspect && j.unproven():
		s.suspect = true
		return s.lane(old, now) != t.lane
	}
	return false
}

func (j *job) big() bool { return j.Message.Size() >= bigSize }

// unproven says whether nothing in the delivery shows that its site answers: it
// has not been tried, or no server could be reached.
func (j *job) unproven() bool {
	for i := range j.Delivery.Recipients {
		to := &j.Delivery.Recipients[i]
		if to.Status == appliance.Waiting && to.Last.Reply.Code != 0 {
			return !to.Last.Remote && !to.Last.Midway && !aboutMessage(&to.Last) && failed(&to.Last) == dead
		}
	}
	return true
}

// leaseSize is for how many deliveries of d the store is asked: one if others
// wait for their turn or the site for its pace, more if d is alone. mu is held.
func (e *engine) leaseSize(d *destination) int {
	s := d.site
	if !s.pace.rate.IsZero() || s.load.slow > 0 {
		return 1
	}
	others := s.waiting()
	for l := range e.lanes {
		others += e.lanes[l].streams
	}
	return max(1, s.limit(e.settings)/(1+others))
}

// leaseNewcomer asks the store for the next newcomer of a stream. mu is held,
// but not while the store is asked.
func (e *engine) leaseNewcomer(ctx context.Context, d *destination, t *stream) {
	b := d.batch(t.flow, t.from)
	if b == nil {
		return
	}
	key := e.admit(d, b)
	now := e.now() // and not the time of the turn: the newcomer may be younger
	got, found, err := e.lease(ctx, d, appliance.LeaseRequest{Now: now, Max: 1, Keys: []appliance.DeliveryKey{key}})
	if err != nil || found == 0 {
		d.expect(now, now) // its turn has come by its time, or a person has changed it
	}
	d.ready[old] = append(got, d.ready[old]...)
}

// leaseDue asks the store for what is due. mu is held, but not while the store
// is asked.
func (e *engine) leaseDue(ctx context.Context, d *destination) {
	now := e.now()
	d.due = time.Time{} // what is committed from now on sets it again
	got, found, err := e.lease(ctx, d, appliance.LeaseRequest{Now: now, Max: e.leaseSize(d)})
	d.ready[old] = append(d.ready[old], got...)
	switch {
	case err != nil:
		d.expect(now, now)
	case found > 0:
		// Only an empty answer means that there is no more.
		d.drained = false
		d.expect(now, now)
	case d.unsure && !d.drained:
		d.drained = true
		e.scan.want(now)
	}
}

// lease asks the store for deliveries of d, and returns those that are not being
// worked on; found says how many there were. mu is held, but not while the store
// is asked.
func (e *engine) lease(ctx context.Context, d *destination, want appliance.LeaseRequest) (jobs []job, found int, err error) {
	want.Destination, want.Until = d.name, want.Now.Add(leaseTime)
	d.leasing = true
	e.mu.Unlock()
	e.leasing.Lock()
	got, err := e.house.Store.Lease(ctx, want)
	e.leasing.Unlock()
	e.mu.Lock()
	d.leasing = false
	if err != nil {
		if ctx.Err() == nil {
			e.storeFailed(err, want.Now)
		}
		return nil, 0, err
	}
	e.storeWorks()
	for _, l := range got {
		switch t := e.working[l.Key]; {
		case t == nil:
			e.working[l.Key] = &tenure{until: want.Until}
			jobs = append(jobs, job{Leased: l, until: want.Until})
		case want.Now.Before(t.until):
			t.again = true // its outcome has just been stored: see finish
		default:
			// The lease ran out while the outcome could not be stored. That stands,
			// and ends this lease too.
		}
	}
	return jobs, len(got), nil
}
