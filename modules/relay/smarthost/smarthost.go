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
// # What is a mistake of the configuration
//
// A smarthost that does not exist, refuses our credentials, or sends us away
// before it has heard of a message says nothing about the message. All of
// that is temporary, and logged as an error: the mail waits until the
// configuration, or the smarthost, is right again. What the smarthost says
// about a sender, a recipient or the content is taken as it is.
package smarthost

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
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
	Username string `hcl:"username,optional"`
	// The password that belongs to username.
	Password appliance.Secret `hcl:"password,optional"`
	// "verified": STARTTLS with a valid certificate for the server's name.
	// "implicit": the same from the first octet on, as on port 465.
	// "required": STARTTLS with any certificate. "opportunistic": STARTTLS
	// where it is offered and works. "none": plain text.
	// Default: "implicit" on port 465, "verified" with a username, a ca_file
	// or a server_name, "opportunistic" otherwise.
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

	hosts    []endpoint
	resolver appliance.Resolver
	log      *zap.Logger
	pool     *smtpconn.Pool
}

// Interface guards.
var (
	_ appliance.Relay     = (*Smarthost)(nil)
	_ appliance.Validator = (*Smarthost)(nil)
	_ appliance.Starter   = (*Smarthost)(nil)
)

// New returns a Smarthost with the defaults.
func New() *Smarthost {
	return &Smarthost{ConnectTimeout: 30 * time.Second, Idle: 20 * time.Second}
}

// Validate implements appliance.Validator.
func (s *Smarthost) Validate() error {
	hosts, err := s.endpoints()
	if err != nil {
		return err
	}
	if err := s.validateLogin(hosts); err != nil {
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

// validateLogin keeps passwords out of plain text.
func (s *Smarthost) validateLogin(hosts []endpoint) error {
	switch {
	case s.Username == "" && s.Password.IsSet():
		return &appliance.AttrError{Attr: "password", Msg: "needs a username"}
	case s.Username != "" && s.Password.Reveal() == "":
		return &appliance.AttrError{Attr: "username", Msg: `needs a password that is not empty, such as password = env("SMARTHOST_PASSWORD")`}
	case strings.ContainsAny(s.Username, "\x00\r\n"):
		return &appliance.AttrError{Attr: "username", Msg: "must not have line breaks or NULs"}
	case s.Username == "":
		return nil
	}
	for _, h := range hosts {
		switch h.tls {
		case smtpconn.TLSOpportunistic:
			return &appliance.AttrError{Attr: "tls", Msg: `"opportunistic" could send the password in plain text; write "verified", "implicit" or "required"`}
		case smtpconn.TLSNone:
			if !h.local() {
				return &appliance.AttrError{Attr: "tls", Msg: `"none" would send the password in plain text; write "verified", "implicit" or "required"`}
			}
		}
	}
	return nil
}

// An endpoint is one configured address.
type endpoint struct {
	host string // a name or an IP address
	port uint16
	tls  smtpconn.TLSMode
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }

// local says that the endpoint is this machine, whatever DNS says.
func (e endpoint) local() bool {
	ip, err := netip.ParseAddr(e.host)
	return err == nil && ip.IsLoopback() || e.host == "localhost"
}

// endpoints parses the addresses. The error is an AttrError.
func (s *Smarthost) endpoints() ([]endpoint, error) {
	attr, list := "addresses", s.Addresses
	if s.Address != "" || len(list) == 0 {
		attr, list = "address", []string{s.Address}
	}
	if s.Address != "" && len(s.Addresses) > 0 {
		return nil, &appliance.AttrError{Attr: "addresses", Msg: "stands beside address; write one of them"}
	}
	if list[0] == "" {
		return nil, &appliance.AttrError{Attr: attr, Msg: `is missing; write the server and its port, such as "smtp.example.net:587"`}
	}
	var all []endpoint
	for _, text := range list {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, &appliance.AttrError{Attr: attr, Msg: err.Error()}
		}
		if e.tls, err = s.mode(e.port); err != nil {
			return nil, &appliance.AttrError{Attr: "tls", Msg: err.Error()}
		}
		all = append(all, e)
	}
	return all, nil
}

// mode is the TLS mode for a port.
func (s *Smarthost) mode(port uint16) (smtpconn.TLSMode, error) {
	switch {
	case s.TLS != "":
		return smtpconn.ParseTLSMode(s.TLS, smtpconn.TLSVerified, smtpconn.TLSImplicit, smtpconn.TLSRequired,
			smtpconn.TLSOpportunistic, smtpconn.TLSNone)
	case port == 465: // RFC 8314, section 3.3
		return smtpconn.TLSImplicit, nil
	case s.Username != "", s.CAFile != "", s.ServerName != "":
		return smtpconn.TLSVerified, nil
	}
	return smtpconn.TLSOpportunistic, nil
}

// parseEndpoint parses "host:port", or a host alone with the port of
// submission.
func parseEndpoint(text string) (endpoint, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "587"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return endpoint{}, fmt.Errorf(`%q has no port between 1 and 65535; write "smtp.example.net:587"`, text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return endpoint{host: ip.String(), port: uint16(n)}, nil
	}
	name, err := appliance.ParseDomain(strings.TrimSuffix(host, "."))
	if err != nil || strings.HasPrefix(name, "[") {
		return endpoint{}, fmt.Errorf(`%q is not the name or the IP address of a server; write "smtp.example.net:587"`, text)
	}
	return endpoint{host: name, port: uint16(n)}, nil
}

// Provision implements appliance.Module.
func (s *Smarthost) Provision(ctx *appliance.Context) (err error) {
	if s.hosts, err = s.endpoints(); err != nil {
		return err
	}
	cfg := smtpconn.Config{
		Hello:      ctx.Hostname,
		Configured: true,
		Timeouts:   smtpconn.Timeouts{Connect: s.ConnectTimeout},
		Idle:       s.Idle,
		Log:        ctx.Log,
		Metrics:    ctx.Metrics,
	}
	if cfg.TLS, err = s.authorities(); err != nil {
		return err
	}
	if s.Username != "" {
		inClear := true
		for _, h := range s.hosts {
			inClear = inClear && h.local() && h.tls == smtpconn.TLSNone
		}
		cfg.Login = &smtpconn.Login{Username: s.Username, Password: s.Password, InClear: inClear}
	}
	s.resolver = ctx.Resolver
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	s.log = cmp.Or(ctx.Log, zap.NewNop())
	s.pool = smtpconn.NewPool(cfg)
	return nil
}

// maxCAFile bounds ca_file, in octets: all authorities of a system have some
// hundred kilobytes.
const maxCAFile = 16 << 20

// authorities reads ca_file. One that cannot be read is an error here, and
// never a certificate that is not verified later.
func (s *Smarthost) authorities() (*tls.Config, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	pem, err := localfile.Read(s.CAFile, maxCAFile)
	if err != nil {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "cannot be read", Err: err}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----"}
	}
	return &tls.Config{RootCAs: roots}, nil
}

