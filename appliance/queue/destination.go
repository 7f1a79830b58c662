package queue

import (
	"container/heap"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A destination is what the engine knows about one relay and next hop. All
// fields are guarded by engine.mu.
type destination struct {
	name   string
	health health

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

	inTurn bool   // stands in engine.turns
	index  int    // place in the agenda, -1 if not there
	seen   uint64 // the last scan that has found it
}

// A job is a delivery that belongs to the engine until its lease runs out.
type job struct {
	appliance.Leased
	until time.Time
}

func newDestination(name string) *destination {
	return &destination{name: name, index: -1, health: health{limit: firstLimit}}
}

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

// runnable says whether a delivery could begin now. While outcomes become
// durable the next hop is free for others, but not for more than as many
// again: a store that makes none durable stops its deliveries (R3).
func (d *destination) runnable(now time.Time, configured int) bool {
	limit := d.limit(configured)
	return d.running < limit && d.running+d.settling < 2*limit && (len(d.ready) > 0 || d.isDue(now))
}

// limit is how many deliveries at a time it gets.
func (d *destination) limit(configured int) int {
	return max(1, min(configured, d.health.limit))
}

func (d *destination) isDue(now time.Time) bool { return !d.due.IsZero() && !d.due.After(now) }

// idle says whether the record can be forgotten.
func (d *destination) idle(now time.Time) bool {
	return d.running+d.settling == 0 && len(d.ready) == 0 && !d.leasing && !d.inTurn && d.due.IsZero() && !d.health.down(now)
}

// The agenda is a heap of the destinations that wait for their time.
type agenda []*destination

var _ heap.Interface = (*agenda)(nil)

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push is for package heap.
func (a *agenda) Push(x any) {
	d := x.(*destination)
	d.index = len(*a)
	*a = append(*a, d)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	old := *a
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*a, d.index = old[:len(old)-1], -1
	return d
}

// put places d by its due time, or takes it out if it has none.
func (a *agenda) put(d *destination) {
	switch {
	case d.due.IsZero():
		a.remove(d)
	case d.index >= 0:
		heap.Fix(a, d.index)
	default:
		heap.Push(a, d)
	}
}

func (a *agenda) remove(d *destination) {
	if d.index >= 0 {
		heap.Remove(a, d.index)
	}
}

// first is the destination that is due first, nil if none waits.
func (a agenda) first() *destination {
	if len(a) == 0 {
		return nil
	}
	return a[0]
}
