// Package mx is the relay that delivers to the mail exchangers of the
// recipient's domain: relay "mx".
//
// Where a domain's mail goes is looked up for every attempt (RFC 5321,
// section 5.1; RFC 7505):
//
//	MX records       their hosts, by preference, equals in random order
//	no MX record     the domain itself is the host
//	"MX 0 ."         the domain takes no mail: 556, permanent
//	no such domain   550, permanent
//	anything else    SERVFAIL, time-out: 451, the next attempt may know more
//
// Hosts are tried in turn, and the addresses of each in the order of
// ip_versions, until one takes the message. [smtpconn] has the details.
//
// With send_from blocks all of that is done from the first address of each family
// of ours; if nobody has answered MAIL, once more from the second ones, and so on.
// A receiver that has blocked one address of ours can still be reached by another:
// what it answers to MAIL, RCPT or the content is looked at too, and if it is
// about our reputation ([appliance.ClassReputation]) and nobody has got the
// message, the others are next. That is remembered for an hour, by site.
//
// Mail never goes where only a mistake or an attack can send it: not to this
// server itself, and not to loopback, private, link-local or other special
// addresses, unless allow_networks names them. The address is checked once
// more when it is dialled. If we are one of the mail exchangers, only better
// ones are tried; if there are none, the message is in a loop (5.4.6).
//
// # TLS
//
// What TLS must be like is decided for each mail exchanger, by the first of
// these that has something to say:
//
//	domain blocks  what the administrator wants for the domain
//	DANE           the exchanger has TLSA records that DNSSEC vouches for: TLS
//	               with one of their certificates (RFC 7672)
//	MTA-STS        the domain enforces a policy: only the exchangers in it, and
//	               only TLS with a valid certificate (RFC 8461)
//	tls            "opportunistic" unless the file says otherwise
//
// What the first three demand is met or the mail waits: there is no plain text
// and no other exchanger instead, and a look-up that fails is no permission.
//
// Opportunistic means that TLS is used where it is offered, and that the
// message goes in plain text where it fails, as many of the world's mail
// exchangers have certificates that prove nothing (RFC 7435). What it learns is
// remembered, over restarts too: an address whose handshake failed is spared it
// for an hour, and a host that once had a valid certificate nobody had asked
// for is missed when it has no TLS any more. That is logged, and not
// acted on unless tls_downgrade says so: mail servers do change hands, and a
// guess of ours is no policy of theirs.
//
// A receiver that asks for a certificate is shown that of client_certificate;
// few ask, and fewer do anything with it.
//
// # Fallback
//
// What cannot be delivered like this can go to another relay in the same
// attempt, such as a smarthost whose addresses have a better name: see
// [fallback.Settings]. The queue does it, as it knows the number of the attempt and what
// an answer is about.
package mx

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/internal/tlsrpt"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/fallback"
	"github.com/waxwing-mail/waxwing/modules/relay/internal/limits"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRelay,
		Name:    "mx",
		Summary: "delivers to the mail exchangers of the recipient's domain",
		Example: `relay "mx" "internet" {
  tls         = "opportunistic"
  ip_versions = ["ipv4", "ipv6"]
}
`,
		New: func() appliance.Module { return New() },
	})
}

