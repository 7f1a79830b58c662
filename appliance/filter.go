package appliance

import (
	"slices"
	"strings"
	"time"
)

// Match says whether f selects the delivery d of the message e. Limit is left
// to the store.
func (f *Filter) Match(e *Entry, d *Delivery) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, e.ID)) &&
		(f.Sender == "" || matchMailbox(f.Sender, e.Envelope.From)) &&
		(f.Destination == "" || f.Destination == d.Destination) &&
		(f.Held == nil || *f.Held == d.Held) &&
		(f.Before.IsZero() || e.Received.Before(f.Before)) &&
		(f.Class == "" || slices.ContainsFunc(d.Recipients, func(r RecipientState) bool {
			return r.Status == Waiting && r.Last.Class == f.Class
		})) &&
		(f.Recipient == "" || slices.ContainsFunc(d.Recipients, func(r RecipientState) bool {
			return matchMailbox(f.Recipient, r.Mailbox)
		}))
}

// matchMailbox compares without regard to case, which is what people expect
// of a search, although local parts may differ in it (RFC 5321, section 2.4).
func matchMailbox(pattern string, m Mailbox) bool {
	if domain, ok := strings.CutPrefix(pattern, "@"); ok {
		if d, err := ParseDomain(domain); err == nil {
			domain = d
		}
		return strings.EqualFold(domain, m.Domain)
	}
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "<"), ">")
	if p, err := ParseMailbox(pattern); err == nil {
		return strings.EqualFold(p.Local, m.Local) && p.Domain == m.Domain
	}
	return pattern == m.String()
}

// Concerns says whether the change would change anything about a delivery.
// What is held is not to be retried: it would wait all the same.
func (c Change) Concerns(d *Delivery) bool {
	switch c {
	case ChangeRetry, ChangeHold:
		return !d.Held
	case ChangeRelease:
		return d.Held
	case ChangeBounce:
		return !d.Expire
	}
	return true
}

// Apply does the change to a delivery; now is when it becomes due. A delivery
// that is Done afterwards has to be removed.
func (c Change) Apply(d *Delivery, now time.Time) {
	switch c {
	case ChangeRetry:
		d.Due = now
	case ChangeHold:
		d.Held = true
	case ChangeRelease:
		d.Held, d.Due = false, now
	case ChangeDrop:
		for i := range d.Recipients {
			if d.Recipients[i].Status == Waiting {
				d.Recipients[i].Status = Dropped
			}
		}
	case ChangeBounce:
		d.Held, d.Expire, d.Due = false, true, now
	}
}

// Reconcile brings what was stored before into an outcome: a recipient that
// is final in the store stays final, whatever a holder whose lease had run
// out believes. It is false if the two do not list the same recipients, which
// is a bug of the holder.
func (o *Outcome) Reconcile(stored *Delivery) bool {
	same := func(a, b RecipientState) bool { return a.Mailbox == b.Mailbox }
	if !slices.EqualFunc(o.Delivery.Recipients, stored.Recipients, same) {
		return false
	}
	o.Delivery.Recipients = slices.Clone(o.Delivery.Recipients)
	for i, was := range stored.Recipients {
		if r := &o.Delivery.Recipients[i]; r.Status == Waiting && was.Status != Waiting {
			*r = was
		}
	}
	return true
}
