package dkim

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// A step looks after the keys of a domain once, with the lock of the domain.
type step struct {
	d      *DKIM
	ctx    context.Context
	domain string
	now    time.Time
	h      *held    // to be changed, and saved
	later  []func() // what is to be said when it is saved
}

func (d *DKIM) newStep(ctx context.Context, domain string, h *held) *step {
	return &step{
		d: d, ctx: ctx, domain: domain, now: time.Now().UTC().Truncate(time.Second),
		h: &held{life: h.life.clone(), text: h.text, keys: maps.Clone(h.keys)},
	}
}

// say logs when the step is durable.
func (s *step) say(text string, k *lifeKey, more ...zap.Field) {
	s.log(zapcore.InfoLevel, text, k, more)
}

// warn is say with a level that somebody should look at.
func (s *step) warn(text string, k *lifeKey, more ...zap.Field) {
	s.log(zapcore.WarnLevel, text, k, more)
}

func (s *step) log(level zapcore.Level, text string, k *lifeKey, more []zap.Field) {
	fields := append([]zap.Field{
		zap.String("domain", s.domain), zap.String("selector", k.Selector), zap.String("record", recordName(s.domain, k.Selector)),
	}, more...)
	s.later = append(s.later, func() { s.d.log.Log(level, text, fields...) })
}

// record is what is to be published for a key that is not retired.
func (s *step) record(k *lifeKey) appliance.DNSRecord {
	return s.h.keys[k.Selector].Record(s.domain, k.Selector)
}

// tidy gives up what the configuration no longer asks for.
func (s *step) tidy() {
	series := make(map[string]string)
	complete := true
	for _, w := range s.d.plan.keys[s.domain] {
		slot := slotOf(w.algorithm)
		series[slot] = w.selector
		complete = complete && s.h.life.of(slot, appliance.KeyCurrent) != nil
	}
	for _, k := range s.h.life.Keys {
		switch wanted := series[k.Slot]; {
		case k.State == appliance.KeyNext && k.Series != wanted:
			s.retire(k, "a DKIM key that waited to sign is given up: the configuration asks for another")
		case k.State == appliance.KeyCurrent && wanted == "" && complete:
			k.enter(appliance.KeyOld, s.now)
			s.say("a DKIM key does not sign any more: the configuration does not ask for its algorithm", k)
		}
	}
}

// A lack is a key that is to be made: with the selector of the configuration
// if it is free and exact, else with one that has the day in it.
type lack struct {
	wanted
	exact bool
}

// lacking are the keys that the configuration, or the time, asks for.
func (d *DKIM) lacking(l *life, domain string, now time.Time) []lack {
	var all []lack
	for _, w := range d.plan.keys[domain] {
		slot := slotOf(w.algorithm)
		current := l.of(slot, appliance.KeyCurrent)
		switch {
		case l.of(slot, appliance.KeyNext) != nil:
		case current == nil, current.Series != w.selector:
			all = append(all, lack{w, true})
		case d.Rotate > 0 && now.Sub(current.Since) >= d.Rotate:
			all = append(all, lack{w, false})
		}
	}
	return all
}

// make makes a next key.
func (s *step) make(l lack) error {
	alive := 0
	for _, k := range s.h.life.Keys {
		if k.alive() {
			alive++
		}
	}
	if alive >= maxAlive {
		return fmt.Errorf("%s has %d keys already, the old ones included: delete the records of those that are retired, or retire some (waxwing dkim retire)", s.domain, alive)
	}
	selector, err := s.h.life.selector(l.wanted, l.exact, s.now)
	if err != nil {
		return err
	}
	slot, series := slotOf(l.algorithm), l.selector
	l.selector = selector
	key, err := s.d.make(s.ctx, l.wanted)
	if err != nil {
		return err
	}
	k := &lifeKey{Selector: selector, Slot: slot, Series: series, Algorithm: key.Algorithm(), State: appliance.KeyNext, Since: s.now}
	s.h.life.Keys, s.h.keys[selector] = append(s.h.life.Keys, k), key
	text := "the next DKIM key waits until all name servers show its record: publish it"
	if s.d.Publish.IsSet() {
		text = "the next DKIM key waits until all name servers show its record"
	}
	s.say(text, k, zap.String("value", s.record(k).Value))
	return nil
}

// look looks after one key.
func (s *step) look(k *lifeKey) {
	k.Checked = s.now
	switch k.State {
	case appliance.KeyNext:
		s.next(k)
	case appliance.KeyCurrent:
		s.current(k)
	case appliance.KeyOld:
		s.old(k)
	case appliance.KeyRetired:
		s.retired(k)
	}
}

func (s *step) seek(k *lifeKey, pub crypto.PublicKey) *sight {
	return s.d.look(s.ctx, recordName(s.domain, k.Selector), pub)
}

