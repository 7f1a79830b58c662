package queue

import (
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// The engine remembers so many newcomers, and so many of one sender. What
	// is more is found by its time, as all that waits.
	maxNewcomers   = 50_000
	maxNewOfSender = 10_000
)

// A newcomer is a delivery that has come in just now and is due. The engine
// knows it by its key, so that it need not wait behind all that its destination
// had due before. It is a hint like everything the engine knows: the store
// finds the delivery without it.
type newcomer struct {
	key  appliance.DeliveryKey
	cost float64
}

// A batch is the newcomers of one sender for one destination, those that are
// big apart from the others.
type batch struct {
	flow *flow
	from source
	list []newcomer // never empty
	line bool       // the destination stands in the stream of the flow
}

// welcome remembers a delivery as a newcomer. It is false if there is no room.
// mu is held.
func (e *engine) welcome(d *destination, m *appliance.Accepted, part int) bool {
	f, from := e.flows.of(sender{e.gate(d.name), senderOf(m)}), fresh
	if f == nil {
		return false
	}
	if m.Size >= bigSize {
		from = big
	}
	b := d.batch(f, from)
	if e.newcomers >= maxNewcomers || f.newcomers >= maxNewOfSender || b == nil && len(d.batches) >= maxSenders {
		return false
	}
	e.newcomers++
	f.newcomers++
	if b == nil {
		b = &batch{flow: f, from: from}
		d.batches = append(d.batches, b)
	}
	b.list = append(b.list, newcomer{appliance.DeliveryKey{ID: m.ID, Part: part}, cost(m.Size)})
	return true
}

// batch returns what d has of a flow, nil if nothing.
func (d *destination) batch(f *flow, from source) *batch {
	for _, b := range d.batches {
		if b.flow == f && b.from == from {
			return b
		}
	}
	return nil
}

// has says whether d has newcomers from a source.
func (d *destination) has(from source) bool {
	return slices.ContainsFunc(d.batches, func(b *batch) bool { return b.from == from })
}

// admit takes the next newcomer of a flow, to be leased. mu is held.
func (e *engine) admit(d *destination, b *batch) appliance.DeliveryKey {
	key := b.list[0].key
	e.forgetNewcomers(d, b, 1)
	return key
}

// forgetNewcomers takes the first n out of a batch. mu is held.
func (e *engine) forgetNewcomers(d *destination, b *batch, n int) {
	e.newcomers -= n
	b.flow.newcomers -= n
	if b.list = b.list[n:]; len(b.list) == 0 {
		d.batches = slices.DeleteFunc(d.batches, func(x *batch) bool { return x == b })
	}
}

// senderOf is who shares a turn: a user, or, where nobody logs in, a domain of
// a client.
func senderOf(m *appliance.Accepted) string {
	if m.Origin.User != "" {
		return m.Origin.User
	}
	return m.Origin.Client + "@" + m.Envelope.From.Domain
}

// costSize is how much of a message costs as much as a message.
const costSize = 256 << 10

// cost is what a message of a size takes of the turns of its sender.
func cost(size int64) float64 { return 1 + float64(max(0, size))/costSize }
