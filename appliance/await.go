package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Checks, rewrites, signers and authenticators are called on goroutines of their
// own, for limits.check_timeout and with copies of what they may read or change.
// One that keeps to its context returns in time. One that does not is left
// behind: the client gets a 4yz, what the module says or does later is ignored,
// and what it reads stays there until it returns. Only so many calls of a module
// can be left behind; then it is not asked until one of them returns.

const (
	// callGrace is how long a module may take to return after its context has
	// ended.
	callGrace = time.Second
	// maxLeftBehind is how many calls of a module a pipeline leaves behind.
	maxLeftBehind = 100
)

// errHangs is the answer when a module does not return.
func errHangs(module Addr) *Reply {
	return NewReply(451, 3, 0, "This takes too long here, please try again later").With(fmt.Errorf("%s does not answer", module))
}

// A call is one call of one module.
type call struct {
	p      *Pipeline
	module Addr
	inside bool // the pipeline counts it as a user

	returned chan struct{} // closed when the module has returned
	err      error

	mu   sync.Mutex
	over bool // the module has returned
	left bool // nobody waits for it any more
}

// await calls a module by way of f and waits for it, but not for ever. If late
// is not nil f is still running: until late is closed, whatever f has is its own.
func (p *Pipeline) await(ctx context.Context, module Addr, f func(context.Context) error) (late <-chan struct{}, err error) {
	if p.trialOf != nil {
		return p.trialOf.await(ctx, module, f)
	}
	if p.overdue.count(module) >= maxLeftBehind {
		return nil, errHangs(module)
	}
	limited := ctx
	if t := p.house.Limits.CheckTimeout; t > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	c := &call{p: p, module: module, returned: make(chan struct{})}
	c.inside = p.use.enter() // so that no module is closed that is in use
	go c.run(limited, f)
	if c.wait(limited) || !c.leave() {
		if c.err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
			p.timedOut(module)
		}
		return nil, c.err
	}
	p.timedOut(module)
	p.house.Log.Error("a module does not return; the client is told to try again",
		zap.Stringer("module", module), zap.Duration("check_timeout", p.house.Limits.CheckTimeout))
	return c.returned, errHangs(module)
}

func (p *Pipeline) timedOut(module Addr) {
	if p.house.Timeouts != nil {
		p.house.Timeouts.WithLabelValues(module.String()).Inc()
	}
}

// run calls the module.
func (c *call) run(ctx context.Context, f func(context.Context) error) {
	defer c.end()
	c.err = c.p.guard(c.module, func() error { return f(ctx) })
}

// wait waits for the module to return, and says whether it has.
func (c *call) wait(ctx context.Context) bool {
	select {
	case <-c.returned:
		return true
	case <-ctx.Done():
	}
	grace := time.NewTimer(callGrace)
	defer grace.Stop()
	select {
	case <-c.returned:
		return true
	case <-grace.C:
		return false
	}
}

// leave leaves the call behind, unless the module has returned meanwhile.
func (c *call) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.left = true
	c.p.overdue.add(c.module, 1)
	return true
}

// end notes that the module has returned.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.left {
		c.p.overdue.add(c.module, -1)
		c.p.house.Log.Warn("a module has returned too late; its answer is ignored", zap.Stringer("module", c.module))
	}
	if c.inside {
		c.p.use.leave()
	}
	close(c.returned)
}

// overdue counts the calls that were left behind, by module.
type overdue struct {
	mu    sync.Mutex
	calls map[Addr]int
}

func (o *overdue) count(module Addr) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[module]
}

func (o *overdue) add(module Addr, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls = make(map[Addr]int)
	}
	o.calls[module] += n
}
