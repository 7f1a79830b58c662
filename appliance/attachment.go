package appliance

import (
	"context"
	"sync"
	"sync/atomic"
)

// An Attachment is the half of a [Listener] that holds its pipeline: a
// listener embeds it. A transaction acquires the pipeline when it begins and
// releases it when it ends, so that a reload can tell when nothing uses the
// modules of the old configuration any more.
type Attachment struct{ p atomic.Pointer[Pipeline] }

// Attach implements Listener.
func (a *Attachment) Attach(p *Pipeline) { a.p.Store(p) }

// Acquire returns the pipeline of now. The caller calls release once, when
// its transaction, or whatever it does with the pipeline, is over.
func (a *Attachment) Acquire() (p *Pipeline, release func()) {
	for {
		p := a.p.Load()
		if p.use.enter() {
			return p, sync.OnceFunc(p.use.leave)
		}
		if a.p.Load() == p {
			// Retired without a successor: the listener goes too, and what it
			// still begins, the stopped modules answer with a 451.
			return p, func() {}
		}
		// Replaced between Load and enter; the new one is there already.
	}
}

// usage counts who is inside something that is going to be retired.
type usage struct {
	mu      sync.Mutex
	inside  int
	retired bool
	empty   chan struct{} // closed when retired and nobody is inside
}

func (u *usage) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.retired {
		return false
	}
	u.inside++
	return true
}

func (u *usage) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inside--
	if u.retired && u.inside == 0 {
		close(u.empty)
	}
}

// retire lets nobody in any more and waits until everybody has left.
func (u *usage) retire(ctx context.Context) error {
	u.mu.Lock()
	if !u.retired {
		u.retired, u.empty = true, make(chan struct{})
		if u.inside == 0 {
			close(u.empty)
		}
	}
	empty := u.empty
	u.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