func (s *step) next(k *lifeKey) {
	seen := s.seek(k, s.h.keys[k.Selector].private.Public())
	failed := s.offer(k, seen)
	k.seen(seen.everywhere(), s.now)
	switch {
	case k.settled(s.now):
		s.promote(k)
	case seen.everywhere():
		k.Waits = "its record to be known: all name servers show it; signs after " + moment(k.Shown.Add(settleTime)) + ", when no cache remembers that there was none"
	default:
		k.Waits = s.trouble("its record", k, seen, failed)
	}
}

// trouble says what a next or current key waits for.
func (s *step) trouble(what string, k *lifeKey, seen *sight, failed error) string {
	text := what + ": " + seen.String()
	if !k.Published.IsZero() {
		text += fmt.Sprintf(" (published %s)", moment(k.Published))
	}
	if failed != nil {
		text += "; " + failed.Error()
		s.warn("the record of a DKIM key cannot be published; trying again", k, zap.Error(failed))
	}
	return text
}

func (s *step) promote(k *lifeKey) {
	was := s.h.life.of(k.Slot, appliance.KeyCurrent)
	s.h.life.promote(k, s.now)
	s.say("this DKIM key signs from now on", k)
	if was != nil {
		s.say("this DKIM key signs no more; its record must stay until it is retired", was, zap.Duration("grace", s.d.Grace))
	}
}

// current watches the record of a key that signs. Whatever becomes of it, the
// key goes on signing: a signature that cannot be verified is as good as none,
// and mail without one would not leave.
func (s *step) current(k *lifeKey) {
	seen := s.seek(k, s.h.keys[k.Selector].private.Public())
	failed := s.offer(k, seen)
	switch {
	case seen.everywhere():
		if !k.Missing.IsZero() {
			s.say("all name servers show the record of the DKIM key that signs, again", k, zap.Time("missing_since", k.Missing))
		}
		if k.Missing, k.Waits = (time.Time{}), ""; k.Shown.IsZero() {
			k.Shown = s.now
		}
		return
	case seen.lacks() && !k.Shown.IsZero() && k.Missing.IsZero():
		k.Missing = s.now
		s.warn("the record of the DKIM key that signs is gone from the DNS, or has changed: receivers cannot verify what we send; publish it again", k,
			zap.String("problem", seen.String()), zap.String("value", s.record(k).Value))
	}
	k.Waits = s.trouble("its record", k, seen, failed)
}

// old waits for the end of what a key has signed.
func (s *step) old(k *lifeKey) {
	if until := k.Since.Add(s.d.Grace); s.now.Before(until) {
		k.Waits = "the grace period, until " + moment(until)
		return
	}
	before := k.Since.Add(overlapTime)
	switch queued, err := s.d.queued(s.ctx, before); {
	case err != nil:
		k.Waits = "the queue, which cannot be asked: " + err.Error()
	case queued:
		k.Waits = "mail in the queue that was accepted before " + moment(before)
	default:
		s.retire(k, "a DKIM key is retired: nothing that it signed is on its way any more")
	}
}

// retire gives up a key. It is deleted when that is durable.
func (s *step) retire(k *lifeKey, why string) {
	k.Record = s.record(k).Value
	k.enter(appliance.KeyRetired, s.now)
	delete(s.h.keys, k.Selector)
	s.say(why, k)
}

// retired deletes the private key, and sees to it that the record goes.
func (s *step) retired(k *lifeKey) {
	err := s.d.values.Delete(s.ctx, valueKey(s.domain, k.Selector))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.Waits = "its private key cannot be deleted: " + err.Error()
		return
	}
	r, err := dkimkey.Parse(k.Record)
	if err != nil { // this program has written it
		k.Gone, k.Record = true, ""
		return
	}
	seen := s.seek(k, r.Key)
	switch {
	case seen.nowhere():
		k.Gone, k.Record, k.Waits = true, "", ""
		s.say("the record of a retired DKIM key is deleted: nothing is left of the key", k)
		return
	case seen.holds > 0 && s.d.Publish.IsSet():
		k.Waits = s.withdraw(k, seen)
	case seen.holds > 0:
		if k.Waits == "" {
			s.say("delete the record of this retired DKIM key from the DNS", k)
		}
		k.Waits = "its record to be deleted from the DNS: " + number(seen.holds, "name server still shows it", "name servers still show it")
	default:
		k.Waits = "its record to be deleted from the DNS: " + seen.String()
	}
}

func (s *step) withdraw(k *lifeKey, seen *sight) string {
	if err := s.d.withdraw(s.ctx, seen, k.Record); err != nil {
		s.warn("the record of a retired DKIM key cannot be deleted; trying again", k, zap.Error(err))
		return "its record to be deleted: " + err.Error()
	}
	return "the name servers to forget its record, which was deleted " + moment(s.now)
}

// due are the keys that it is time to look after.
func (l *life) due(now time.Time) []*lifeKey {
	return slices.DeleteFunc(slices.Clone(l.Keys), func(k *lifeKey) bool { return !k.due(now) })
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
