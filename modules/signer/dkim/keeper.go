package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// What another node has done is taken over, and what is due is done, within
	// so much time and the jitter.
	tickTime   = 5 * time.Minute
	tickJitter = time.Minute
	// attendTime bounds the work on one domain: questions to name servers, and a
	// change of a zone.
	attendTime = time.Minute
	// atOnce is how many domains are looked after at a time.
	atOnce = 4
)

// keep looks after the keys of the store until ctx ends. Its first look is
// after a tick, unless something may be waiting to be published.
func (d *DKIM) keep(ctx context.Context) {
	pause := tickTime
	if d.Publish.IsSet() {
		pause = 0
	}
	for {
		timer := time.NewTimer(pause + rand.N(tickJitter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		d.round(ctx)
		pause = tickTime
	}
}

// round looks after each domain with keys of the store.
func (d *DKIM) round(ctx context.Context) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, domain := range d.stored() {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := d.visit(ctx, domain); ctx.Err() == nil {
				d.complain(domain, err)
			}
		})
	}
	all.Wait()
}

// complainEvery is how often the same problem of a domain is said.
const complainEvery = time.Hour

// A complaint is what was wrong when somebody last looked after a domain.
type complaint struct {
	text string
	said time.Time
}

// complain counts an error and says it, unless it has just been said.
func (d *DKIM) complain(domain string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.complaints, domain)
		return
	}
	d.problems.WithLabelValues(domain).Inc()
	if was := d.complaints[domain]; was.text == err.Error() && time.Since(was.said) < complainEvery {
		return
	}
	d.complaints[domain] = complaint{err.Error(), time.Now()}
	d.log.Error("cannot look after the DKIM keys; trying again every few minutes", zap.String("domain", domain), zap.Error(err))
}

// visit takes over what another node has done, and does what is due.
func (d *DKIM) visit(ctx context.Context, domain string) error {
	text, err := d.values.Get(ctx, lifeName(domain))
	if err != nil {
		return notMissing(fmt.Errorf("states of the DKIM keys of %s: %w", domain, err))
	}
	h, now := d.ring.Load().lives[domain], time.Now()
	if bytes.Equal(text, h.text) && len(h.life.due(now)) == 0 && len(d.lacking(h.life, domain, now)) == 0 {
		return nil
	}
	return d.attend(ctx, domain, nil)
}

// attend takes the lock of a domain and moves its keys: an order first, if
// there is one, then whatever is due. Each key that enters a new state is
// looked after in that state at once.
func (d *DKIM) attend(ctx context.Context, domain string, order func(*step) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attendTime)
	defer cancel()
	unlock, err := d.lock(ctx, domain)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	h, err := d.recall(ctx, domain, d.ring.Load().lives[domain])
	if err != nil {
		return err
	}
	d.adopt(domain, h)
	s := d.newStep(ctx, domain, h)
	s.tidy()
	if order != nil {
		if err := order(s); err != nil {
			return err
		}
	}
	return d.move(s)
}

// rounds bounds the states that keys pass in one go.
const rounds = 4

// move does what is due, and saves before each round, so that what a round
// relies on is durable. ctx may end in between.
func (d *DKIM) move(s *step) error {
	var failed error
	for _, l := range d.lacking(s.h.life, s.domain, s.now) {
		failed = errors.Join(failed, s.make(l))
	}
	for range rounds {
		if err := d.commit(s); err != nil {
			return errors.Join(failed, err)
		}
		for _, k := range s.h.life.due(s.now) {
			s.look(k)
		}
		// Who could not be asked because the server stops has not been asked.
		if err := s.ctx.Err(); errors.Is(err, context.Canceled) {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, d.commit(s))
}

// commit makes the step durable, and then known.
func (d *DKIM) commit(s *step) error {
	if s.h.life.prune(); bytes.Equal(s.h.life.marshal(), s.h.text) {
		return nil
	}
	h, err := d.save(s.ctx, s.domain, s.h)
	if err != nil {
		return err
	}
	d.adopt(s.domain, h)
	if h == s.h { // and not what another node has saved
		for _, say := range s.later {
			say()
		}
	}
	s.h, s.later = &held{life: h.life.clone(), text: h.text, keys: maps.Clone(h.keys)}, nil
	return nil
}

// adopt signs with what h says from now on.
func (d *DKIM) adopt(domain string, h *held) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.ring.Load()
	if old.lives[domain] == h {
		return
	}
	d.ring.Store(old.with(domain, h, d.plan))
}

// stored are the domains whose keys are in the store.
func (d *DKIM) stored() []string {
	return slices.DeleteFunc(slices.Clone(d.plan.domains), func(domain string) bool { return len(d.files.keys[domain]) > 0 })
}

// open reads the keys of a domain, or makes them.
func (d *DKIM) open(ctx context.Context, domain string) error {
	h, err := d.recall(ctx, domain, nil)
	if errors.Is(err, fs.ErrNotExist) {
		h, err = d.begin(ctx, domain)
	}
	if err != nil {
		return err
	}
	for _, w := range d.plan.keys[domain] {
		if k := h.life.of(slotOf(w.algorithm), appliance.KeyCurrent); k != nil {
			w.selector = k.Selector
			d.judge(h.keys[k.Selector], w)
		}
	}
	d.adopt(domain, h)
	return nil
}
