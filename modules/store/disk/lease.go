package disk

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// leaseMemory is what one Lease returns at most, in octets of headers and
// recipients, unless a single delivery is larger. Bodies are read when they
// are opened.
const leaseMemory = 4 << 20

func (s *Store) scan(lower, upper []byte) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// Destinations implements appliance.Store. It takes one seek for each
// destination, however much is queued for it.
func (s *Store) Destinations(ctx context.Context) iter.Seq2[appliance.DestinationDue, error] {
	return func(yield func(appliance.DestinationDue, error) bool) {
		if err := s.enter(ctx); err != nil {
			yield(appliance.DestinationDue{}, err)
			return
		}
		defer s.leave()
		it, err := s.scan([]byte(indexPrefix), prefixEnd(indexPrefix))
		if err != nil {
			yield(appliance.DestinationDue{}, err)
			return
		}
		more := true
		for ok := it.First(); ok && more; {
			e, valid := splitIndexKey(it.Key())
			switch {
			case ctx.Err() != nil:
				yield(appliance.DestinationDue{}, ctx.Err())
				more = false
			case !valid || s.leases.held(e.key, s.now()):
				ok = it.Next()
			default:
				more = yield(appliance.DestinationDue{Destination: e.destination, Due: e.due}, nil)
				ok = more && it.SeekGE(afterDestination(e.destination))
			}
		}
		if err := errors.Join(it.Error(), it.Close()); err != nil && more {
			yield(appliance.DestinationDue{}, err)
		}
	}
}

// Lease implements appliance.Store.
func (s *Store) Lease(ctx context.Context, want appliance.LeaseRequest) ([]appliance.Leased, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.space.work(); err != nil {
		return nil, err
	}
	for {
		taken, err := s.find(want)
		if err != nil || len(taken) == 0 {
			return nil, err
		}
		leased, err := s.load(taken)
		if err != nil || len(leased) > 0 {
			return leased, err
		}
		// All of them were changed or found damaged meanwhile: look again.
	}
}

// find leases due deliveries without reading their messages.
func (s *Store) find(want appliance.LeaseRequest) ([]indexEntry, error) {
	if len(want.Keys) == 0 {
		return s.take(want)
	}
	var taken []indexEntry
	for _, k := range want.Keys {
		d, err := s.delivery(k)
		switch {
		case errors.Is(err, errDamaged):
			_ = s.setAside(k.ID, err.Error()) // the others go on
		case err != nil:
			s.release(taken)
			return nil, err
		case d == nil || d.Held || d.Destination != want.Destination || d.Due.After(want.Now):
		case len(taken) < want.Max && s.leases.take(k, want.Now, want.Until):
			taken = append(taken, indexEntry{d.Destination, d.Due, k})
		}
	}
	return taken, nil
}

// take leases due deliveries by the schedule alone.
func (s *Store) take(want appliance.LeaseRequest) (taken []indexEntry, err error) {
	cur, lower := s.cursors.begin(want.Destination)
	upper := afterDestination(want.Destination)
	first := upper
	defer func() { s.cursors.end(cur, first) }()
	it, err := s.scan(lower, upper)
	if err != nil {
		first = nil
		return nil, err
	}
	if it.First() {
		first = bytes.Clone(it.Key())
	}
	for ok := it.Valid(); ok && len(taken) < want.Max; ok = it.Next() {
		e, valid := splitIndexKey(it.Key())
		if !valid {
			continue
		}
		if e.due.After(want.Now) {
			break
		}
		if s.leases.take(e.key, want.Now, want.Until) {
			taken = append(taken, e)
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		first = nil
		s.release(taken)
		return nil, err
	}
	return taken, nil
}

func (s *Store) release(entries []indexEntry) {
	for _, e := range entries {
		s.leases.end(e.key)
	}
}

// load reads what has been taken. What does not fit is released.
func (s *Store) load(taken []indexEntry) (leased []appliance.Leased, err error) {
	size := 0
	for i, e := range taken {
		l, n, err := s.loadOne(e)
		switch {
		case errors.Is(err, errStale):
			s.leases.end(e.key)
		case errors.Is(err, errDamaged):
			s.leases.end(e.key)
			_ = s.setAside(e.key.ID, err.Error()) // the others go on
		case err != nil:
			s.release(taken)
			return nil, err
		default:
			leased = append(leased, l)
			size += n
		}
		if size >= leaseMemory {
			s.release(taken[i+1:])
			break
		}
	}
	return leased, nil
}

// errStale means that a delivery was changed between the look at the schedule
// and the lease.
var errStale = errors.New("delivery has changed")

func (s *Store) loadOne(e indexEntry) (l appliance.Leased, size int, err error) {
	r, err := s.delivery(e.key)
	if err != nil {
		return l, 0, err
	}
	if !e.isOf(r) {
		return l, 0, s.dangling(e)
	}
	m, err := s.message(e.key.ID)
	if err != nil {
		return l, 0, err
	}
	if m == nil {
		return l, 0, damaged("message record is missing")
	}
	header, err := appliance.ParseHeader(m.header)
	if err != nil {
		return l, 0, damaged("%v", err)
	}
	body := &queuedBody{s: s, id: e.key.ID, ref: m.body}
	if known := s.fresh.take(e.key.ID); known != nil {
		body.kept.Store(&known)
	}
	return appliance.Leased{
		Key: e.key, Delivery: r.Delivery, Received: m.received, Origin: m.origin, Envelope: m.envelope,
		Message: appliance.Message{ID: e.key.ID, Header: header, Body: body},
	}, len(m.header) + 256*len(r.Recipients), nil
}

func (e indexEntry) encode() []byte {
	return indexKey(e.key, &appliance.Delivery{Destination: e.destination, Due: e.due})
}

// isOf says whether this is the place of r in the schedule.
func (e indexEntry) isOf(r *deliveryRecord) bool {
	return r != nil && bytes.Equal(indexKey(e.key, &r.Delivery), e.encode())
}

// dangling looks at an entry of the schedule that is not that of its delivery:
// it is stale, unless it is still there. Then it is removed, or Lease would
// find it for ever.
func (s *Store) dangling(e indexEntry) error {
	unlock := s.ids.lock([]appliance.QueueID{e.key.ID})
	defer unlock()
	scheduled, err := s.has(e.encode())
	if err != nil || !scheduled {
		return errors.Join(err, errStale)
	}
	if r, err := s.delivery(e.key); err != nil || e.isOf(r) {
		return errors.Join(err, errStale)
	}
	s.log.Warn("the schedule has an entry that is not that of a delivery; it is removed", zap.String("id", string(e.key.ID)))
	b := s.newBatch()
	if err := b.Delete(e.encode(), nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(s.apply(b), errStale)
}

// delivery reads a delivery, nil if there is none.
func (s *Store) delivery(k appliance.DeliveryKey) (*deliveryRecord, error) {
	key := deliveryKey(k)
	record, err := s.get(key)
	if err != nil || record == nil {
		return nil, err
	}
	r, err := decodeDelivery(key, record)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// message reads a message, nil if there is none.
func (s *Store) message(id appliance.QueueID) (*messageRecord, error) {
	key := messageKey(id)
	record, err := s.get(key)
	if err != nil || record == nil {
		return nil, err
	}
	m, err := decodeMessage(key, record)
	if err != nil {
		return nil, err
	}
	m.header = slices.Clip(m.header)
	return &m, nil
}
