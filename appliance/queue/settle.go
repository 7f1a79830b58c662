package queue

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// settleTime bounds one call of Store.Settle.
	settleTime = time.Minute
	// lastSettleTime bounds the last one, when the engine has to stop.
	lastSettleTime = 3 * time.Second
)

// settle makes the outcome durable, and tries until it is or the engine has
// to stop: what has been delivered and is not marked would be sent again
// (R3). It is false if the outcome is lost.
func (e *engine) settle(a *attempt) bool {
	outcome := appliance.Outcome{Key: a.leased.Key, Delivery: a.d, Attempt: a.memory(), Reports: a.reports}
	for failures := 0; ; {
		last := e.attempts.Err() != nil
		err := e.settleOnce(outcome, last)
		if err == nil {
			return true
		}
		failures++
		e.metrics.storeErrors.Inc()
		if failures == 1 {
			e.house.Log.Error("the outcome of an attempt cannot be stored; trying until it can",
				zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
		}
		if last {
			e.lost(a, err)
			return false
		}
		e.pause(backoff(failures))
	}
}

func (e *engine) settleOnce(o appliance.Outcome, last bool) error {
	limit := settleTime
	if last {
		limit = lastSettleTime
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.attempts), limit)
	defer cancel()
	return e.house.Store.Settle(ctx, o)
}

// pause waits, but not longer than the engine may run.
func (e *engine) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.attempts.Done():
	}
}

// lost says what a person may see twice because the server stops before the
// store works again.
func (e *engine) lost(a *attempt, err error) {
	delivered := 0
	for i := range a.d.Recipients {
		if a.fates[i].tried && a.d.Recipients[i].Status == appliance.Delivered {
			delivered++
		}
	}
	for _, r := range a.reports {
		_ = r.Draft.Abort() // it was never promised to anybody
	}
	e.house.Log.Error("the outcome of an attempt is lost; the message will be attempted again",
		zap.String("id", string(a.leased.Key.ID)), zap.Int("delivered_recipients", delivered), zap.Error(err))
}

// attempted lets the next delivery to d begin.
func (e *engine) attempted(d *destination, s *site, j job) {
	now := e.now()
	e.mu.Lock()
	if j.big() {
		s.bigs--
	}
	d.running, s.running = d.running-1, s.running-1
	d.settling, s.settling = d.settling+1, s.settling+1
	e.place(d, now)
	e.placeSite(s, now)
	e.mu.Unlock()
	e.nudge()
}

// finish gives the slot back and tells what has happened.
func (e *engine) finish(d *destination, s *site, j *job, a *attempt, settled bool) {
	if settled {
		a.tell()
	}
	now := e.now()
	e.mu.Lock()
	e.release(a, settled)
	e.end(j)
	d.settling, s.settling = d.settling-1, s.settling-1
	if settled && !a.d.Done() {
		e.expectOne(a.d.Destination, a.d.Due, now)
	}
	e.place(d, now)
	e.placeSite(s, now)
	e.mu.Unlock()
	if settled && len(a.reports) > 0 {
		e.expect(a.reports)
	}
	e.nudge()
}

// release ends the tenure of a delivery. If it was leased once more after its
// outcome was stored, and before anybody knew, that lease is given back: it would
// be nobody's until it runs out. mu is held, but not while the store is told.
func (e *engine) release(a *attempt, settled bool) {
	key := a.leased.Key
	for t := e.working[key]; settled && t.again && !a.d.Done(); {
		t.again = false
		e.mu.Unlock()
		err := e.settleOnce(appliance.Outcome{Key: key, Delivery: a.d}, e.attempts.Err() != nil)
		e.mu.Lock()
		if err != nil {
			e.house.Log.Warn("a lease cannot be given back; it is free again when it runs out",
				zap.String("id", string(key.ID)), zap.Error(err))
			break
		}
	}
	delete(e.working, key)
}

// putBack gives leased work back that has not begun, of the destinations that
// match: the engine stops, or a person wants it to wait.
func (e *engine) putBack(match func(*destination) bool) {
	now := e.now()
	e.mu.Lock()
	var outcomes []appliance.Outcome
	for _, d := range e.dests { // the order of the outcomes means nothing
		leased := slices.Concat(d.ready[:]...)
		if len(leased) == 0 || !match(d) {
			continue
		}
		d.ready = [sources][]job{}
		d.expect(now, now)
		for _, j := range leased {
			outcomes = append(outcomes, appliance.Outcome{Key: j.Key, Delivery: j.Delivery})
			delete(e.working, j.Key)
		}
		e.place(d, now)
	}
	e.mu.Unlock()
	if len(outcomes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.attempts), lastSettleTime)
	defer cancel()
	if err := e.house.Store.Settle(ctx, outcomes...); err != nil {
		e.house.Log.Warn("leased work cannot be put back; it is free again when its lease runs out", zap.Error(err))
	}
}