// MX is the block relay "mx".
type MX struct {
	// "opportunistic": TLS where the receiver offers it, plain text where it
	// does not or where it fails. "required": TLS or no delivery, whatever
	// the certificate. "verified": TLS with a valid certificate for the name
	// of the mail exchanger, or no delivery. "none": never TLS.
	// Default "opportunistic".
	TLS string `hcl:"tls,optional"`
	// Whether to honour the TLSA records of mail exchangers (DANE, RFC 7672):
	// TLS with the certificate they name, or no delivery. Without a resolver
	// whose DNSSEC can be relied on it is not used, and the log says why.
	// Default true.
	DANE bool `hcl:"dane,optional"`
	// Whether to honour the MTA-STS policies of domains (RFC 8461): if one is
	// enforced, mail goes to the exchangers in it, by TLS with a valid certificate,
	// or not at all. Default true.
	MTASTS bool `hcl:"mta_sts,optional"`
	// What to do when a mail exchanger that had TLS with a valid certificate
	// within 30 days has none: "warn" logs it and delivers in plain text,
	// "defer" keeps the mail. A domain block with tls = "opportunistic" exempts
	// a domain. Default "warn".
	TLSDowngrade string `hcl:"tls_downgrade,optional"`
	// A file with the certificates, in PEM, of the authorities that may vouch
	// for mail exchangers and for hosts of MTA-STS policies. Default: those of
	// the system.
	CAFile string `hcl:"ca_file,optional"`
	// What TLS must be like for single domains. The label is the domain.
	Domains []Domain `hcl:"domain,block"`
	certs.ClientSettings
	// The addresses of this machine to send from, at most one of each family:
	// ["203.0.113.7", "2001:db8::7"]. A family without an address here is not
	// used. Default: what the system chooses.
	Source []string `hcl:"source,optional"`
	// The addresses of this machine to send from, several of each family if
	// need be, each with a name of its own. The label is the address. The first
	// ones of each family are used; the others when these get nowhere, or when a
	// receiver refuses them because of their reputation. Instead of source.
	// Default: source, or what the system chooses.
	SendFrom []SendFrom `hcl:"send_from,block"`
	// The address families to use, the preferred one first. Large receivers
	// are stricter with IPv6: they want a PTR record for it.
	// Default ["ipv4", "ipv6"].
	IPVersions []string `hcl:"ip_versions,optional"`
	// Networks, or single addresses, that mail may go to although they are
	// private or our own: ["10.0.0.0/8"]. Anybody can publish an MX record that points into them.
	// Default: none.
	AllowNetworks []string `hcl:"allow_networks,optional"`
	// The port of the mail exchangers. Anything but the default, 25, is for tests.
	Port int `hcl:"port,optional"`
	// How long to wait for a TCP connection before the next address is tried.
	// Default 30s.
	ConnectTimeout time.Duration `hcl:"connect_timeout,optional"`
	// How long a connection is kept open for the next message. Default 20s,
	// at most 5m.
	Idle time.Duration `hcl:"idle,optional"`
	// Whether messages go by BDAT to servers that offer CHUNKING (RFC 3030),
	// which saves a round trip. A server that fails with it gets DATA for a day
	// by itself; false is for a network whose firewalls break it. Default true.
	Chunking bool `hcl:"chunking,optional"`
	limits.RelayLimits
	// What the mail servers of single companies take. The label is the name of
	// the provider. Default: what comes with Waxwing, as docs/relays.md says.
	Providers []Provider `hcl:"provider,block"`
	// A file, in JSON, with what is known of providers, in place of what comes
	// with Waxwing: a list of {"name", "mx", "connections", "rate",
	// "messages_per_connection", "tls"}, as in the provider blocks, which still
	// change what they name. Default: what comes with Waxwing.
	ProvidersFile string `hcl:"providers_file,optional"`
	// How to begin with addresses that have not sent mail before: with little for
	// each site, and more from day to day. Default: with all there is.
	Warmup *Warmup `hcl:"warmup,block"`
	// Another relay for what cannot be delivered directly: after so many
	// attempts, or because of what was answered. Default: none.
	Fallback *fallback.Settings `hcl:"fallback,block"`
	// Daily reports to domains that want to know how TLS with their mail
	// servers went (TLSRPT, RFC 8460). Default: nothing is counted or sent.
	TLSReports *TLSReports `hcl:"tls_reports,block"`

	hostname  string
	log       *zap.Logger
	mode      smtpconn.TLSMode
	overrides map[string]override // by domain, or "*." and the domain above
	resolver  appliance.Querier
	guard     guard
	sources   sources
	families  []string // in use, the preferred one first: "ip4", "ip6"
	unused    []string // the others
	pool      *smtpconn.Pool

	providers providers
	warmup    *warmupPlan // nil: no limit
	refusals  refusals

	roots      *x509.CertPool // nil: those of the system
	values     appliance.Values
	policies   *mtasts.Cache
	policyPort int // of web servers; 0 is 443
	counted    *prometheus.CounterVec
	memory     *memory
	reporter   *tlsrpt.Reporter // nil: nobody
	saver      sync.WaitGroup
	stopped    chan struct{}
}

