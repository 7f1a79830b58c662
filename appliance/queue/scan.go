package queue

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// scanPeriod is how often all destinations are listed anew: deliveries
	// can become due without the engine being told, by another node or by a
	// lease that ran out.
	scanPeriod = time.Minute
	// A scan that is wanted waits for others to want it too, and takes at
	// most one part in scanShare of the time.
	scanDelay = time.Second
	scanShare = 20
)

// scanState says when the destinations are listed next. It is guarded by
// engine.mu.
type scanState struct {
	due        time.Time
	rest       time.Time // but not before
	inProgress bool
	number     uint64
	failures   int
	rewound    bool // the clock has gone back: everything is to be made due
}

// at is when the next scan begins.
func (s *scanState) at() time.Time {
	if s.rest.After(s.due) {
		return s.rest
	}
	return s.due
}

// want asks for a scan before long.
func (s *scanState) want(now time.Time) {
	if at := now.Add(scanDelay); at.Before(s.due) {
		s.due = at
	}
}

// soon asks for a scan now.
func (s *scanState) soon(now time.Time) {
	s.due, s.rest = now, now
}

// startScan begins a scan if it is time, beside the attempts.
func (e *engine) startScan(ctx context.Context) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.scan.inProgress || now.Before(e.scan.at()) {
		return
	}
	e.scan.inProgress = true
	e.scan.due = now.Add(scanPeriod)
	e.loop.Go(func() {
		began := time.Now()
		err := e.look(ctx)
		e.endScan(ctx, err, time.Since(began))
	})
}

func (e *engine) endScan(ctx context.Context, err error, took time.Duration) {
	now := e.now()
	e.mu.Lock()
	s := &e.scan
	s.inProgress = false
	if s.due.After(now) { // else it is wanted at once
		s.rest = now.Add(scanShare * took)
	}
	switch {
	case err == nil:
		s.failures = 0
	case ctx.Err() == nil:
		s.failures++
		s.due = now.Add(backoff(s.failures))
		e.metrics.storeErrors.Inc()
		if s.failures == 1 {
			e.house.Log.Error("the store does not list its destinations; trying again", zap.Error(err))
		}
	}
	e.mu.Unlock()
	e.nudge()
}

// look lists the destinations of the store and takes their times over.
func (e *engine) look(ctx context.Context) error {
	if err := e.afterRewind(ctx); err != nil {
		return err
	}
	number, impossible := e.beginLook()
	var late []string
	for due, err := range e.house.Store.Destinations(ctx) {
		if err != nil {
			return err
		}
		if due.Due.After(impossible) {
			late = append(late, due.Destination)
		}
		e.found(due, number)
	}
	e.forget()
	return e.hurry(ctx, late)
}

// beginLook returns the number of the scan, and a time after which nothing
// can be due that was scheduled by the clock and the settings of now.
func (e *engine) beginLook() (number uint64, impossible time.Time) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scan.number++
	for _, d := range e.dests {
		d.unsure = false
	}
	if e.scan.due.IsZero() {
		e.scan.due = now.Add(scanPeriod)
	}
	return e.scan.number, now.Add(e.settings.Retry.Longest() + jumpBack)
}

func (e *engine) found(due appliance.DestinationDue, number uint64) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.destination(due.Destination)
	d.seen = number
	d.expect(due.Due, now)
	d.unsure = true // there may be others behind the first
	e.place(d, now)
}

// forget drops the records of destinations that have no mail any more, and of
// sites that have had none for a while.
func (e *engine) forget() {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, d := range e.dests {
		if d.seen != e.scan.number && d.idle(now) {
			e.agenda.remove(d)
			e.part(d, now)
			delete(e.dests, name)
		}
	}
	for name, s := range e.sites {
		if s.idle(now) {
			delete(e.sites, name)
		}
	}
}

// hurry makes destinations due that wait for a time which the schedule cannot
// have set: the clock was put back while the server was down, or the schedule
// has become shorter.
func (e *engine) hurry(ctx context.Context, late []string) error {
	held := false
	for _, name := range late {
		f := appliance.Filter{Destination: name, Held: &held}
		if _, err := e.house.Store.Change(ctx, f, appliance.ChangeRetry); err != nil {
			return err
		}
		now := e.now()
		e.mu.Lock()
		e.expectOne(name, now, now)
		e.mu.Unlock()
	}
	return nil
}

// rewind is called when the clock has gone back: it has everything in the
// store made due, which lowers all times that were noted before.
func (e *engine) rewind() {
	e.house.Log.Warn("the clock has gone back; everything in the queue is tried now")
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.store.retry = now
	for _, s := range e.sites { // each is placed by its own state alone
		e.placeSite(s, now)
	}
	e.scan = scanState{due: now, rewound: true, number: e.scan.number, inProgress: e.scan.inProgress}
}

func (e *engine) afterRewind(ctx context.Context) error {
	e.mu.Lock()
	rewound := e.scan.rewound
	e.mu.Unlock()
	if !rewound {
		return nil
	}
	held := false
	if _, err := e.house.Store.Change(ctx, appliance.Filter{Held: &held}, appliance.ChangeRetry); err != nil {
		return err
	}
	e.mu.Lock()
	e.scan.rewound = false
	e.mu.Unlock()
	return nil
}
