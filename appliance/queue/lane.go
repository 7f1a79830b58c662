package queue

import (
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A lane is one of the two ways in which a delivery comes to its turn, so that
// what has just come in does not wait for the end of a backlog, nor a backlog
// for the end of what comes in. Sites with something new have most of the
// turns; at each site the lanes alternate.
type lane int

// The lanes.
const (
	fresh lane = iota // came in just now, and is known by its key
	old               // whatever is due in the store, the oldest first
	lanes
)

func (l lane) other() lane { return lanes - 1 - l }

const (
	// A destination remembers new messages of so many senders, and so many of
	// each, and the engine so many in all. What is more is in the old lane.
	maxSenders     = 16
	maxNewOfSender = 16
	maxNewcomers   = 50_000
	// After so many turns of the fresh lane one of the old lane comes first.
	freshTurns = 3
	// A part of the slots, one in so many, is kept for the fresh lane: a backlog
	// can be full of next hops that take minutes to say nothing.
	freshSlots = 4
)

// newcomers are the deliveries of a destination that came in just now, by
// sender, so that senders take turns: one who hands in 50,000 messages does not
// delay the one of another.
type newcomers struct{ senders []senderKeys }

type senderKeys struct {
	sender string
	keys   []appliance.DeliveryKey
}

// senderOf is who shares a turn: a user, or the domain of the reverse-path of
// mail that nobody has logged in for.
func senderOf(m *appliance.Accepted) string {
	if m.Origin.User != "" {
		return m.Origin.User
	}
	return "@" + m.Envelope.From.Domain
}

// add is false if there is no room.
func (n *newcomers) add(sender string, k appliance.DeliveryKey) bool {
	i := slices.IndexFunc(n.senders, func(s senderKeys) bool { return s.sender == sender })
	switch {
	case i < 0 && len(n.senders) >= maxSenders, i >= 0 && len(n.senders[i].keys) >= maxNewOfSender:
		return false
	case i < 0:
		n.senders = append(n.senders, senderKeys{sender, []appliance.DeliveryKey{k}})
	default:
		n.senders[i].keys = append(n.senders[i].keys, k)
	}
	return true
}

func (n *newcomers) empty() bool { return len(n.senders) == 0 }

// take removes at most limit keys, one of each sender in turn.
func (n *newcomers) take(limit int) (keys []appliance.DeliveryKey) {
	for len(keys) < limit && !n.empty() {
		s := n.senders[0]
		keys = append(keys, s.keys[0])
		n.senders = slices.Delete(n.senders, 0, 1)
		if s.keys = s.keys[1:]; len(s.keys) > 0 {
			n.senders = append(n.senders, s)
		}
	}
	return keys
}

// welcome remembers a delivery that came in just now; it is false if it has to
// come to its turn as the others do. mu is held.
func (e *engine) welcome(d *destination, sender string, k appliance.DeliveryKey) bool {
	if e.newcomers >= maxNewcomers || !d.newcomers.add(sender, k) {
		return false
	}
	e.newcomers++
	return true
}

// roomForOld says whether the old lane may begin another delivery. mu is held.
func (e *engine) roomForOld() bool {
	slots := max(1, e.settings.Concurrency)
	return e.runningOld < slots-slots/freshSlots
}

// nextLane is the lane whose turn it is. mu is held.
func (e *engine) nextLane() (l lane, ok bool) {
	anyOld := len(e.turns[old]) > 0 && e.roomForOld()
	switch {
	case anyOld && (len(e.turns[fresh]) == 0 || e.inRow >= freshTurns):
		e.inRow = 0
		return old, true
	case len(e.turns[fresh]) > 0:
		e.inRow++
		return fresh, true
	}
	return old, false
}

// choose is the lane that a site serves when it comes to its turn in l: the
// other one, if that waits and l has been served last. mu is held.
func (e *engine) choose(s *site, l lane) lane {
	o := l.other()
	if s.served == l && len(s.turns[o]) > 0 && (o == fresh || e.roomForOld()) {
		l = o
	}
	s.served = l
	return l
}
