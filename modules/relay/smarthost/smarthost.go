// Package smarthost is the relay that hands all mail to one server, which
// delivers it further: relay "smarthost". A provider's submission server is
// one, and so is the mail gateway of a company.
//
// The addresses are tried in the order of the file, and those of a host name
// in the order of the resolver.
//
// # Passwords
//
// A user name and a password never travel in plain text, and by default only
// to a server that has proved its name. The one exception is a server on this
// machine, with tls = "none".
//
// # Client certificates
//
// A certificate of our own (client_certificate, client_key) is shown to a
// smarthost that asks for one. Some need no more to know us, such as Postfix
// with relay_clientcerts; others want AUTH EXTERNAL (RFC 4422, appendix A) on
// top of it, which authenticate = "external" does. It is never shown without
// TLS, so that with a certificate TLS is a must. A smarthost that refuses the
// certificate keeps the mail waiting, as one that refuses a password.
//
// # What is a mistake of the configuration
//
// A smarthost that does not exist, refuses our credentials, or sends us away
// before it has heard of a message says nothing about the message. All of
// that is temporary, and logged as an error: the mail waits until the
// configuration, or the smarthost, is right again. What the smarthost says
// about a sender, a recipient or the content is taken as it is.
//
// # Fallback
//
// What this smarthost does not deliver can go to another relay in the same
// attempt: see [fallback.Settings]. A second server of the same provider is no
// such case: it stands in addresses.
package smarthost

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/hostaddr"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/limits"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRelay,
		Name:    "smarthost",
		Summary: "hands all mail to one server that delivers it further",
		Example: `relay "smarthost" "provider" {
  address  = "smtp.example.net:587"
  username = "app@example.com"
  password = env("SMARTHOST_PASSWORD", "change me")
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Smarthost is the block relay "smarthost".
type Smarthost struct {
	// Where the server is: "smtp.example.net:587", "192.0.2.1:25" or
	// "[2001:db8::1]:25". Without a port it is 587 (RFC 6409).
	Address string `hcl:"address,optional"`
	// Several servers instead of address, tried in this order.
	Addresses []string `hcl:"addresses,optional"`
	// The user name, for AUTH PLAIN or LOGIN. Default: no authentication.
	// With authenticate = "external", whom to log in as, if the certificate
	// does not say it alone.
	Username string `hcl:"username,optional"`
	// The password that belongs to username.
	Password appliance.Secret `hcl:"password,optional"`
	// How to log in: "password" with username and password, or "external" with
	// client_certificate, for a server that offers AUTH EXTERNAL. A server that
	// knows the certificate without AUTH, such as Postfix with
	// relay_clientcerts, needs neither. Default: "password" with a username.
	Authenticate string `hcl:"authenticate,optional"`
	certs.ClientSettings
	limits.RelayLimits
	// "verified": STARTTLS with a valid certificate for the server's name.
	// "implicit": the same from the first octet on, as on port 465.
	// "required": STARTTLS with any certificate. "opportunistic": STARTTLS
	// where it is offered and works. "none": plain text.
	// Default: "implicit" on port 465, "verified" with a username, a
	// client_certificate, a ca_file or a server_name, "opportunistic" otherwise.
	TLS string `hcl:"tls,optional"`
	// A file with the certificates, in PEM, of the authorities that may vouch
	// for the server. Default: those of the system.
	CAFile string `hcl:"ca_file,optional"`
	// The name in the server's certificate, if it is not that in address.
	ServerName string `hcl:"server_name,optional"`
	// How long to wait for a TCP connection before the next address is tried.
	// Default 30s.
	ConnectTimeout time.Duration `hcl:"connect_timeout,optional"`
	// How long a connection is kept open for the next message. Default 20s,
	// at most 5m.
	Idle time.Duration `hcl:"idle,optional"`
	// Another relay for what the smarthost does not deliver: after so many
	// attempts, or because of what was answered. Default: none.
	Fallback *fallback.Settings `hcl:"fallback,block"`
	// Whether messages go by BDAT to servers that offer CHUNKING (RFC 3030),
	// which saves a round trip. A server that fails with it gets DATA for a day
	// by itself; false is for one that mistakes something else
	// for it, or loses mail. Default true.
	Chunking bool `hcl:"chunking,optional"`

	hosts    []endpoint
	resolver appliance.Resolver
	log      *zap.Logger
	pool     *smtpconn.Pool
}

// Interface guards.
var (
	_ appliance.FallbackRelay = (*Smarthost)(nil)
	_ appliance.Validator     = (*Smarthost)(nil)
	_ appliance.Starter       = (*Smarthost)(nil)
)

// New returns a Smarthost with the defaults.
func New() *Smarthost {
	return &Smarthost{ConnectTimeout: 30 * time.Second, Idle: 20 * time.Second, Chunking: true}
}

// Validate implements appliance.Validator.
func (s *Smarthost) Validate() error {
	if err := s.Check(); err != nil {
		return err
	}
	hosts, err := s.endpoints()
	if err != nil {
		return err
	}
	if err := s.validateLogin(hosts); err != nil {
		return err
	}
	if err := s.validateCertificate(hosts); err != nil {
		return err
	}
	if err := s.Fallback.Validate(); err != nil {
		return err
	}
	for _, h := range hosts {
		if !h.tls.Verifies() && (s.CAFile != "" || s.ServerName != "") {
			return &appliance.AttrError{Attr: "tls", Msg: fmt.Sprintf(`%q does not verify certificates, so that ca_file and server_name are of no use; write "verified" or "implicit"`, h.tls)}
		}
	}
	switch {
	case s.ConnectTimeout < time.Second || s.ConnectTimeout > 5*time.Minute:
		return &appliance.AttrError{Attr: "connect_timeout", Msg: `must be between "1s" and "5m"`}
	case s.Idle < time.Second || s.Idle > 5*time.Minute:
		return &appliance.AttrError{Attr: "idle", Msg: `must be between "1s" and "5m"`}
	}
	return nil
}

// Provision implements appliance.Module.
func (s *Smarthost) Provision(ctx *appliance.Context) (err error) {
	if s.hosts, err = s.endpoints(); err != nil {
		return err
	}
	s.log = cmp.Or(ctx.Log, zap.NewNop())
	cfg := smtpconn.Config{
		Hello:      ctx.Hostname,
		Configured: true,
		Timeouts:   smtpconn.Timeouts{Connect: s.ConnectTimeout},
		Idle:       s.Idle,
		NoChunking: !s.Chunking,
		Log:        s.log,
		Metrics:    ctx.Metrics,
	}
	if cfg.TLS, err = s.authorities(); err != nil {
		return err
	}
	if cfg.ClientCertificate, err = s.OpenClientCertificate(s.log, ctx.Metrics); err != nil {
		return err
	}
	cfg.Login = s.login()
	s.resolver = ctx.Resolver
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	s.pool = smtpconn.NewPool(cfg)
	return nil
}

// Start implements appliance.Starter.
func (s *Smarthost) Start(context.Context) error { return nil }

// Stop implements appliance.Starter: it closes the connections.
func (s *Smarthost) Stop(ctx context.Context) error { return s.pool.Stop(ctx) }

// HonoursRequireTLS implements [appliance.TLSAssurer]: a server that does not
// have to prove who it is cannot be one that assures anything.
func (s *Smarthost) HonoursRequireTLS() bool {
	hosts, err := s.endpoints()
	for _, h := range hosts {
		if !h.tls.Verifies() {
			return false
		}
	}
	return err == nil
}

// NextHop implements appliance.Relay: it is the same for everybody.
func (s *Smarthost) NextHop(appliance.Mailbox) string {
	hosts := s.hosts
	if len(hosts) == 0 { // not provisioned: somebody asks where mail would go
		hosts, _ = s.endpoints()
	}
	if len(hosts) == 0 {
		return ""
	}
	return hosts[0].String()
}

// Deliver implements appliance.Relay.
func (s *Smarthost) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	results := s.pool.Deliver(ctx, env, msg, s.targets(ctx))
	for i := range results {
		s.keep(&results[i])
	}
	return results
}

// Instead implements appliance.FallbackRelay.
func (s *Smarthost) Instead(attempt int, r *appliance.Result) (appliance.Ref[appliance.Relay], bool) {
	return s.Fallback.Instead(attempt, r)
}

// keep makes a result temporary if it asks for authentication (RFC 4954,
// section 6), which is not about the message.
func (s *Smarthost) keep(r *appliance.Result) {
	switch r.Reply.Code {
	case 530, 534, 538:
		said := r.Reply.String()
		s.log.Error("the smarthost wants authentication; set username and password, or a client_certificate that it knows", zap.String("host", r.Host), zap.String("reply", said))
		r.Reply = *appliance.Replyf(451, 7, 0, "The smarthost wants authentication: %s", said)
		r.Remote = false
	}
}

// targets are the addresses of all endpoints in turn.
func (s *Smarthost) targets(ctx context.Context) iter.Seq2[smtpconn.Target, *smtpconn.Failure] {
	return func(yield func(smtpconn.Target, *smtpconn.Failure) bool) {
		for _, e := range s.hosts {
			ips, err := hostaddr.Lookup(ctx, s.resolver, e.host)
			if err != nil {
				r := appliance.Replyf(451, 4, 3, "The smarthost %s cannot be looked up at the moment", e.host).With(err)
				if !yield(smtpconn.Target{}, smtpconn.NewFailure(e.host, r)) {
					return
				}
				continue
			}
			for _, ip := range ips {
				t := smtpconn.Target{
					Name: e.host, Addr: netip.AddrPortFrom(ip.Unmap(), e.port), TLS: e.tls, ServerName: s.ServerName,
				}
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// Site implements [appliance.SitedRelay]: a smarthost is one site, which has the
// limits of the relay.
func (s *Smarthost) Site(context.Context, string) (appliance.Site, error) {
	return appliance.Site{Limits: s.Limits()}, nil
}
