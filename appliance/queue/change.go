package queue

import (
	"context"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// changeBatch is how many messages are dropped in one step.
const changeBatch = 100

// Change implements [appliance.Engine].
func (e *engine) Change(ctx context.Context, f appliance.Filter, c appliance.Change) (int, error) {
	if c == appliance.ChangeRetry || c == appliance.ChangeRelease {
		e.forgive(f.Destination)
	}
	n, err := e.change(ctx, f, c)
	e.mu.Lock()
	e.scan.soon(e.now())
	e.mu.Unlock()
	e.nudge()
	return n, err
}

// forgive has a next hop asked again that is being left alone, "" all of them:
// a person who wants an attempt knows something that we do not. The first that
// fails ends it.
func (e *engine) forgive(destination string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	for name, d := range e.dests {
		if destination != "" && destination != name {
			continue
		}
		d.outage.until = time.Time{}
		if d.site != nil {
			d.site.outage.until = time.Time{}
			e.placeSite(d.site, now)
		}
	}
}

func (e *engine) change(ctx context.Context, f appliance.Filter, c appliance.Change) (int, error) {
	if c != appliance.ChangeDrop {
		return e.house.Store.Change(ctx, f, c)
	}
	ids, err := e.find(ctx, f)
	dropped := 0
	for err == nil && len(ids) > 0 {
		n := min(len(ids), changeBatch)
		batch := f
		batch.IDs, batch.Limit, ids = ids[:n], 0, ids[n:]
		n, err = e.drop(ctx, batch)
		dropped += n
	}
	return dropped, err
}

func (e *engine) find(ctx context.Context, f appliance.Filter) ([]appliance.QueueID, error) {
	var ids []appliance.QueueID
	for entry, err := range e.house.Store.Query(ctx, f) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, entry.ID)
	}
	return ids, nil
}

// drop removes deliveries and emits the last event of their recipients. It
// leases nothing meanwhile, so that what it finds is what it drops.
func (e *engine) drop(ctx context.Context, f appliance.Filter) (int, error) {
	e.leasing.Lock()
	defer e.leasing.Unlock()
	var events []appliance.Event
	for entry, err := range e.house.Store.Query(ctx, f) {
		if err != nil {
			return 0, err
		}
		events = append(events, e.droppedEvents(&entry, f)...)
	}
	n, err := e.house.Store.Change(ctx, f, appliance.ChangeDrop)
	if err != nil {
		return n, err
	}
	for _, ev := range events {
		e.house.Events.Emit(ev)
	}
	return n, nil
}

// droppedEvents are the events for the recipients of a message that f drops.
func (e *engine) droppedEvents(entry *appliance.Entry, f appliance.Filter) []appliance.Event {
	now := e.now()
	var all []appliance.Event
	for _, d := range entry.Deliveries {
		if d.Leased || !f.Match(entry, &d.Delivery) {
			continue
		}
		for _, to := range d.Delivery.Recipients {
			if to.Status != appliance.Waiting {
				continue
			}
			ev := eventOf(appliance.EventDropped, entry.ID, &entry.Origin, &entry.Envelope)
			ev.Time, ev.Age = now, max(0, now.Sub(entry.Received))
			ev.To, ev.Size, ev.Recipients = to.Mailbox, entry.Size, len(d.Delivery.Recipients)
			ev.Attempt = d.Delivery.Attempts
			all = append(all, ev)
		}
	}
	return all
}
