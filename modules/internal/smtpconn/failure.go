package smtpconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Failure is why a server could not be used. It concerns every recipient
// that the server had not answered for.
type Failure struct {
	Result appliance.Result
	// Stop says that no further server may be tried.
	Stop bool
	// Transcript is the conversation up to here; it holds no secrets.
	Transcript string

	handshake bool // the TLS handshake failed
	ambiguous bool // the message may have been delivered all the same
}

// NewFailure says that host could not be used because of r.
func NewFailure(host string, r *appliance.Reply) *Failure {
	return &Failure{Result: appliance.Result{Reply: *r, Host: host}}
}

func (f *Failure) Error() string {
	s := f.Result.Reply.Error()
	if f.Result.Host != "" {
		s = f.Result.Host + ": " + s
	}
	return s
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return &f.Result.Reply }

// asFailure is for errors of this package, which are all failures.
func asFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return NewFailure("", appliance.ReplyTo(err))
}

// lost explains an error of the network or of the protocol to the sender of a
// message. All of them are temporary.
func lost(ctx context.Context, host string, at stage, err error) *appliance.Reply {
	var r *appliance.Reply
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		r = appliance.NewReply(451, 3, 2, "Delivery was interrupted here and will be tried again")
	case errors.Is(err, errProtocol):
		r = appliance.Replyf(451, 5, 0, "%s broke the SMTP protocol at %s", host, at)
	case timedOut(err), errors.Is(ctx.Err(), context.DeadlineExceeded):
		r = appliance.Replyf(451, 4, 2, "%s did not answer in time at %s", host, at)
	default:
		r = appliance.Replyf(451, 4, 2, "Connection to %s was lost at %s", host, at)
	}
	return r.With(fmt.Errorf("%s: %w", at, err))
}

// unreachable explains why there is no connection.
func unreachable(ctx context.Context, host string, err error) *appliance.Reply {
	if r, ok := errors.AsType[*appliance.Reply](err); ok {
		return r.With(err) // of a guard in Config.Dial
	}
	why := "no connection"
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return lost(ctx, host, stageConnect, err)
	case timedOut(err):
		why = "connection timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		why = "network unreachable"
	}
	return appliance.Replyf(451, 4, 1, "%s: %s", host, why).With(err)
}

func timedOut(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
