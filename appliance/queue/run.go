package queue

import (
	"context"
	"time"

	"go.uber.org/zap"
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
	waited   bool      // something could begin but for that
}

// run begins attempts until ctx ends. It is the only one that leases.
func (e *engine) run(ctx context.Context) {
	timer := time.NewTimer(maxSleep)
	defer timer.Stop()
	e.nudge()
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
		if d := e.sleep(); d > 0 {
			timer.Reset(d)
		} else {
			e.nudge()
		}
	}
}

// sleep is how long there is nothing to do unless something happens.
func (e *engine) sleep() time.Duration {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := maxSleep
	if first, ok := e.agenda.first(); ok {
		d = min(d, first.due.Sub(now))
	}
	if first, ok := e.paced.first(); ok {
		d = min(d, first.wait.Sub(now))
	}
	if end := e.suspended.first(); !end.IsZero() {
		d = min(d, end.Sub(now))
	}
	if !e.pacedUntil.IsZero() {
		d = min(d, e.pacedUntil.Sub(now))
	}
	if e.store.waited {
		d = min(d, e.store.retry.Sub(now))
	}
	if !e.scan.inProgress {
		d = min(d, e.scan.at().Sub(now))
	}
	return max(d, 0)
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
