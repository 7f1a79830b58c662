package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Commit implements appliance.Store.
func (s *Store) Commit(ctx context.Context, msgs ...appliance.Accepted) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.space.admit(); err != nil {
		return err
	}
	b := s.newBatch()
	drafts, err := s.stage(b, msgs)
	if err != nil {
		return errors.Join(full(err), b.Close())
	}
	if err := s.apply(b); err != nil {
		return full(err)
	}
	for i, d := range drafts {
		if d.path == "" {
			s.fresh.add(msgs[i].ID, d.memory)
		}
		d.committed()
	}
	return nil
}

// stage puts messages into a batch and makes the bodies that are in files
// durable. The drafts are committed when the batch is.
func (s *Store) stage(b *batch, msgs []appliance.Accepted) ([]*draft, error) {
	var drafts []*draft
	inFile := false
	for i := range msgs {
		d, err := s.stageMessage(b, &msgs[i])
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", msgs[i].ID, err)
		}
		drafts = append(drafts, d)
		inFile = inFile || d.path != ""
	}
	if !inFile {
		return drafts, nil
	}
	return drafts, s.files.syncDir(s.sub(bodiesName))
}

func (s *Store) stageMessage(b *batch, msg *appliance.Accepted) (*draft, error) {
	key := messageKey(msg.ID)
	d, err := s.check(msg, key)
	if err != nil {
		return nil, err
	}
	record := messageRecord{
		received: msg.Received, origin: msg.Origin, envelope: msg.Envelope, header: msg.Header.Bytes(),
		body: bodyRef{inFile: d.path != "", size: d.size, sum: d.sum}, parts: len(msg.Deliveries),
	}
	if record.body.inFile {
		err = d.persist(msg.ID)
	} else {
		err = stageBody(b, bodyKey(msg.ID), d.memory)
	}
	if err != nil {
		return nil, err
	}
	if err := b.Set(key, record.encode(key), nil); err != nil {
		return nil, err
	}
	for part := range msg.Deliveries {
		r := deliveryRecord{Delivery: msg.Deliveries[part], inFile: record.body.inFile, parts: record.parts}
		if err := stageDelivery(b, appliance.DeliveryKey{ID: msg.ID, Part: part}, nil, &r); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// check refuses what could not be scheduled or would end up in another
// message's place.
func (s *Store) check(msg *appliance.Accepted, key []byte) (*draft, error) {
	if !msg.ID.IsValid() {
		return nil, errors.New("not a queue id")
	}
	if len(msg.Deliveries) == 0 {
		return nil, errors.New("no deliveries")
	}
	for i := range msg.Deliveries {
		if err := checkDestination(msg.Deliveries[i].Destination); err != nil {
			return nil, err
		}
		if msg.Deliveries[i].Done() {
			return nil, fmt.Errorf("nobody waits for delivery %d", i)
		}
	}
	taken, err := s.has(key)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, errors.New("the queue id is taken")
	}
	return s.ownDraft(msg.Draft)
}

// stageBody writes a body without a copy of its own.
func stageBody(b *batch, key, body []byte) error {
	op := b.SetDeferred(len(key), versionSize+len(body)+checksumSize)
	copy(op.Key, key)
	record := append(op.Value[:0], recordVersion)
	seal(key, append(record, body...))
	return op.Finish()
}

// stageDelivery moves a delivery from what is stored, if anything, to what is
// to be stored, nil if it is finished. Its place in the schedule moves along.
func stageDelivery(b *batch, k appliance.DeliveryKey, stored, next *deliveryRecord) error {
	key := deliveryKey(k)
	var oldIndex, newIndex []byte
	if stored != nil {
		oldIndex = indexKey(k, &stored.Delivery)
	}
	if next != nil {
		newIndex = indexKey(k, &next.Delivery)
	}
	if oldIndex != nil && string(oldIndex) != string(newIndex) {
		if err := b.SingleDelete(oldIndex, nil); err != nil {
			return err
		}
	}
	if newIndex != nil && string(oldIndex) != string(newIndex) {
		if err := b.schedule(newIndex); err != nil {
			return err
		}
	}
	switch {
	case next != nil:
		next.rewritten = stored != nil
		return b.Set(key, next.encode(key), nil)
	case stored.rewritten:
		return b.Delete(key, nil)
	}
	// SingleDelete is for keys that have been set once: both vanish in the
	// first flush, and promptly delivered mail never reaches a table.
	return b.SingleDelete(key, nil)
}
