// Package lmtp is the relay that hands mail to a server of mailboxes: relay
// "lmtp". It speaks LMTP (RFC 2033), the protocol of local delivery, as
// Dovecot and Cyrus have it, over a socket of this machine or over TCP.
//
// The difference to SMTP is who is responsible for what: after the content the
// server says for each recipient whether the message is in its mailbox, so that
// one full mailbox keeps nobody else's mail waiting, and no server behind it
// sends a report. A sender who asked for one (NOTIFY=SUCCESS) is told "delivered"
// by us (RFC 3461, section 5.3).
//
// A server that cannot be reached, or that sends us away before it has heard of
// a message, is a mistake of the configuration or at rest for a while: the mail
// waits. What it says about a recipient is taken as it is.
//
// LMTP is no protocol for strangers (RFC 2033, section 3): use it on this
// machine, or in a network of your own.
package lmtp

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/hostaddr"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRelay,
		Name:    "lmtp",
		Summary: "puts mail into the mailboxes of Dovecot, Cyrus or another server of LMTP",
		Example: `relay "lmtp" "dovecot" {
  address = "unix:/run/dovecot/lmtp"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// LMTP is the block relay "lmtp".
type LMTP struct {
	// Where the server is: "unix:/run/dovecot/lmtp" for a socket of this
	// machine, or a host and a port, as "127.0.0.1:24".
	Address string `hcl:"address"`
	// "opportunistic": STARTTLS where it is offered and works. "verified":
	// STARTTLS with a valid certificate for the server's name. "required":
	// STARTTLS with any certificate. "none": plain text, which is all that a
	// socket can do. Default: "none" for a socket, otherwise "opportunistic".
	TLS string `hcl:"tls,optional"`
	// How long to wait for a connection. Default 30s.
	ConnectTimeout time.Duration `hcl:"connect_timeout,optional"`
	// How long a connection is kept open for the next message. Default 20s,
	// at most 5m.
	Idle time.Duration `hcl:"idle,optional"`

	where    endpoint
	resolver appliance.Resolver
	pool     *smtpconn.Pool
}

// Interface guards.
var (
	_ appliance.Relay     = (*LMTP)(nil)
	_ appliance.Validator = (*LMTP)(nil)
	_ appliance.Starter   = (*LMTP)(nil)
)

// New returns an LMTP with the defaults.
func New() *LMTP { return &LMTP{ConnectTimeout: 30 * time.Second, Idle: 20 * time.Second} }

// An endpoint is the address, taken apart: a path, or a host and its port.
type endpoint struct {
	path string
	host string
	port uint16
	tls  smtpconn.TLSMode
}

// Validate implements appliance.Validator.
func (l *LMTP) Validate() error {
	if _, err := l.endpoint(); err != nil {
		return err
	}
	switch {
	case l.ConnectTimeout < time.Second || l.ConnectTimeout > 5*time.Minute:
		return &appliance.AttrError{Attr: "connect_timeout", Msg: `must be between "1s" and "5m"`}
	case l.Idle < time.Second || l.Idle > 5*time.Minute:
		return &appliance.AttrError{Attr: "idle", Msg: `must be between "1s" and "5m"`}
	}
	return nil
}

// endpoint parses the address. The error is an AttrError.
func (l *LMTP) endpoint() (e endpoint, err error) {
	path, isPath := strings.CutPrefix(l.Address, "unix:")
	if isPath {
		e.path = path
		if !filepath.IsAbs(path) {
			return e, &appliance.AttrError{Attr: "address", Msg: `needs a path from the root, such as "unix:/run/dovecot/lmtp"`}
		}
	} else if e.host, e.port, err = splitAddress(l.Address); err != nil {
		return e, &appliance.AttrError{Attr: "address", Msg: err.Error()}
	}
	switch {
	case isPath && l.TLS != "" && l.TLS != string(smtpconn.TLSNone):
		return e, &appliance.AttrError{Attr: "tls", Msg: `is of no use with a socket: nobody listens between two processes; leave it out`}
	case isPath:
		e.tls = smtpconn.TLSNone
	case l.TLS == "":
		e.tls = smtpconn.TLSOpportunistic
	default:
		e.tls, err = smtpconn.ParseTLSMode(l.TLS, smtpconn.TLSOpportunistic, smtpconn.TLSVerified, smtpconn.TLSRequired, smtpconn.TLSNone)
	}
	if err != nil {
		return e, &appliance.AttrError{Attr: "tls", Msg: err.Error()}
	}
	return e, nil
}

// splitAddress parses "host:port". RFC 2033, section 5: there is no port of
// LMTP, and it must not be 25.
func splitAddress(text string) (string, uint16, error) {
	wrong := fmt.Errorf(`%q is not the address of a server; write "unix:/run/dovecot/lmtp" or "127.0.0.1:24"`, text)
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, wrong
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, wrong
	}
	if n == 25 {
		return "", 0, errors.New(`has port 25, where servers speak SMTP and not LMTP; write the port of its LMTP service, often 24, or use relay "smarthost"`)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), uint16(n), nil
	}
	name, err := appliance.ParseDomain(strings.TrimSuffix(host, "."))
	if err != nil || strings.HasPrefix(name, "[") {
		return "", 0, wrong
	}
	return name, uint16(n), nil
}

// Provision implements appliance.Module.
func (l *LMTP) Provision(ctx *appliance.Context) (err error) {
	if l.where, err = l.endpoint(); err != nil {
		return err
	}
	cfg := smtpconn.Config{
		Hello:      ctx.Hostname,
		LMTP:       true,
		Configured: true,
		Timeouts:   smtpconn.Timeouts{Connect: l.ConnectTimeout},
		Idle:       l.Idle,
		Log:        ctx.Log,
		Metrics:    ctx.Metrics,
	}
	if path := l.where.path; path != "" {
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	l.resolver = ctx.Resolver
	if l.resolver == nil {
		l.resolver = net.DefaultResolver
	}
	l.pool = smtpconn.NewPool(cfg)
	return nil
}

// Start implements appliance.Starter.
func (l *LMTP) Start(context.Context) error { return nil }

// Stop implements appliance.Starter: it closes the connections.
func (l *LMTP) Stop(ctx context.Context) error { return l.pool.Stop(ctx) }

// HonoursRequireTLS implements [appliance.TLSAssurer]: a socket has no network
// to protect a message from.
func (l *LMTP) HonoursRequireTLS() bool {
	e, err := l.endpoint()
	return err == nil && (e.path != "" || e.tls.Verifies())
}

// NextHop implements appliance.Relay: it is the same for everybody.
func (l *LMTP) NextHop(appliance.Mailbox) string { return l.Address }

// Deliver implements appliance.Relay.
func (l *LMTP) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	return l.pool.Deliver(ctx, env, msg, l.targets(ctx))
}

// targets are the addresses of the server.
func (l *LMTP) targets(ctx context.Context) iter.Seq2[smtpconn.Target, *smtpconn.Failure] {
	return func(yield func(smtpconn.Target, *smtpconn.Failure) bool) {
		if l.where.path != "" {
			yield(smtpconn.Target{Name: "localhost", TLS: smtpconn.TLSNone}, nil)
			return
		}
		ips, err := hostaddr.Lookup(ctx, l.resolver, l.where.host)
		if err != nil {
			r := appliance.Replyf(451, 4, 3, "The LMTP server %s cannot be looked up at the moment", l.where.host).With(err)
			yield(smtpconn.Target{}, smtpconn.NewFailure(l.where.host, r))
			return
		}
		for _, ip := range ips {
			t := smtpconn.Target{Name: l.where.host, Addr: netip.AddrPortFrom(ip.Unmap(), l.where.port), TLS: l.where.tls}
			if !yield(t, nil) {
				return
			}
		}
	}
}
