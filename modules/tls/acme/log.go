package acme

import (
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A refusal is an authority's, or our own, reason for no certificate.
type refusal struct {
	authority string // its key
	err       error
}

// quiet is where certmagic logs. All of it is for those who debug: what an
// administrator must know, the keepers say in their own words. But it is also
// the only place where certmagic says why an authority refused, if another was
// asked after it; so those errors are collected here.
type quiet struct {
	core zapcore.Core
	heard
}

type heard interface {
	refused(refusal)
}

// refusals collects what authorities say.
type refusals struct {
	mu  sync.Mutex
	all []refusal
}

func (r *refusals) refused(one refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

// list returns the last refusal of each authority, in the order in which they
// were asked.
func (r *refusals) list() []refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last []refusal
next:
	for _, one := range r.all {
		for i := range last {
			if last[i].authority == one.authority {
				last[i] = one
				continue next
			}
		}
		last = append(last, one)
	}
	return last
}

// quietly returns a logger for certmagic.
func quietly(log *zap.Logger, r *refusals) *zap.Logger {
	return zap.New(&quiet{log.Core(), r}).Named(log.Name()).Named("certmagic")
}

const refusedMessage = "could not get certificate from issuer"

func (q *quiet) Enabled(zapcore.Level) bool { return true }

func (q *quiet) With(fields []zapcore.Field) zapcore.Core {
	return &quiet{q.core.With(fields), q.heard}
}

func (q *quiet) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Message == refusedMessage || q.core.Enabled(zapcore.DebugLevel) {
		return ce.AddCore(e, q)
	}
	return ce
}

func (q *quiet) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Message == refusedMessage {
		q.refused(refusalOf(fields))
	}
	e.Level = zapcore.DebugLevel
	if ce := q.core.Check(e, nil); ce != nil {
		ce.Write(fields...)
	}
	return nil
}

func (q *quiet) Sync() error { return q.core.Sync() }

func refusalOf(fields []zapcore.Field) (r refusal) {
	for _, f := range fields {
		switch f.Key {
		case "issuer":
			r.authority = f.String
		case "error":
			r.err, _ = f.Interface.(error)
		}
	}
	return r
}
