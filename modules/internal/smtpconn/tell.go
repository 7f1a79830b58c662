package smtpconn

import (
	"context"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// tellFailure tells the trace of an attempt of a server that was of no use.
func tellFailure(ctx context.Context, f *Failure, began time.Time) {
	r := &f.Result
	appliance.TellTry(ctx, appliance.Try{
		Host: r.Host, Peer: r.Peer, TLS: r.TLS, Took: time.Since(began), Reply: r.Reply, Dialogue: f.Transcript,
	})
}

// tell tells the trace of an attempt of a session: c has answered for the
// recipients in todo. The dialogue is of interest only if one of them is not
// served.
func (c *conn) tell(ctx context.Context, began time.Time, todo []int, outcomes []outcome) {
	if !appliance.Traced(ctx) {
		return
	}
	t := appliance.Try{Host: c.target.Name, Peer: c.peer, TLS: c.describeTLS(), Took: time.Since(began)}
	for _, i := range todo {
		if !outcomes[i].Reply.Positive() {
			t.Dialogue = c.log.String()
			break
		}
	}
	if o := firstBlamed(todo, outcomes); o != nil {
		t.Reply = o.Reply
	}
	appliance.TellTry(ctx, t)
}
