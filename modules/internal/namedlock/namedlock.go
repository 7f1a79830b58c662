// Package namedlock has locks with a name and an expiry for the holders of
// one process. A store whose data has a single owner builds Values.Lock on it.
package namedlock

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Set is a set of named locks. The zero Set is ready for use.
type Set struct {
	mu   sync.Mutex
	held map[string]*hold
}

type hold struct {
	free  chan struct{} // closed when the lock is given up
	until time.Time
}

// Lock waits until the lock is free, or its holder's ttl has passed, and
// takes it for ttl. The error is that of ctx. The error of unlock means that
// the lock had run out, so that somebody else may have had it meanwhile.
func (s *Set) Lock(ctx context.Context, name string, ttl time.Duration) (unlock func() error, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, mine := s.take(name, ttl)
		if mine {
			return func() error { return s.release(name, h) }, nil
		}
		if err := h.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// take returns a hold of the caller, or that of somebody else.
func (s *Set) take(name string, ttl time.Duration) (h *hold, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if h := s.held[name]; h != nil && now.Before(h.until) {
		return h, false
	}
	if s.held == nil {
		s.held = make(map[string]*hold)
	}
	h = &hold{free: make(chan struct{}), until: now.Add(ttl)}
	s.held[name] = h
	return h, true
}

// wait returns when the hold is given up or has run out.
func (h *hold) wait(ctx context.Context) error {
	t := time.NewTimer(time.Until(h.until))
	defer t.Stop()
	select {
	case <-h.free:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (s *Set) release(name string, h *hold) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[name] != h {
		return fmt.Errorf("lock %q ran out before it was released", name)
	}
	delete(s.held, name)
	close(h.free)
	return nil
}
