package appliance

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A Module is one configured component: one block of the configuration file.
//
// The core takes every instance through the same life, in this order:
//
//	New        the constructor of its Registration sets the defaults, nothing else
//	decode     the block is decoded over the defaults; Refs are bound
//	Validate   optional: pure; no files, no network, no goroutines
//	Provision  may open files and read keys; must not listen, lock or spawn
//	Start      optional: acquires what can fail (sockets, locks), then runs
//	Stop       the mirror of Start: returns when every goroutine has returned
//	Close      optional: called once after Provision, even one that failed
//
// Provision and Start run in dependency order, a module after everything it
// refers to; Stop and Close run in the reverse. "waxwing validate" is this
// same path cut off after Provision; it must work beside a running server, so
// what lives in the store is read in Start.
type Module interface {
	Provision(ctx *Context) error
}

// A Validator checks values that are well formed but make no sense together.
// Validate is pure. Blame an attribute with [AttrError] and the administrator
// sees its line.
type Validator interface {
	Validate() error
}

// A Starter runs. Start returns as soon as it cannot fail any more; the
// goroutines it leaves behind belong to the module and are joined by Stop.
// Stop drains until ctx ends, then cuts. ctx of Start bounds the start only.
type Starter interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// A Forgetter is a module that spares itself, for a while, to find out again
// what it has found out. Forget is called when a reload has left the instance as
// it was: an administrator who reloads wants everything to be looked at anew.
type Forgetter interface{ Forget() }

// Context is everything the appliance gives a module instance. It is plain
// data, so that a test writes it as a literal. Modules look nothing up: what
// they need of each other comes through [Ref] fields of their own struct.
type Context struct {
	Addr     Addr                  // own address, "signer.example"
	Log      *zap.Logger           // named Addr; give it no secret and no message content
	Hostname string                // what we call ourselves in SMTP and in Received
	DataDir  string                // the data directory; only store modules write to it
	Limits   Limits                // the limits block of the file
	Memory   *Memory               // for what clients make a listener keep; nil lends without limit
	Values   Values                // the instance's own place in the store; usable from Start on
	Resolver Resolver              // the only way to DNS
	Metrics  prometheus.Registerer // labelled with Addr, dropped with the instance
	Events   EventSink             // where to say what happened to mail
	Sockets  *Sockets              // the listening sockets; nil means a set of one's own
	// Post takes a message of our own into the queue and returns when it is
	// durable. It is signed on the way: by the first pipeline with a signer for
	// its From field; without one it is an error. Usable while the appliance
	// runs, from any goroutine; nil in tests.
	Post func(ctx context.Context, env Envelope, h Header, body []byte) (QueueID, error)
	// Queued says whether a message that was accepted before a time is in the
	// queue still. It may look at all of the queue: ask rarely. Usable from Start
	// on; nil in tests.
	Queued func(ctx context.Context, before time.Time) (bool, error)
}

// AttrError blames one attribute of a module's own block, so that the
// administrator is shown that line of the file.
type AttrError struct {
	Attr string // as written in the file: "max_size"
	Msg  string // what is wrong and what to write: "must be at least 64KiB"
	Err  error  // the cause, may be nil
}

func (e *AttrError) Error() string {
	s := e.Attr + ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *AttrError) Unwrap() error { return e.Err }

// Listen opens a listening socket, shared with the instance that this one
// replaces on a reload. See [Sockets.Listen].
func (c *Context) Listen(address string) (net.Listener, error) {
	if c.Sockets == nil {
		c.Sockets = new(Sockets)
	}
	return c.Sockets.Listen(address)
}
