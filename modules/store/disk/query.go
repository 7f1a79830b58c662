package disk

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Query implements appliance.Store.
func (s *Store) Query(ctx context.Context, f appliance.Filter) iter.Seq2[appliance.Entry, error] {
	return func(yield func(appliance.Entry, error) bool) {
		if err := s.enter(ctx); err != nil {
			yield(appliance.Entry{}, err)
			return
		}
		defer s.leave()
		q := &query{s: s, ctx: ctx, f: &f, yield: yield}
		if err := q.run(); err != nil && !errors.Is(err, errEnough) {
			yield(appliance.Entry{}, err)
		}
	}
}

// errEnough ends a query that has what it wanted.
var errEnough = errors.New("enough")

// A query goes through messages and deliveries side by side.
type query struct {
	s          *Store
	ctx        context.Context
	f          *appliance.Filter
	yield      func(appliance.Entry, error) bool
	deliveries *pebble.Iterator
	found      int
}

func (q *query) run() (err error) {
	messages, err := q.s.scan([]byte(messagePrefix), prefixEnd(messagePrefix))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, messages.Close()) }()
	if q.deliveries, err = q.s.scan([]byte(deliveryPrefix), prefixEnd(deliveryPrefix)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.deliveries.Close()) }()
	if len(q.f.IDs) > 0 {
		return q.some(messages)
	}
	for ok := messages.First(); ok; ok = messages.Next() {
		if err := q.one(messages); err != nil {
			return err
		}
	}
	return messages.Error()
}

// some looks at the messages that are asked for by id.
func (q *query) some(messages *pebble.Iterator) error {
	ids := slices.Compact(slices.Sorted(slices.Values(q.f.IDs)))
	for _, id := range ids {
		key := messageKey(id)
		if messages.SeekGE(key) && string(messages.Key()) == string(key) {
			if err := q.one(messages); err != nil {
				return err
			}
		}
	}
	return messages.Error()
}

// one looks at the message that the iterator stands on.
func (q *query) one(messages *pebble.Iterator) error {
	if err := q.ctx.Err(); err != nil {
		return err
	}
	id := appliance.QueueID(messages.Key()[len(messagePrefix):])
	record, err := messages.ValueAndErr()
	if err != nil {
		return err
	}
	m, err := decodeMessage(messages.Key(), record)
	if err == nil {
		e := appliance.Entry{
			ID: id, Received: m.received, Origin: m.origin, Envelope: m.envelope, Size: int64(len(m.header)) + m.body.size,
		}
		err = q.fill(&e)
		if err == nil && len(e.Deliveries) > 0 {
			return q.give(e)
		}
	}
	if errors.Is(err, errDamaged) {
		_ = q.s.setAside(id, err.Error()) // the others are still to be listed
		return nil
	}
	return err
}

func (q *query) give(e appliance.Entry) error {
	q.found++
	if !q.yield(e, nil) || q.found == q.f.Limit {
		return errEnough
	}
	return nil
}

// fill adds the deliveries that match.
func (q *query) fill(e *appliance.Entry) error {
	now := q.s.now()
	for ok := q.deliveries.SeekGE(deliveriesKey(e.ID)); ok; ok = q.deliveries.Next() {
		k, valid := splitDeliveryKey(q.deliveries.Key())
		if !valid || k.ID != e.ID {
			break
		}
		record, err := q.deliveries.ValueAndErr()
		if err != nil {
			return err
		}
		r, err := decodeDelivery(q.deliveries.Key(), record)
		if err != nil {
			return err
		}
		if !q.f.Match(e, &r.Delivery) {
			continue
		}
		one := appliance.EntryDelivery{Key: k, Leased: q.s.leases.held(k, now), Delivery: r.Delivery}
		if q.f.Attempts {
			one.Attempts = decodeAttempts(r.attempts)
		}
		e.Deliveries = append(e.Deliveries, one)
	}
	return q.deliveries.Error()
}

// changeChunk is how many messages one durable step of Change covers.
const changeChunk = 256

// Change implements appliance.Store. It is atomic for each message; after an
// error some messages may have been changed, and n says how many deliveries.
func (s *Store) Change(ctx context.Context, f appliance.Filter, c appliance.Change) (n int, err error) {
	var chunk []appliance.Entry
	for e, err := range s.Query(ctx, f) {
		if err != nil {
			return n, err
		}
		if chunk = append(chunk, e); len(chunk) < changeChunk {
			continue
		}
		k, err := s.change(ctx, chunk, f, c)
		n += k
		if err != nil {
			return n, err
		}
		chunk = chunk[:0]
	}
	k, err := s.change(ctx, chunk, f, c)
	return n + k, err
}

func (s *Store) change(ctx context.Context, chunk []appliance.Entry, f appliance.Filter, c appliance.Change) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	ids := make([]appliance.QueueID, len(chunk))
	for i := range chunk {
		ids[i] = chunk[i].ID
	}
	unlock := s.ids.lock(ids)
	defer unlock()
	step := s.newStep()
	defer func() { s.leases.end(step.keys...) }()
	for i := range chunk {
		for _, d := range chunk[i].Deliveries {
			if err := step.change(&chunk[i], d.Key, f, c); err != nil {
				return 0, step.abandon(err)
			}
		}
	}
	if err := step.apply(); err != nil {
		return 0, full(err)
	}
	return len(step.keys), nil
}

// change does c to a delivery unless it is leased, gone, not concerned, or does
// not match any more. It takes a lease of its own, so that nobody works meanwhile on
// what is about to change.
func (p *step) change(e *appliance.Entry, k appliance.DeliveryKey, f appliance.Filter, c appliance.Change) error {
	now := p.s.now()
	if !p.s.leases.take(k, now, now.Add(changeLease)) {
		return nil
	}
	stored, err := p.s.delivery(k)
	if errors.Is(err, errDamaged) {
		err = nil // it is set aside when its turn comes
	}
	if err != nil || stored == nil || !f.Match(e, &stored.Delivery) || !c.Concerns(&stored.Delivery) {
		p.s.leases.end(k)
		return err
	}
	next := stored.Delivery
	next.Recipients = slices.Clone(next.Recipients)
	c.Apply(&next, now)
	if err := p.move(k, stored, &next, nil); err != nil {
		p.s.leases.end(k)
		return err
	}
	return nil
}

// changeLease is longer than a step takes.
const changeLease = time.Hour
