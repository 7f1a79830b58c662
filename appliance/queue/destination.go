package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A destination is what the engine knows about one relay and next hop. All
// fields are guarded by engine.mu.
type destination struct {
	name   string
	outage outage // what concerns it alone: its site may be well

	site     *site     // nil until it is known
	located  time.Time // the site is believed until then
	locating bool      // it is being looked up
	fresh    bool      // its mail has just come in

	// When the store is to be asked for work; zero if nothing is known to
	// wait. It may be early, never late, except for what unsure says.
	due time.Time
	// There may be deliveries in the store that due does not tell of: once
	// those of now are leased, a scan finds out.
	unsure bool
	// Nothing has been leased since a scan was wanted for that: the next one
	// can wait for its time.
	drained bool

	ready    []job // leased, not yet begun
	running  int   // attempts in flight
	settling int   // attempts that are over, their outcomes not yet durable
	leasing  bool  // the store is being asked

	inTurn bool   // stands in site.turns
	index  int    // place in the agenda, -1 if not there
	seen   uint64 // the last scan that has found it
}

// A job is a delivery that belongs to the engine until its lease runs out.
type job struct {
	appliance.Leased
	until time.Time
}

func newDestination(name string) *destination { return &destination{name: name, index: -1} }

func (d *destination) when() time.Time { return d.due }
func (d *destination) slot() *int      { return &d.index }

// expect notes that a delivery is due. Times other than the first that are in
// the future are not kept but make the destination unsure.
func (d *destination) expect(due, now time.Time) {
	if d.due.IsZero() {
		d.due = due
		return
	}
	if due.After(now) || d.due.After(now) {
		d.unsure = d.unsure || !due.Equal(d.due)
	}
	if due.Before(d.due) {
		d.due = due
	}
}

// runnable says whether a delivery could begin, as far as the destination is
// concerned. One that is left alone gets one at a time: to probe, or to share
// the failure.
func (d *destination) runnable(now time.Time) bool {
	if d.outage.failures > 0 && d.running > 0 {
		return false
	}
	return len(d.ready) > 0 || d.isDue(now)
}

func (d *destination) isDue(now time.Time) bool { return !d.due.IsZero() && !d.due.After(now) }

// idle says whether the record can be forgotten.
func (d *destination) idle(now time.Time) bool {
	return d.running+d.settling == 0 && len(d.ready) == 0 && !d.leasing && !d.inTurn && !d.locating &&
		d.due.IsZero() && !d.outage.down(now)
}