// Interface guards.
var (
	_ appliance.Relay     = (*MX)(nil)
	_ appliance.Validator = (*MX)(nil)
	_ appliance.Starter   = (*MX)(nil)
)

// New returns an MX with the defaults.
func New() *MX {
	return &MX{
		TLS:            string(smtpconn.TLSOpportunistic),
		DANE:           true,
		MTASTS:         true,
		TLSDowngrade:   downgradeWarn,
		IPVersions:     []string{ipv4, ipv6},
		Port:           25,
		ConnectTimeout: 30 * time.Second,
		Idle:           20 * time.Second,
		Chunking:       true,
	}
}

// The values of MX.IPVersions.
const (
	ipv4 = "ipv4"
	ipv6 = "ipv6"
)

// Validate implements appliance.Validator.
func (m *MX) Validate() error {
	if err := m.Check(); err != nil {
		return err
	}
	if _, err := m.tlsMode(); err != nil {
		return &appliance.AttrError{Attr: "tls", Msg: err.Error()}
	}
	if m.TLSDowngrade != downgradeWarn && m.TLSDowngrade != downgradeDefer {
		return &appliance.AttrError{Attr: "tls_downgrade", Msg: fmt.Sprintf(`%q: write "warn" or "defer"`, m.TLSDowngrade)}
	}
	if _, err := parseDomains(m.Domains); err != nil {
		return &appliance.AttrError{Attr: "domain", Msg: err.Error()}
	}
	if m.ProvidersFile == "" { // else Provision reads it
		if err := m.openProviders(); err != nil {
			return err
		}
	}
	if err := m.Warmup.validate(); err != nil {
		return err
	}
	if err := m.Fallback.Validate(); err != nil {
		return err
	}
	if err := m.TLSReports.validate(); err != nil {
		return err
	}
	if err := m.ClientSettings.Validate(); err != nil {
		return err
	}
	sources, err := m.parseSources()
	if err != nil {
		return err
	}
	if _, err := parseNetworks(m.AllowNetworks); err != nil {
		return &appliance.AttrError{Attr: "allow_networks", Msg: err.Error()}
	}
	for i, v := range m.IPVersions {
		if v != ipv4 && v != ipv6 || slices.Contains(m.IPVersions[:i], v) {
			return &appliance.AttrError{Attr: "ip_versions", Msg: fmt.Sprintf(`%q: write "ipv4", "ipv6" or both, each once`, v)}
		}
	}
	used, _ := split(m.IPVersions, sources)
	switch {
	case m.HasClientCertificate() && m.TLS == string(smtpconn.TLSNone):
		return &appliance.AttrError{Attr: "client_certificate", Msg: `is never shown with tls = "none"; leave one of them out`}
	case len(m.IPVersions) == 0:
		return &appliance.AttrError{Attr: "ip_versions", Msg: `must name "ipv4", "ipv6" or both`}
	case len(used) == 0:
		return &appliance.AttrError{Attr: m.sourceAttr(), Msg: "has no address of a family in ip_versions; add one, or leave it out"}
	case m.Port < 1 || m.Port > 65535:
		return &appliance.AttrError{Attr: "port", Msg: "must be between 1 and 65535; mail exchangers listen on 25"}
	case m.ConnectTimeout < time.Second || m.ConnectTimeout > 5*time.Minute:
		return &appliance.AttrError{Attr: "connect_timeout", Msg: `must be between "1s" and "5m"`}
	case m.Idle < time.Second || m.Idle > 5*time.Minute:
		return &appliance.AttrError{Attr: "idle", Msg: `must be between "1s" and "5m"`}
	}
	return nil
}

