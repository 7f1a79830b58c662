package queue

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxSleep is how late a jump of the clock is noticed.
	maxSleep = time.Minute
	// leaseTime is how long a delivery belongs to this engine. An attempt ends
	// settleMargin earlier at the latest, and none begins with less than
	// minAttempt left: the time-outs of RFC 5321, section 4.5.3.2, allow 10
	// minutes for the reply to the final dot alone.
	leaseTime    = time.Hour
	settleMargin = 2 * time.Minute
	minAttempt   = 30 * time.Minute
	// maxTurns is how many attempts begin before the clock is looked at again.
	maxTurns = 1000
	// Waits after an error of the store.
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// backoff is the wait after the n-th failure in a row, 1 being the first.
func backoff(n int) time.Duration {
	return min(maxBackoff, minBackoff<<min(n-1, 10))
}

// storeState is how the store does at leasing.
type storeState struct {
	failures int
	retry    time.Time // not to be asked before
}

// run begins attempts until ctx ends. It is the only one that leases.
func (e *engine) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-timer.C:
		}
		if e.clock.wentBack() {
			e.rewind()
		}
		e.startScan(ctx)
		e.dispatch(ctx)
		timer.Reset(e.sleep())
	}
}

// sleep is how long there is nothing to do unless something happens.
func (e *engine) sleep() time.Duration {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := maxSleep
	if first := e.agenda.first(); first != nil {
		d = min(d, first.due.Sub(now))
	}
	if len(e.turns) > 0 && e.store.failures > 0 {
		d = min(d, e.store.retry.Sub(now))
	}
	if !e.scan.inProgress {
		d = min(d, e.scan.at().Sub(now))
	}
	return max(d, 0)
}

// place puts a destination where its state belongs: into the turns, the
// agenda, or neither, if it waits for an attempt to end. mu is held.
func (e *engine) place(d *destination, now time.Time) {
	switch {
	case d.inTurn:
	case d.runnable(now, e.settings.DestinationConcurrency):
		e.agenda.remove(d)
		d.inTurn = true
		e.turns = append(e.turns, d)
	case d.isDue(now):
		e.agenda.remove(d)
	default:
		e.agenda.put(d)
	}
}

// dispatch begins attempts while there is work and room for it.
func (e *engine) dispatch(ctx context.Context) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for d := e.agenda.first(); d != nil && d.isDue(now); d = e.agenda.first() {
		e.agenda.remove(d)
		e.place(d, now)
	}
	for n := 0; e.running < max(1, e.settings.Concurrency) && len(e.turns) > 0 && ctx.Err() == nil; n++ {
		if now.Before(e.store.retry) && e.store.failures > 0 {
			return
		}
		if n == maxTurns {
			e.nudge()
			return
		}
		d := e.turns[0]
		e.turns[0] = nil
		e.turns, d.inTurn = e.turns[1:], false
		if d.runnable(now, e.settings.DestinationConcurrency) {
			e.turn(ctx, d, now)
		}
		e.place(d, now)
	}
}

// turn begins one attempt for d, if there is something to attempt. mu is
// held, but for the time in which the store is asked.
func (e *engine) turn(ctx context.Context, d *destination, now time.Time) {
	if len(d.ready) == 0 {
		e.lease(ctx, d, now)
	}
	if len(d.ready) == 0 {
		return
	}
	j := d.ready[0]
	d.ready = slices.Delete(d.ready, 0, 1) // and not [1:], which would hold on to the message
	d.running++
	e.running++
	e.workers.Go(func() { e.work(d, j) })
}

// lease asks the store for due deliveries of d: for one if others wait for
// their turn, for more if d is alone. mu is held, but not while the store is
// asked.
func (e *engine) lease(ctx context.Context, d *destination, now time.Time) {
	limit := d.limit(e.settings.DestinationConcurrency)
	want := appliance.LeaseRequest{
		Destination: d.name, Now: now, Until: now.Add(leaseTime), Max: max(1, limit/(1+len(e.turns))),
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

// storeFailed and storeWorks are called with mu held. The log is told of the
// first failure of a row, and of its end.
func (e *engine) storeFailed(err error, now time.Time) {
	e.store.failures++
	e.store.retry = now.Add(backoff(e.store.failures))
	e.metrics.storeErrors.Inc()
	if e.store.failures == 1 {
		e.house.Log.Error("the store gives no work; delivery waits until it does", zap.Error(err))
	}
}

func (e *engine) storeWorks() {
	if e.store.failures > 0 {
		e.house.Log.Info("the store gives work again", zap.Int("failures", e.store.failures))
	}
	e.store = storeState{}
}
