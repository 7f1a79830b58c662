// Package submissions is the listener on which users and programs hand in their
// mail with TLS from the first octet on (RFC 8314, section 3.3), on port 465:
// AUTH first, then mail. Clients in a trusted network may send without AUTH.
//
// What it speaks, promises and limits is described in package
// modules/listener/internal/smtpserver.
package submissions

import (
	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/listener/internal/smtpserver"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindListener,
		Name:    "submissions",
		Summary: "takes mail from users and programs that log in, on port 465 with TLS from the start",
		Example: `listener "submissions" "apps_tls" {
  address = ":465"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Listener is listener "submissions".
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
func New() *Listener { return &Listener{Settings: smtpserver.DefaultSettings(":465")} }

// Validate implements appliance.Validator.
func (l *Listener) Validate() error {
	if err := l.Settings.Validate(); err != nil {
		return err
	}
	if !l.TLS.IsSet() {
		return &appliance.AttrError{Attr: "tls", Msg: "this listener speaks TLS only: name a tls block, such as tls.own"}
	}
	return nil
}

// Provision implements appliance.Module.
func (l *Listener) Provision(ctx *appliance.Context) error {
	return l.Server.Provision(ctx, l.Settings, smtpserver.Role{Submission: true, ImplicitTLS: true})
}