func (m *MX) tlsMode() (smtpconn.TLSMode, error) {
	return smtpconn.ParseTLSMode(m.TLS, smtpconn.TLSOpportunistic, smtpconn.TLSRequired, smtpconn.TLSVerified, smtpconn.TLSNone)
}

// Provision implements appliance.Module.
func (m *MX) Provision(ctx *appliance.Context) error {
	allowed, err := parseNetworks(m.AllowNetworks)
	if err != nil {
		return err
	}
	if m.mode, err = m.tlsMode(); err != nil {
		return err
	}
	if m.sources, err = m.parseSources(); err != nil {
		return err
	}
	m.families, m.unused = split(m.IPVersions, m.sources)
	m.hostname = ctx.Hostname
	if err := m.openProviders(); err != nil {
		return err
	}
	if m.warmup, err = m.Warmup.plan(); err != nil {
		return err
	}
	if m.overrides, err = parseDomains(m.Domains); err != nil {
		return err
	}
	if m.roots, err = m.authorities(); err != nil {
		return err
	}
	m.log = cmp.Or(ctx.Log, zap.NewNop())
	m.resolver = querier(net.DefaultResolver)
	if ctx.Resolver != nil {
		m.resolver = querier(ctx.Resolver)
	}
	m.values, m.memory, m.counted = ctx.Values, newMemory(), newPolicyMetric(ctx.Metrics)
	m.stopped = make(chan struct{})
	m.policies = m.newPolicies(ctx.Values)
	m.guard = guard{allowed: allowed, own: interfaceAddrs}
	if m.reporter, err = m.newReporter(ctx); err != nil {
		return err
	}
	certificate, err := m.OpenClientCertificate(m.log, ctx.Metrics)
	if err != nil {
		return err
	}
	cfg := smtpconn.Config{
		Hello:             ctx.Hostname,
		RefuseSelf:        true,
		TLS:               &tls.Config{RootCAs: m.roots},
		Observe:           m.observe,
		ClientCertificate: certificate,
		Dial:              m.dial,
		DialFrom:          m.dialFrom,
		Timeouts:          smtpconn.Timeouts{Connect: m.ConnectTimeout},
		Idle:              m.Idle,
		NoChunking:        !m.Chunking,
		Log:               ctx.Log,
		Metrics:           ctx.Metrics,
	}
	if m.sources.choice() {
		cfg.Blames, cfg.ObserveSource = blames, m.observeSource
	}
	m.pool = smtpconn.NewPool(cfg)
	return nil
}

// Start implements appliance.Starter.
func (m *MX) Start(ctx context.Context) error {
	m.sayDANE()
	m.remember(ctx)
	if m.reporter != nil {
		m.reporter.Start()
	}
	return nil
}

// Stop implements appliance.Starter: it closes the connections.
func (m *MX) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, m.policies.Stop)() // a delivery may be waiting for a policy
	err := m.pool.Stop(ctx)
	m.policies.Stop()
	if m.reporter != nil {
		m.reporter.Stop()
	}
	close(m.stopped)
	m.saver.Wait()
	return err
}

// NextHop implements appliance.Relay: it is the domain.
func (m *MX) NextHop(to appliance.Mailbox) string { return to.Domain }

// Deliver implements appliance.Relay.
func (m *MX) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message) []appliance.Result {
	if len(env.Recipients) == 0 {
		return nil
	}
	d := m.destination(&env, msg)
	d.site = m.siteOf(ctx, d.domain)
	ctx = context.WithValue(ctx, destinationKey{}, d)
	return m.pool.Deliver(ctx, env, msg, m.targets(ctx, env.Recipients[0].Mailbox, d))
}

var errRequireTLS = appliance.NewReply(550, 7, 30, "The sender requires TLS all the way, which cannot be assured for this domain; send it without REQUIRETLS")

func parseNetworks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := appliance.ParseNetwork(s)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
