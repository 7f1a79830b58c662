package queue

import "maps"

// maxFlows bounds the senders that have a flow of their own.
const maxFlows = 10_000

// flows divide the turns of each lane among senders: fair queueing by start
// tags (Goyal, Vin and Cheng, 1996). Each delivery gets a tag, the time at
// which it would begin if each sender had as much as any other; the lowest goes
// first. Time passes as tags are served, so that whoever sends little is always
// ahead of whoever has sent much, and nobody saves up. What was in the queue
// before is one sender among the others. Each relay has flows of its own.
type flows struct {
	now     [lanes]float64 // the highest tag that was served
	senders map[sender]*flow
}

// A sender is who shares the turns at a relay with others.
type sender struct {
	gate *gate
	name string
}

// A flow is what one sender sends.
type flow struct {
	gate      *gate
	next      [lanes]float64         // tag of its next delivery, if that comes soon
	streams   [lanes]agenda[*stream] // that wait for their turn
	running   [lanes]int             // attempts in flight
	newcomers int                    // that the engine remembers
}

// of returns the flow of a sender; nil if there are too many.
func (s *flows) of(who sender) *flow {
	if f := s.senders[who]; f != nil {
		return f
	}
	if len(s.senders) >= maxFlows {
		maps.DeleteFunc(s.senders, func(_ sender, f *flow) bool { return s.quiet(f) })
	}
	if len(s.senders) >= maxFlows {
		return nil
	}
	if s.senders == nil {
		s.senders = make(map[sender]*flow)
	}
	f := &flow{gate: who.gate}
	s.senders[who] = f
	return f
}

// quiet says whether a flow has had no more than a new one.
func (s *flows) quiet(f *flow) bool {
	for l := range s.now {
		if f.next[l] > s.now[l] || f.running[l] > 0 {
			return false
		}
	}
	return f.newcomers == 0
}

// tag is that of the next delivery of a flow in a lane. The cost of a usual
// one is 1.
func (s *flows) tag(of *flow, l lane, cost float64) float64 {
	tag := max(s.now[l], of.next[l])
	of.next[l] = tag + cost
	return tag
}

// served notes the tag whose turn it is.
func (s *flows) served(l lane, tag float64) { s.now[l] = max(s.now[l], tag) }