// Start implements appliance.Starter.
func (s *Smarthost) Start(context.Context) error { return nil }

// Stop implements appliance.Starter: it closes the connections.
func (s *Smarthost) Stop(ctx context.Context) error { return s.pool.Stop(ctx) }

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

// keep makes a result temporary if it asks for authentication (RFC 4954,
// section 6), which is not about the message.
func (s *Smarthost) keep(r *appliance.Result) {
	switch r.Reply.Code {
	case 530, 534, 538:
		said := r.Reply.String()
		s.log.Error("the smarthost wants authentication; set username and password", zap.String("host", r.Host), zap.String("reply", said))
		r.Reply = *appliance.Replyf(451, 7, 0, "The smarthost wants authentication: %s", said)
		r.Remote = false
	}
}

// maxAddresses bounds the addresses of one host name that are tried.
const maxAddresses = 10

// targets are the addresses of all endpoints in turn.
func (s *Smarthost) targets(ctx context.Context) iter.Seq2[smtpconn.Target, *smtpconn.Failure] {
	return func(yield func(smtpconn.Target, *smtpconn.Failure) bool) {
		for _, e := range s.hosts {
			ips, err := s.lookup(ctx, e.host)
			if err != nil {
				r := appliance.Replyf(451, 4, 3, "The smarthost %s cannot be looked up at the moment", e.host).With(err)
				if !yield(smtpconn.Target{}, smtpconn.NewFailure(e.host, r)) {
					return
				}
				continue
			}
			for _, ip := range ips[:min(len(ips), maxAddresses)] {
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

func (s *Smarthost) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "localhost" { // RFC 6761, section 6.3: not a matter for DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	ips, err := s.resolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = errors.New("no address")
	}
	return ips, err
}
