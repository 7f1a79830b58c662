package queue

import (
	"slices"
	"time"
)

// A source is where deliveries come from.
type source int

const (
	fresh   source = iota // newcomers that are not big
	big                   // newcomers that are, and what was found to be when it was leased
	old                   // whatever is due in the store, the first due first
	sources = iota
)

// A stream is what one site gets of one flow: the newcomers of a sender, or the
// backlog. Its destinations take turns.
type stream struct {
	site *site
	from source
	flow *flow
	news bool // it is of newcomers

	line  []*destination // with work to begin, in turn
	armed bool           // it has a tag for its next delivery
	tag   float64
	lane  lane
	index int // place in the lane, -1 if not there
}

func newStream(s *site, from source, f *flow) *stream {
	return &stream{site: s, from: from, flow: f, index: -1}
}

func (t *stream) before(other *stream) bool { return t.tag < other.tag }
func (t *stream) slot() *int                { return &t.index }

// shift takes the first of the line.
func (t *stream) shift() *destination {
	d := t.line[0]
	t.line[0] = nil
	t.line = t.line[1:]
	*d.inLine(t) = false
	return d
}

// push has a destination wait, unless it does.
func (t *stream) push(d *destination) {
	if in := d.inLine(t); !*in {
		*in = true
		t.line = append(t.line, d)
	}
}

// drop takes a destination out of the line.
func (t *stream) drop(d *destination) {
	if in := d.inLine(t); *in {
		*in = false
		t.line = slices.DeleteFunc(t.line, func(x *destination) bool { return x == d })
	}
}

// cost is that of the next delivery.
func (t *stream) cost() float64 {
	if b := t.line[0].batch(t.flow, t.from); b != nil {
		return b.list[0].cost
	}
	return 1
}

// maxSenders bounds the streams of newcomers at a site, and the batches of a
// destination.
const maxSenders = 64

// stream returns that of a batch at a site, nil if it has too many.
func (s *site) stream(b *batch) *stream {
	for _, t := range s.senders {
		if t.flow == b.flow && t.from == b.from {
			return t
		}
	}
	if len(s.senders) >= maxSenders {
		return nil
	}
	t := newStream(s, b.from, b.flow)
	t.news = true
	s.senders = append(s.senders, t)
	return t
}

// streams ranges over all of a site.
func (s *site) streams(yield func(*stream) bool) {
	for _, t := range s.senders {
		if !yield(t) {
			return
		}
	}
	for _, t := range s.backlog {
		if !yield(t) {
			return
		}
	}
}

// placeStream has a stream wait in the lane where it belongs, or not, if its
// site is not open for it. mu is held.
func (e *engine) placeStream(t *stream, open bool, now time.Time) {
	if l := t.site.lane(t.from, now); l != t.lane {
		e.leave(t)
		t.lane, t.armed = l, false
	}
	switch {
	case len(t.line) == 0:
		t.armed, open = false, false
	case !t.armed:
		t.armed, t.tag = true, e.flows.tag(t.flow, t.lane, t.cost())
	}
	if open {
		e.enter(t)
	} else {
		e.leave(t)
	}
}
