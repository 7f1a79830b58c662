package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Settle implements appliance.Store.
func (s *Store) Settle(ctx context.Context, outcomes ...appliance.Outcome) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.space.work(); err != nil {
		return err
	}
	keys := make([]appliance.DeliveryKey, len(outcomes))
	ids := make([]appliance.QueueID, len(outcomes))
	for i := range outcomes {
		keys[i], ids[i] = outcomes[i].Key, outcomes[i].Key.ID
	}
	unlock := s.ids.lock(ids)
	bad, err := s.settle(outcomes)
	if err == nil {
		s.leases.end(keys...)
	}
	unlock()
	for _, d := range bad {
		_ = s.setAside(d.id, d.why) // an outcome cannot be recorded any more
	}
	return full(err)
}

// A casualty is a message of which a record is damaged.
type casualty struct {
	id  appliance.QueueID
	why string
}

// settle writes the outcomes down. The caller holds the locks of the messages.
func (s *Store) settle(outcomes []appliance.Outcome) (bad []casualty, err error) {
	step := s.newStep()
	var drafts []*draft
	var unused []appliance.Draft
	for i := range outcomes {
		o := outcomes[i]
		stored, err := s.delivery(o.Key)
		if errors.Is(err, errDamaged) {
			bad = append(bad, casualty{o.Key.ID, err.Error()})
			stored, err = nil, nil
		}
		if err != nil {
			return nil, step.abandon(err)
		}
		if stored == nil { // dropped by a person, or settled before
			for _, r := range o.Reports {
				unused = append(unused, r.Draft)
			}
			continue
		}
		more, err := step.settle(&o, stored)
		if err != nil {
			return nil, step.abandon(fmt.Errorf("message %s: %w", o.Key.ID, err))
		}
		drafts = append(drafts, more...)
	}
	if err := step.apply(); err != nil {
		return nil, err
	}
	for _, d := range drafts {
		d.committed()
	}
	for _, d := range unused {
		_ = d.Abort() // what is left of it is removed by the next Start
	}
	return bad, nil
}

// A step is a batch that moves deliveries, and removes the messages whose
// last delivery it finishes.
type step struct {
	s     *Store
	b     *batch
	moved map[appliance.DeliveryKey]bool // to whether it is finished
	order []*deliveryRecord
	keys  []appliance.DeliveryKey // of order
	files []appliance.QueueID     // bodies to remove afterwards
}

func (s *Store) newStep() *step {
	return &step{s: s, b: s.newBatch(), moved: make(map[appliance.DeliveryKey]bool)}
}

func (p *step) abandon(err error) error { return errors.Join(err, p.b.Close()) }

func (p *step) settle(o *appliance.Outcome, stored *deliveryRecord) ([]*draft, error) {
	if !o.Reconcile(&stored.Delivery) {
		return nil, fmt.Errorf("outcome of delivery %d is not for its recipients", o.Key.Part)
	}
	if err := p.move(o.Key, stored, &o.Delivery, o.Attempt); err != nil {
		return nil, err
	}
	return p.s.stage(p.b, o.Reports)
}

// move brings a delivery from what is stored to next, and has it remember a,
// if there is one.
func (p *step) move(k appliance.DeliveryKey, stored *deliveryRecord, next *appliance.Delivery, a *appliance.Attempt) error {
	if _, twice := p.moved[k]; twice {
		return fmt.Errorf("delivery %d twice in one step", k.Part)
	}
	if err := checkDestination(next.Destination); err != nil {
		return err
	}
	p.moved[k] = next.Done()
	p.order, p.keys = append(p.order, stored), append(p.keys, k)
	if next.Done() {
		return stageDelivery(p.b, k, stored, nil)
	}
	return stageDelivery(p.b, k, stored, &deliveryRecord{
		Delivery: *next, inFile: stored.inFile, parts: stored.parts, attempts: remember(stored.attempts, a),
	})
}

// apply removes finished messages and makes the step durable.
func (p *step) apply() error {
	seen := make(map[appliance.QueueID]bool)
	for i, r := range p.order {
		id := p.keys[i].ID
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := p.finish(id, r); err != nil {
			return p.abandon(err)
		}
	}
	if err := p.s.apply(p.b); err != nil {
		return err
	}
	for _, id := range p.files {
		p.s.removeBody(id)
	}
	return nil
}

// finish removes a message if none of its deliveries is left.
func (p *step) finish(id appliance.QueueID, r *deliveryRecord) error {
	left, err := p.left(id, r.parts)
	if err != nil || left {
		return err
	}
	if err := p.b.SingleDelete(messageKey(id), nil); err != nil {
		return err
	}
	if r.inFile {
		p.files = append(p.files, id)
		return nil
	}
	return p.b.SingleDelete(bodyKey(id), nil)
}

// left says whether a message has a delivery that this step does not finish.
func (p *step) left(id appliance.QueueID, parts int) (bool, error) {
	if parts == 1 {
		return !p.moved[appliance.DeliveryKey{ID: id}], nil
	}
	lower := deliveriesKey(id)
	it, err := p.s.scan(lower, prefixEnd(string(lower)))
	if err != nil {
		return false, err
	}
	left := false
	for ok := it.First(); ok && !left; ok = it.Next() {
		k, valid := splitDeliveryKey(it.Key())
		left = valid && !p.moved[k]
	}
	return left, errors.Join(it.Error(), it.Close())
}
