package appliance

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// An Engine delivers what the store holds: package queue has the one of
// Waxwing. As a [Spool] it commits to the store and sees to it that what was
// committed is attempted at once.
type Engine interface {
	Spool
	Starter
	// Configure takes new settings on a reload; it looks at every destination
	// again, because routes may lead elsewhere now.
	Configure(s QueueSettings)
	// Change does [Store.Change] and wakes what became due.
	Change(ctx context.Context, f Filter, c Change) (int, error)
}

// An EngineContext is everything the appliance gives its Engine.
type EngineContext struct {
	Hostname string // reporting MTA in DSNs
	Store    Store
	Router   Router
	Settings QueueSettings
	Events   EventSink
	Log      *zap.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time // nil is time.Now
	Rand     *rand.Rand       // for jitter; nil is a random seed
}

// A Router finds the pipeline that queued mail belongs to, as the
// configuration is now.
type Router interface {
	// Acquire returns the pipeline with the name; release must be called when
	// the attempt is over. ok is false if the configuration has none.
	Acquire(name string) (p *Pipeline, release func(), ok bool)
}
