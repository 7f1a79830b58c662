package queue

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxBig bounds the deliveries of a destination that are leased and wait
// because they are big. With so many none is leased by its time.
const maxBig = 4

// A destination is what the engine knows about one relay and next hop. All
// fields are guarded by engine.mu.
type destination struct {
	name   string
	outage outage // what concerns it alone: its site may be well

	site     *site     // nil until it is known
	located  time.Time // the site is believed until then
	locating bool      // it is being looked up

	// When the store is to be asked for work; zero if nothing is known to
	// wait, but for newcomers. It may be early, never late, except for what
	// unsure says.
	due time.Time
	// There may be deliveries in the store that due does not tell of: once
	// those of now are leased, a scan finds out.
	unsure bool
	// Nothing has been leased since a scan was wanted for that: the next one
	// can wait for its time.
	drained bool

	batches  []*batch       // newcomers
	ready    [sources][]job // leased, not yet begun; none of them fresh
	running  int            // attempts in flight
	settling int            // attempts that are over, their outcomes not yet durable
	leasing  bool           // the store is being asked

	lines [sources]bool // stands in streams of its site; for newcomers each batch says it
	index int           // place in the agenda, -1 if not there
	seen  uint64        // the last scan that has found it
}

// A job is a delivery that belongs to the engine until its lease runs out.
type job struct {
	appliance.Leased
	until time.Time
	lane  lane // in which it began, and for whom
	flow  *flow
}

// A tenure is the time from the lease of a delivery until its outcome is stored.
type tenure struct {
	until time.Time // when the lease runs out
	again bool      // the store has leased the delivery once more
}

func newDestination(name string) *destination {
	return &destination{name: name, index: -1}
}

func (d *destination) before(other *destination) bool { return d.due.Before(other.due) }
func (d *destination) slot() *int                     { return &d.index }

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

// runnable says whether a delivery from a source could begin, as far as the
// destination is concerned. One that is left alone gets one at a time: to
// probe, or to share the failure.
func (d *destination) runnable(from source, now time.Time) bool {
	switch {
	case d.outage.failures > 0 && d.running > 0:
		return false
	case len(d.ready[from]) > 0 || d.has(from):
		return true
	}
	return from == old && d.isDue(now) && len(d.ready[big]) < maxBig
}

// inLine is where it is noted that d stands in a stream.
func (d *destination) inLine(t *stream) *bool {
	if !t.news {
		return &d.lines[t.from]
	}
	if b := d.batch(t.flow, t.from); b != nil {
		return &b.line
	}
	return new(bool) // the last of the batch is gone
}

func (d *destination) isDue(now time.Time) bool { return !d.due.IsZero() && !d.due.After(now) }

// idle says whether the record can be forgotten.
func (d *destination) idle(now time.Time) bool {
	ready := len(d.ready[old]) + len(d.ready[big])
	return d.running+d.settling+ready == 0 && len(d.batches) == 0 && !d.leasing && !d.locating &&
		d.due.IsZero() && !d.outage.down(now)
}
