package queue

import (
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dsn"
)

const (
	// rationTime is what settings.ReportLimit is per.
	rationTime = time.Hour
	// rationAgain is when a delivery whose digest is being stored looks again
	// whether it is.
	rationAgain = time.Minute
	// maxRations bounds the senders that are remembered.
	maxRations = 10_000
	// maxHeld bounds the deliveries in one digest. Those beyond wait for their
	// reports as well, and are counted anew when their time has come.
	maxHeld = 100_000
)

// rations see to it that a sender gets so many reports an hour and no more. What
// fails beyond that is held back: its recipients wait, failed but for their
// report, until the hour is over. Then the first of these deliveries that is
// due becomes a digest of all of them, stored in the same step as its own
// outcome; the others end without a word of their own.
//
//	spent < limit               a report
//	spent = limit               held, until the hour is over
//	held, the hour is over      the digest, or wait while another makes it
//	held, the digest is stored  end
//
// All of this is forgotten in a crash, and nothing is lost by that: what is
// held waits in the store like any recipient without its report, and gets one,
// or a place in a digest, when its time comes.
type rations struct {
	mu      sync.Mutex
	senders map[appliance.Mailbox]*ration
}

// A ration is that of one sender.
type ration struct {
	began time.Time // of the hour
	spent int       // reports in it
	now   *held     // what is held back in this hour
	last  *held     // what was in the one before
}

// held is what one digest is about.
type held struct {
	digest  dsn.Digest
	keys    map[appliance.DeliveryKey]bool
	storing bool // somebody makes the digest
	stored  bool
}

// A share is what a delivery with failures gets of the ration.
type share struct {
	report  bool        // a report of its own
	digest  *dsn.Digest // the digest for it and for others
	covered bool        // nothing: a digest has told it
	until   time.Time   // if none of these: when to ask again
	batch   *held       // that of digest
}

// again is take for recipients that have waited for their report, if they are
// remembered.
func (r *rations) again(now time.Time, l *appliance.Leased) (sh share, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of(l.Envelope.From, now)
	switch {
	case s.last != nil && s.last.keys[l.Key]:
		return s.last.share(now), true
	case s.now != nil && s.now.keys[l.Key]: // another recipient was due
		return share{until: s.began.Add(rationTime)}, true
	}
	return share{}, false
}

// take gives recipients of a delivery that have failed now their share.
func (r *rations) take(now time.Time, limit int, l *appliance.Leased, failed []dsn.Recipient) share {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of(l.Envelope.From, now)
	end := s.began.Add(rationTime)
	switch {
	case limit <= 0 || s.spent < limit:
		s.spent++
		return share{report: true}
	case s.now == nil:
		s.now = &held{keys: make(map[appliance.DeliveryKey]bool)}
		s.now.digest.Sender, s.now.digest.Began = l.Envelope.From, s.began
	}
	s.now.add(l, failed)
	return share{until: end}
}

// spend takes a report that is not held back if there is none left.
func (r *rations) spend(now time.Time, limit int, sender appliance.Mailbox) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of(sender, now)
	if limit > 0 && s.spent >= limit {
		return false
	}
	s.spent++
	return true
}

// of returns the ration of a sender for the hour that now is in.
func (r *rations) of(sender appliance.Mailbox, now time.Time) *ration {
	if r.senders == nil {
		r.senders = make(map[appliance.Mailbox]*ration)
	}
	s := r.senders[sender]
	if s == nil {
		if len(r.senders) >= maxRations {
			r.forget(now)
		}
		s = &ration{began: now}
		r.senders[sender] = s
	}
	if now.Before(s.began) || !now.Before(s.began.Add(rationTime)) {
		*s = ration{began: now, last: s.now}
	}
	return s
}

// forget makes room: of those whose hour is over, or of all.
func (r *rations) forget(now time.Time) {
	for sender, s := range r.senders {
		if !now.Before(s.began.Add(2 * rationTime)) {
			delete(r.senders, sender)
		}
	}
	if len(r.senders) >= maxRations {
		clear(r.senders)
	}
}

func (h *held) add(l *appliance.Leased, failed []dsn.Recipient) {
	if len(h.keys) >= maxHeld && !h.keys[l.Key] {
		return
	}
	h.keys[l.Key] = true
	h.digest.Add(l.Key.ID, failed)
	h.digest.RequireTLS = h.digest.RequireTLS || l.Envelope.RequireTLS
}

func (h *held) share(now time.Time) share {
	switch {
	case h.stored:
		return share{covered: true}
	case h.storing:
		return share{until: now.Add(rationAgain)}
	}
	h.storing = true
	return share{digest: &h.digest, batch: h}
}

// settled says whether the outcome with the digest of h is stored.
func (r *rations) settled(h *held, stored bool) {
	if h == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.storing, h.stored = false, stored
}
