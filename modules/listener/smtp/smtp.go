// Package smtp is the listener for mail from other servers, on port 25: the
// mail exchanger. It offers STARTTLS and no AUTH; recipients are those that
// a rewrite of the pipeline claims, and any for clients in a trusted network.
//
// What it speaks, promises and limits is described in package
// modules/listener/internal/smtpserver. It serves no TLS session tickets:
// some sending servers fail on them.
package smtp

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/listener/internal/smtpserver"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindListener,
		Name:    "smtp",
		Summary: "takes mail from other servers on port 25, for the recipients that are ours",
		Example: `listener "smtp" "mx" {
  address = ":25"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Listener is listener "smtp".
type Listener struct {
	smtpserver.Settings
	smtpserver.Server
	// How long to wait before the greeting. Programs that send spam often do
	// not wait for it, and are refused. "5s" is usual; default 0s, which
	// refuses only what has come already.
	GreetDelay time.Duration `hcl:"greet_delay,optional"`
}

var (
	_ appliance.Listener       = (*Listener)(nil)
	_ appliance.Retirer        = (*Listener)(nil)
	_ appliance.NetworkTruster = (*Listener)(nil)
	_ appliance.Validator      = (*Listener)(nil)
)

// New returns a Listener with the defaults.
func New() *Listener { return &Listener{Settings: smtpserver.DefaultSettings(":25")} }

// maxGreetDelay is well below the 5 minutes that a client waits for the
// greeting (RFC 5321, section 4.5.3.2.1).
const maxGreetDelay = time.Minute

// Validate implements appliance.Validator.
func (l *Listener) Validate() error {
	if l.GreetDelay < 0 || l.GreetDelay > maxGreetDelay {
		return &appliance.AttrError{Attr: "greet_delay", Msg: `must be between "0s" and "1m"`}
	}
	return l.Settings.Validate()
}

// Provision implements appliance.Module.
func (l *Listener) Provision(ctx *appliance.Context) error {
	return l.Server.Provision(ctx, l.Settings, smtpserver.Role{Opportunistic: true, GreetDelay: l.GreetDelay})
}
