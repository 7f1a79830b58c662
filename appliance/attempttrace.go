package appliance

import "context"

// An AttemptTrace is how a [Relay] tells what it does during Deliver, beyond
// its results, as net/http/httptrace does for HTTP. A relay that tells nothing
// is no worse a relay: its attempts are remembered by their results alone.
type AttemptTrace struct {
	// Tried is called after each server that was tried, in turn; never at the
	// same time as another call, and never after Deliver has returned.
	Tried func(Try)
}

type attemptTraceKey struct{}

// WithAttemptTrace returns a context whose Deliver tells t.
func WithAttemptTrace(ctx context.Context, t *AttemptTrace) context.Context {
	return context.WithValue(ctx, attemptTraceKey{}, t)
}

// TellTry tells the trace of ctx, if there is one, of a server that was tried.
func TellTry(ctx context.Context, t Try) {
	if trace, ok := ctx.Value(attemptTraceKey{}).(*AttemptTrace); ok && trace.Tried != nil {
		trace.Tried(t)
	}
}

// Traced says whether somebody listens to what is told of an attempt.
func Traced(ctx context.Context) bool {
	trace, ok := ctx.Value(attemptTraceKey{}).(*AttemptTrace)
	return ok && trace.Tried != nil
}
