package mtasts

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance/mtasts"
)

// look finds out what there is to know of a domain: what the store has, and
// then what the domain says. Who waits is told as soon as a policy in force
// has come to light.
func (c *Cache) look(e *entry) {
	ctx, cancel := context.WithTimeout(c.life, lookTime)
	defer cancel()
	told, err := c.load(ctx, e)
	if err != nil {
		c.finish(e, told, func() { e.trouble, e.next = err, time.Now() })
		return
	}
	id, next, err := c.record(ctx, e.domain)
	c.mu.Lock()
	known := e.known
	c.mu.Unlock()
	if id != "" && (!known.inForce(time.Now()) || known.ID != id || known.stale(time.Now())) {
		err = c.renew(ctx, e, id)
	} else if unknown := next == troubleEvery; unknown && known.inForce(time.Now()) && known.stale(time.Now()) {
		// Whoever keeps the record from us, and nothing else, does not make us
		// forget the policy: it is fetched as the one we know.
		if err = c.renew(ctx, e, known.ID); err != nil {
			next = checkEvery
		}
	}
	if err != nil && known.inForce(time.Now()) {
		c.log.Info("an MTA-STS policy could not be brought up to date; the known one stays in force",
			zap.String("domain", e.domain), zap.Time("until", known.expires()), zap.Error(err))
	}
	c.finish(e, told, func() {
		e.err, e.next = err, time.Now().Add(next)
		if c.life.Err() != nil {
			e.trouble = errStopped // nothing was found out
		}
	})
}

// finish ends a look.
func (c *Cache) finish(e *entry, told bool, set func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set()
	e.busy = false
	if !told {
		close(e.ready)
	}
}

// load takes over what the store has, once for each entry. told says that
// those who wait have been told.
func (c *Cache) load(ctx context.Context, e *entry) (told bool, err error) {
	var r *record
	if !e.loaded { // only look writes it
		if r, err = c.shelf.load(ctx, e.domain); err != nil {
			return false, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !e.loaded {
		e.loaded = true
		c.memory.set(e, r, time.Now())
	}
	if told = e.known.inForce(time.Now()); told {
		close(e.ready)
	}
	return told, nil
}

// record asks the DNS for the id. next is when to ask again.
func (c *Cache) record(ctx context.Context, domain string) (id string, next time.Duration, err error) {
	texts, err := c.cfg.Resolver.LookupTXT(ctx, mtasts.RecordName(domain)+".")
	switch {
	case notFound(err):
		return "", checkEvery, mtasts.ErrNoRecord
	case err != nil && len(texts) == 0:
		return "", troubleEvery, err
	}
	id, err = mtasts.ParseRecords(texts)
	return id, checkEvery, err
}

func notFound(err error) bool {
	de, ok := errors.AsType[*net.DNSError](err)
	return ok && de.IsNotFound && !de.IsTimeout && !de.IsTemporary
}

// renew fetches the policy and keeps it.
func (c *Cache) renew(ctx context.Context, e *entry, id string) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	policy, err := c.cfg.Fetch(ctx, e.domain)
	if err != nil {
		return err
	}
	// Round takes away the reading of the monotonic clock, so that it makes
	// no difference whether the record has been in the store.
	r := &record{Domain: e.domain, ID: id, Fetched: time.Now().Round(0), Policy: *policy}
	saved := c.shelf.save(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.unsaved = !saved
	c.memory.set(e, r, time.Now())
	return nil
}
