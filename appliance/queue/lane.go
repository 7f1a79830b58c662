package queue

import "time"

// A lane is where a stream waits for its turn, by source and by whether it may
// take minutes to say nothing. Lanes have a part of the slots each, so that
// neither a backlog nor next hops that do not answer delay new mail for one that
// does.
type lane int

const (
	freshLane  lane = iota // new mail for a site that answers
	freshDoubt             // new mail for one that nobody has seen answer
	oldLane                // a backlog
	oldDoubt               // a backlog for one that did not answer when it was tried last
	lanes      = iota
)

// eighths are the parts of the slots that a lane has at most, and that all but
// the first have together.
var eighths = [lanes]int{8, 6, 6, 2}

const allButFresh = 7

// room says whether another delivery of a lane may begin. mu is held.
func (e *engine) room(l lane) bool {
	slots := func(eighths int) int { return (max(1, e.settings.Concurrency)*eighths + 7) / 8 }
	if l != freshLane && e.running-e.inLane[freshLane] >= slots(allButFresh) {
		return false
	}
	return e.inLane[l] < slots(eighths[l])
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
