package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// New returns the engine. It does nothing before Start, but takes messages.
func New(in appliance.EngineContext) appliance.Engine {
	if in.Log == nil {
		in.Log = zap.NewNop()
	}
	if in.Events == nil {
		in.Events = appliance.EventFunc(func(appliance.Event) {})
	}
	if in.Rand == nil {
		in.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	e := &engine{
		house:    in,
		settings: in.Settings,
		clock:    newClock(in.Now),
		dests:    make(map[string]*destination),
		sites:    make(map[string]*site),
		gates:    make(map[string]*gate),
		working:  make(map[appliance.DeliveryKey]*tenure),
		wake:     make(chan struct{}, 1),
	}
	e.setRate(in.Settings.Rate)
	e.locator.relays, _ = in.Router.(appliance.RelayFinder)
	e.metrics = newMetrics(e)
	return e
}

type engine struct {
	house   appliance.EngineContext // Settings and Rand: see below
	metrics *metrics
	clock   clock         // used by run only, but for clock.now
	wake    chan struct{} // holds one element when run has to look again

	mu       sync.Mutex
	settings appliance.QueueSettings
	dests    map[string]*destination
	sites    map[string]*site
	gates    map[string]*gate     // by relay
	agenda   agenda[*destination] // those that wait for mail to become due
	paced    agenda[*site]        // those that wait for their pace
	lanes    [lanes]queue         // those with work to begin, in turn
	lastLane lane                 // whose turn it was
	running  int                  // attempts in flight
	pace     pace                 // of all deliveries

	pacedUntil time.Time // something could begin but for a pace; zero if not

	locator locator

	flows     flows
	newcomers int // that destinations remember

	working map[appliance.DeliveryKey]*tenure
	store   storeState
	scan    scanState

	suspended suspensions // guarded by mu; writing is held for changing it
	writing   sync.Mutex

	rations rations

	random sync.Mutex // guards house.Rand

	// leasing is held while the store leases, and while a change needs that
	// it does not.
	leasing sync.Mutex

	// loop ends when the engine stops; attempts is cancelled when the time to
	// stop is over.
	stopLoop     context.CancelFunc
	attempts     context.Context
	stopAttempts context.CancelFunc
	loop         sync.WaitGroup // run and scans
	workers      sync.WaitGroup
}

var (
	_ appliance.Engine     = (*engine)(nil)
	_ appliance.SiteKeeper = (*engine)(nil)
)

func (e *engine) now() time.Time { return e.clock.now().Round(0) }

// Start looks what waits in the store and begins to deliver it.
func (e *engine) Start(ctx context.Context) error {
	if err := e.loadSuspensions(ctx); err != nil {
		return err
	}
	if err := e.look(ctx); err != nil {
		return err
	}
	var loop context.Context
	loop, e.stopLoop = context.WithCancel(context.Background())
	e.locator.parent = loop
	e.attempts, e.stopAttempts = context.WithCancel(context.Background())
	e.loop.Go(func() { e.run(loop) })
	return nil
}

// stopGrace is how long Stop waits for attempts that it has cancelled.
const stopGrace = 5 * time.Second

// Stop begins no more attempts and waits for those in flight until ctx ends.
// Then it cuts them off: they are put back and count as not made.
func (e *engine) Stop(ctx context.Context) error {
	if e.stopLoop == nil {
		return nil
	}
	e.stopLoop()
	e.loop.Wait()
	e.putBack(func(*destination) bool { return true })

	finished := make(chan struct{})
	go func() {
		e.workers.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
	}
	e.stopAttempts()
	select {
	case <-finished:
		return nil
	case <-time.After(stopGrace):
		e.mu.Lock()
		defer e.mu.Unlock()
		return fmt.Errorf("%d deliveries did not end in time", e.running)
	}
}

// Draft implements [appliance.Spool].
func (e *engine) Draft(ctx context.Context) (appliance.Draft, error) {
	return e.house.Store.Draft(ctx)
}

// Room implements [appliance.RoomReporter].
func (e *engine) Room(ctx context.Context, size int64) error {
	if r, ok := e.house.Store.(appliance.RoomReporter); ok {
		return r.Room(ctx, size)
	}
	return nil
}

// Commit implements [appliance.Spool]: what is durable is attempted at once.
func (e *engine) Commit(ctx context.Context, msgs ...appliance.Accepted) error {
	if err := e.house.Store.Commit(ctx, msgs...); err != nil {
		return err
	}
	e.expect(msgs)
	return nil
}

// expect notes what has been added to the store.
func (e *engine) expect(msgs []appliance.Accepted) {
	now := e.now()
	e.mu.Lock()
	for i := range msgs {
		for j := range msgs[i].Deliveries {
			if msgs[i].Deliveries[j].Held {
				continue // until a person releases it
			}
			due := msgs[i].Deliveries[j].Due
			d := e.destination(msgs[i].Deliveries[j].Destination)
			if due.After(now) || !e.welcome(d, &msgs[i], j) {
				d.expect(due, now)
			}
			e.place(d, now)
		}
	}
	e.mu.Unlock()
	e.nudge()
}

// expectOne is called with mu held.
func (e *engine) expectOne(name string, due, now time.Time) {
	d := e.destination(name)
	d.expect(due, now)
	e.place(d, now)
}

// destination returns the record of a destination; mu is held.
func (e *engine) destination(name string) *destination {
	d := e.dests[name]
	if d == nil {
		d = newDestination(name)
		e.dests[name] = d
	}
	return d
}

// nudge makes run look again.
func (e *engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Configure implements [appliance.Engine]. What was found out about next hops
// is forgotten: their names may mean something else now.
func (e *engine) Configure(s appliance.QueueSettings) {
	now := e.now()
	e.mu.Lock()
	e.settings = s
	e.setRate(s.Rate)
	for _, d := range e.dests {
		d.outage, d.located = outage{}, time.Time{}
	}
	for _, s := range e.sites {
		s.outage, s.load = outage{}, load{limit: max(s.load.limit, firstLimit)}
		s.answered, s.suspect = false, false
		e.placeSite(s, now)
	}
	e.scan.soon(now)
	e.mu.Unlock()
	e.nudge()
}

func (e *engine) queueSettings() appliance.QueueSettings {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.settings
}

// retryWait is the wait after the attempt-th attempt, with jitter.
func (e *engine) retryWait(s appliance.Schedule, attempt int) time.Duration {
	e.random.Lock()
	defer e.random.Unlock()
	return s.Wait(max(1, attempt), e.house.Rand)
}
