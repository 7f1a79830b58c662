// Package discard is the relay that takes every message and throws it away:
// relay "discard". It is for load tests, for routes to domains that nobody
// reads, and for mail that must not leave. Each recipient is logged as
// delivered, with the reply "discarded".
package discard

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRelay,
		Name:    "discard",
		Summary: "throws mail away",
		Example: `relay "discard" "nowhere" {}
`,
		New: func() appliance.Module { return New() },
	})
}

// Discard is the block relay "discard". It has no attributes.
type Discard struct {
	messages, recipients prometheus.Counter
}

// Interface guard.
var _ appliance.Relay = (*Discard)(nil)

// New returns a Discard.
func New() *Discard { return new(Discard) }

// Provision implements appliance.Module.
func (d *Discard) Provision(ctx *appliance.Context) error {
	d.messages = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_relay_discarded_messages_total", Help: "Messages thrown away.",
	})
	d.recipients = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_relay_discarded_recipients_total", Help: "Recipients of messages thrown away.",
	})
	if ctx.Metrics != nil {
		ctx.Metrics.MustRegister(d.messages, d.recipients)
	}
	return nil
}

// HonoursRequireTLS implements [appliance.TLSAssurer]: nothing leaves.
func (*Discard) HonoursRequireTLS() bool { return true }

// NextHop implements appliance.Relay: it is the same for everybody.
func (*Discard) NextHop(appliance.Mailbox) string { return "discard" }

// Deliver implements appliance.Relay.
func (d *Discard) Deliver(_ context.Context, env appliance.Envelope, _ *appliance.Message) []appliance.Result {
	d.messages.Inc()
	d.recipients.Add(float64(len(env.Recipients)))
	return appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.NewReply(250, 0, 0, "discarded")})
}
