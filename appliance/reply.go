package appliance

import (
	"errors"
	"fmt"
	"strings"
)

// A Reply is an SMTP reply, and the one form in which the outcome of handling
// mail travels through the appliance. It is an error unless it is 2yz.
//
// Text goes to a stranger: it says what to do, not what broke. Err goes to
// the log and never leaves the machine. A Reply is made where the reason is
// known and converted once, at the edge.
type Reply struct {
	Code   int    // RFC 5321, section 4.2: 200 to 599
	Detail Detail // RFC 3463; the class is Code's first digit and not stored
	Text   string // one line or several, separated by "\n"; ASCII, no CR
	Err    error  // the cause, for the log; may be nil
}

// Detail is an enhanced status code without its class: {7, 1} is x.7.1
// (RFC 3463, section 2).
type Detail struct{ Subject, Detail int }

// Class is the first digit of the code: 2, 4 or 5.
func (r *Reply) Class() int { return r.Code / 100 }

// Positive says that the command was carried out (2yz).
func (r *Reply) Positive() bool { return r.Class() == 2 }

// Temporary says that trying again later may help (4yz).
func (r *Reply) Temporary() bool { return r.Class() == 4 }

// Permanent says that the same command will fail again (5yz).
func (r *Reply) Permanent() bool { return r.Class() == 5 }

// Unwrap returns the cause.
func (r *Reply) Unwrap() error {
	if r == nil {
		return nil
	}
	return r.Err
}

// With returns a copy of r that carries the cause err.
func (r Reply) With(err error) *Reply { r.Err = err; return &r }

// Status is the enhanced status code with its class, "5.7.1".
func (r *Reply) Status() string {
	return fmt.Sprintf("%d.%d.%d", r.Class(), r.Detail.Subject, r.Detail.Detail)
}

// String is the reply as a client sees it, but on one line: "550 5.7.1 text".
func (r *Reply) String() string {
	return fmt.Sprintf("%d %s %s", r.Code, r.Status(), strings.ReplaceAll(r.Text, "\n", " "))
}

// Error is String and the cause; it is for logs.
func (r *Reply) Error() string {
	if r == nil { // an error that is not nil and holds a *Reply that is
		return "nil reply"
	}
	if r.Err != nil {
		return r.String() + ": " + r.Err.Error()
	}
	return r.String()
}

// NewReply makes a Reply: NewReply(550, 7, 1, "Sender not allowed").
func NewReply(code, subject, detail int, text string) *Reply {
	return &Reply{Code: code, Detail: Detail{subject, detail}, Text: text}
}

// Replyf is [NewReply] with a format. It is no place for %w: use With.
func Replyf(code, subject, detail int, format string, args ...any) *Reply {
	return NewReply(code, subject, detail, fmt.Sprintf(format, args...))
}

// ReplyTo turns any error into the reply to send for it, and nil into nil. An
// error that carries no Reply is our fault and temporary: the client keeps
// the message (RFC 5321, section 4.2.1). So is one whose Reply does not
// refuse: nobody must take a failure for a 250.
func ReplyTo(err error) *Reply {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Reply](err); ok && r != nil && (r.Temporary() || r.Permanent()) {
		if r.Err == nil && error(r) != err { //nolint:errorlint // is it wrapped at all?
			return r.With(err)
		}
		return r
	}
	return NewReply(451, 3, 0, "Local error, please try again later").With(err)
}
