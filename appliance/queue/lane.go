package queue

import (
	"slices"
	"time"
)

// A lane is where a stream waits for its turn, by source and by whether it may
// take minutes to say nothing. Lanes have a part of the slots each, so that
// neither a backlog nor next hops that do not answer delay new mail for one that
// does.
type lane int

const (
	freshLane  lane = iota // new mail for a site that answers
	freshDoubt             // new mail for one that nobody has seen answer
	oldLane                // a backlog
	oldDoubt               // a backlog for one that did not answer last, or was never tried
	lanes      = iota
)

// eighths are the parts of the slots that a lane has at most, and that all but
// the first have together.
var eighths = [lanes]int{8, 6, 6, 2}

const allButFresh = 7

// greed is how much more of the slots a sender of new mail may have than is left
// for the others (the dynamic thresholds of Choudhury and Hahne, 1998): however
// much comes in from one, a slot is free for another.
const greed = 3

// A queue is the streams that wait in a lane, by flow.
type queue struct {
	flows   []*flow // those that have any
	streams int
	running int // attempts in flight
}

// enter has a stream wait in its lane, or wait anew if its tag has changed. mu
// is held.
func (e *engine) enter(t *stream) {
	q, list := &e.lanes[t.lane], &t.flow.streams[t.lane]
	if t.index < 0 {
		q.streams++
		if list.len() == 0 {
			q.flows = append(q.flows, t.flow)
		}
	}
	list.put(t)
}

// leave is the opposite of enter. mu is held.
func (e *engine) leave(t *stream) {
	if t.index < 0 {
		return
	}
	q, list := &e.lanes[t.lane], &t.flow.streams[t.lane]
	list.remove(t)
	q.streams--
	if list.len() == 0 {
		q.flows = slices.DeleteFunc(q.flows, func(f *flow) bool { return f == t.flow })
	}
}

// first is the stream in a lane whose turn it is, nil if none may begin a
// delivery. mu is held.
func (e *engine) first(l lane, now time.Time) (first *stream) {
	free := e.slots(eighths[l]) - e.lanes[l].running
	others := e.running - e.lanes[freshLane].running
	if free < 1 || l != freshLane && others >= e.slots(allButFresh) {
		return nil
	}
	for _, f := range e.lanes[l].flows {
		if !f.gate.room() || l <= freshDoubt && f.running[l] >= greed*free || e.holdUp(f.gate.next(now), now) {
			continue
		}
		if t, _ := f.streams[l].first(); first == nil || t.before(first) {
			first = t
		}
	}
	return first
}

// slots is so many eighths of all, rounded up. mu is held.
func (e *engine) slots(eighths int) int { return (max(1, e.settings.Concurrency)*eighths + 7) / 8 }

// begin and end note an attempt in its lane. mu is held.
func (e *engine) begin(t *stream, j *job) {
	j.lane, j.flow = t.lane, t.flow
	e.lanes[j.lane].running++
	j.flow.running[j.lane]++
	j.flow.gate.running++
	e.running++
}

func (e *engine) end(j *job) {
	e.lanes[j.lane].running--
	j.flow.running[j.lane]--
	j.flow.gate.running--
	e.running--
}

// lane is where the site's streams from a source wait.
func (s *site) lane(from source, now time.Time) lane {
	doubt := s.doubt(from, now)
	switch {
	case from == fresh && doubt:
		return freshDoubt
	case from == fresh:
		return freshLane
	case doubt:
		return oldDoubt
	}
	return oldLane
}

// doubt says whether the site may not answer.
func (s *site) doubt(from source, now time.Time) bool {
	switch {
	case s.outage.down(now):
		return false // what shares a failure takes no time
	case s.outage.failures > 0:
		return true
	case s.answered:
		return false
	}
	return from == fresh || s.suspect
}
