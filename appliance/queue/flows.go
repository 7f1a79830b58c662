package queue

import "maps"

// maxFlows bounds the senders that have a flow of their own.
const maxFlows = 10_000

// flows divide the turns of each lane among senders: fair queueing by start
// tags (Goyal, Vin and Cheng, 1996). Each delivery gets a tag, the time at
// which it would begin if each sender had as much as any other; the lowest goes
// first. Time passes as tags are served, so that whoever sends little is always
// ahead of whoever has sent much, and nobody saves up. What was in the queue
// before is one sender among the others.
type flows struct {
	now     [lanes]float64 // the highest tag that was served
	senders map[string]*flow
	backlog flow
	rest    flow // those for whom there is no room
}

// A flow is what one sender sends.
type flow struct {
	next      [lanes]float64         // tag of its next delivery, if that comes soon
	streams   [lanes]agenda[*stream] // that wait for their turn
	running   [lanes]int             // attempts in flight
	newcomers int                    // that the engine remembers
}

// of returns the flow of a sender.
func (s *flows) of(sender string) *flow {
	if x := s.senders[sender]; x != nil {
		return x
	}
	if len(s.senders) >= maxFlows {
		maps.DeleteFunc(s.senders, func(_ string, x *flow) bool { return s.quiet(x) })
	}
	if len(s.senders) >= maxFlows {
		return &s.rest
	}
	if s.senders == nil {
		s.senders = make(map[string]*flow)
	}
	x := new(flow)
	s.senders[sender] = x
	return x
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
