package resolver

import (
	"context"
	"errors"
	"net"
	"time"
)

// flightTime is how long a question may take, whoever waits for it.
const flightTime = 30 * time.Second

// A flight is a question on its way, for all who wait for its answer.
type flight struct {
	waiting int // under the lock of the resolver
	cancel  context.CancelFunc
	done    chan struct{} // closed when result is there
	result  result
}

// share answers from the cache, or waits for the one flight of the question.
func (r *Resolver) share(ctx context.Context, q question) result {
	f, held, ok := r.board(q)
	if ok {
		return held
	}
	select {
	case <-f.done:
		return f.result
	case <-ctx.Done():
		r.leave(q, f)
		return result{err: given(context.Cause(ctx))}
	}
}

var errClosed = &net.DNSError{Err: "the resolver has been stopped", IsTemporary: true}

// board finds the result in the cache or a flight to wait for.
func (r *Resolver) board(q question) (f *flight, held result, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, result{err: errClosed}, true
	}
	if held, ok := r.cache.get(q); ok {
		r.metrics.hits.Inc()
		return nil, held, true
	}
	f = r.flights[q]
	if f == nil {
		f = r.launch(q)
	}
	f.waiting++
	return f, result{}, false
}

// launch starts a flight. It has a context of its own, so that the others get
// their answer when the first of them gives up.
func (r *Resolver) launch(q question) *flight {
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	set, kept := r.set, r.cache
	ctx, cancel := context.WithTimeout(r.base, flightTime)
	f.cancel = cancel
	r.joined.Go(func() {
		defer cancel()
		f.result = r.resolve(ctx, set, q)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.flights[q] == f {
			delete(r.flights, q)
		}
		if !errors.Is(ctx.Err(), context.Canceled) {
			kept.put(q, f.result)
		}
		close(f.done)
	})
	return f
}

// leave gives up waiting. When the last one does, the flight ends.
func (r *Resolver) leave(q question, f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return
	}
	if r.flights[q] == f {
		delete(r.flights, q)
	}
	f.cancel()
}

// given is the error of somebody who gave up.
func given(cause error) *net.DNSError {
	var late net.Error
	return &net.DNSError{
		Err: cause.Error(), UnwrapErr: cause, IsTemporary: true,
		IsTimeout: errors.As(cause, &late) && late.Timeout(),
	}
}
