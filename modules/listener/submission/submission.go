// Package submission is the listener on which users and programs hand in their
// mail (RFC 6409), on port 587: STARTTLS first, then AUTH, then mail. Clients
// in a trusted network may send without either.
//
// What it speaks, promises and limits is described in package
// modules/listener/internal/smtpserver. RFC 8314, section 3.3 prefers
// implicit TLS: that is listener "submissions".
package submission

import (
	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/listener/internal/smtpserver"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindListener,
		Name:    "submission",
		Summary: "takes mail from users and programs that log in, on port 587 with STARTTLS",
		Example: `listener "submission" "apps" {
  address = ":587"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Listener is listener "submission".
type Listener struct {
	smtpserver.Settings
	smtpserver.Server
}

var (
	_ appliance.Listener       = (*Listener)(nil)
	_ appliance.Retirer        = (*Listener)(nil)
	_ appliance.NetworkTruster = (*Listener)(nil)
	_ appliance.Validator      = (*Listener)(nil)
)

// New returns a Listener with the defaults.
func New() *Listener { return &Listener{Settings: smtpserver.DefaultSettings(":587")} }

// Validate implements appliance.Validator: without a certificate nobody could
// log in, and without a trusted network nobody could send.
func (l *Listener) Validate() error {
	if err := l.Settings.Validate(); err != nil {
		return err
	}
	if !l.TLS.IsSet() && len(l.Trusted) == 0 {
		return &appliance.AttrError{Attr: "tls", Msg: "clients log in under TLS only: name a tls block, such as tls.own"}
	}
	return nil
}

// Provision implements appliance.Module.
func (l *Listener) Provision(ctx *appliance.Context) error {
	return l.Server.Provision(ctx, l.Settings, smtpserver.Role{Submission: true})
}
