package dkim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// SigningKeys implements appliance.KeyKeeper. Of one domain the key that signs
// comes first, then the next one, and what is left of others.
func (d *DKIM) SigningKeys() []appliance.SigningKey {
	var all []appliance.SigningKey
	r := d.ring.Load()
	for _, domain := range d.plan.domains {
		for _, k := range r.keys[domain] {
			if k.path != "" {
				all = append(all, appliance.SigningKey{
					Domain: domain, Selector: k.selector, Algorithm: k.key.Algorithm(), Source: k.path,
					State: appliance.KeyCurrent, Record: noted(k.key.Record(domain, k.selector), appliance.KeyCurrent),
				})
			}
		}
		all = append(all, r.lives[domain].describe(d, domain)...)
	}
	return all
}

// shownOrder is the order of states for people.
var shownOrder = []appliance.KeyState{appliance.KeyCurrent, appliance.KeyNext, appliance.KeyOld, appliance.KeyRetired}

// describe lists what is left of the stored keys of a domain. h may be nil.
func (h *held) describe(d *DKIM, domain string) []appliance.SigningKey {
	if h == nil {
		return nil
	}
	var all []appliance.SigningKey
	for _, state := range shownOrder {
		for _, k := range h.life.in(state) {
			if !k.alive() {
				continue
			}
			record := appliance.DNSRecord{Name: recordName(domain, k.Selector), Type: "TXT", Value: k.Record}
			if key := h.keys[k.Selector]; key != nil {
				record = key.Record(domain, k.Selector)
			}
			all = append(all, appliance.SigningKey{
				Domain: domain, Selector: k.Selector, Algorithm: k.Algorithm, Source: "store",
				State: state, Since: k.Since, Waits: d.waits(k), Publisher: d.Publish.String(), Record: noted(record, state),
			})
		}
	}
	return all
}

// waits is what a key waits for; one that signs and lacks nothing, for its
// rotation.
func (d *DKIM) waits(k *lifeKey) string {
	if k.State == appliance.KeyCurrent && k.Waits == "" && d.Rotate > 0 {
		return "its rotation, " + moment(k.Since.Add(d.Rotate))
	}
	if k.Waits == "" && k.State != appliance.KeyCurrent {
		return "the next look, in minutes"
	}
	return k.Waits
}

// notes say what a record is for.
var notes = map[appliance.KeyState]string{
	appliance.KeyCurrent: "the DKIM key that signs",
	appliance.KeyNext:    "the next DKIM key, which signs when all name servers show it",
	appliance.KeyOld:     "the DKIM key before, for mail that is on its way",
	appliance.KeyRetired: "a retired DKIM key: delete this record",
}

func noted(r appliance.DNSRecord, s appliance.KeyState) appliance.DNSRecord {
	r.Note = notes[s]
	return r
}

// DNSRecords implements appliance.DNSPublisher.
func (d *DKIM) DNSRecords() []appliance.DNSRecord {
	var all []appliance.DNSRecord
	for _, k := range d.SigningKeys() {
		if k.State != appliance.KeyRetired {
			all = append(all, k.Record)
		}
	}
	return all
}

// A refusal is a reason to do nothing with a key.
type refusal struct {
	text string
	kind error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// keeps says why a domain has no keys that can be moved.
func (d *DKIM) keeps(domain string) error {
	switch {
	case !slices.Contains(d.plan.domains, domain):
		return &refusal{"does not sign for " + domain, fs.ErrNotExist}
	case !slices.Contains(d.stored(), domain):
		return &refusal{"the keys of " + domain + " are in files, which the server does not change: write another key block", errors.ErrUnsupported}
	}
	return nil
}

// RotateKeys implements appliance.KeyKeeper.
func (d *DKIM) RotateKeys(ctx context.Context, domain string, when appliance.Rotation) error {
	if err := d.keeps(domain); err != nil {
		return err
	}
	return d.attend(ctx, domain, func(s *step) error {
		for _, w := range d.plan.keys[domain] {
			if err := s.rotate(w, when); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *step) rotate(w wanted, when appliance.Rotation) error {
	slot := slotOf(w.algorithm)
	if s.h.life.of(slot, appliance.KeyNext) == nil {
		current := s.h.life.of(slot, appliance.KeyCurrent)
		if err := s.make(lack{w, current == nil || current.Series != w.selector}); err != nil {
			return err
		}
	}
	k := s.h.life.of(slot, appliance.KeyNext)
	k.Checked = time.Time{} // somebody waits: it is looked at now
	if when != appliance.RotateNow {
		return nil
	}
	if !k.settled(s.now) {
		s.warn("a DKIM key signs before all name servers have shown its record: receivers cannot verify what we send until they do", k,
			zap.String("value", s.record(k).Value))
	}
	s.promote(k)
	k.Checked = time.Time{}
	return nil
}

// RetireKey implements appliance.KeyKeeper.
func (d *DKIM) RetireKey(ctx context.Context, domain, selector string) error {
	if err := d.keeps(domain); err != nil {
		return err
	}
	return d.attend(ctx, domain, func(s *step) error {
		k := s.h.life.find(selector)
		switch {
		case k == nil || !k.alive():
			return &refusal{fmt.Sprintf("%s has no key with the selector %q", domain, selector), fs.ErrNotExist}
		case k.State == appliance.KeyCurrent:
			return &refusal{fmt.Sprintf("%s signs for %s: rotate first (waxwing dkim rotate %s)", k.Selector, domain, domain), errors.ErrUnsupported}
		case k.State != appliance.KeyRetired:
			s.retire(k, "a DKIM key is retired by order")
		}
		return nil
	})
}
