package queue

import "github.com/waxwing-mail/waxwing/appliance"

// tell emits what the settled attempt has done: for each recipient that was
// tried exactly one event, and one for each report.
func (a *attempt) tell() {
	a.e.rations.settled(a.batch, true)
	for i := range a.d.Recipients {
		to := &a.d.Recipients[i]
		kind := appliance.EventDeferred
		switch {
		case to.Status == a.leased.Delivery.Recipients[i].Status && !a.fates[i].tried:
			continue
		case to.Status == appliance.Delivered:
			kind = appliance.EventDelivered
		case to.Status == appliance.Failed:
			kind = appliance.EventBounced
		}
		a.emit(kind, i)
	}
	for i := range a.reports {
		a.tellReport(&a.reports[i])
	}
}

func (a *attempt) emit(kind appliance.EventKind, i int) {
	to := &a.d.Recipients[i]
	ev := a.event(kind)
	ev.To = to.Mailbox
	ev.Relay = a.fates[i].relay
	reply := to.Last.Reply
	ev.Class = to.Last.Class
	if a.fates[i].expired {
		reply, ev.Class = *ended(errExpired, &reply), appliance.ClassExpired
	}
	ev.Reply, ev.Host, ev.Peer, ev.TLS = &reply, to.Last.Host, to.Last.Peer, to.Last.TLS
	if kind == appliance.EventDeferred {
		ev.Next = a.d.Due
	}
	a.e.house.Events.Emit(ev)
}

func (a *attempt) event(kind appliance.EventKind) appliance.Event {
	ev := eventOf(kind, a.leased.Key.ID, &a.leased.Origin, &a.leased.Envelope)
	ev.Time, ev.Age = a.e.now(), a.age()
	ev.Destination = a.leased.Delivery.Destination
	ev.Recipients, ev.Size, ev.Attempt = len(a.d.Recipients), a.size, a.d.Attempts
	return ev
}

// eventOf is an event with what is known of a message.
func eventOf(kind appliance.EventKind, id appliance.QueueID, o *appliance.Origin, env *appliance.Envelope) appliance.Event {
	return appliance.Event{
		Kind: kind, ID: id, Session: o.Session, Pipeline: o.Pipeline, Listener: o.Listener,
		User: o.User, Client: o.Client, From: env.From, SignedBy: o.SignedBy,
	}
}

// tellReport says that a report was queued. Its Session is that of the message
// it is about, which is how a reader of the log gets from one to the other.
func (a *attempt) tellReport(r *appliance.Accepted) {
	ev := eventOf(appliance.EventReported, r.ID, &r.Origin, &r.Envelope)
	ev.Time, ev.Session = a.e.now(), a.leased.Origin.Session
	ev.To, ev.Recipients = a.leased.Envelope.From, len(r.Envelope.Recipients)
	ev.Reply = appliance.Replyf(250, 0, 0, "report about %s queued as %s", a.leased.Key.ID, r.ID)
	a.e.metrics.reports.Inc()
	a.e.house.Events.Emit(ev)
}
