package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindTLS,
		Name:    "acme",
		Summary: "certificates of Let's Encrypt and others that get and renew themselves",
		Example: `tls "acme" "letsencrypt" {
  email = "postmaster@example.com"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// ACME is the block tls "acme".
type ACME struct {
	certs.Settings
	// The address under which the authority may write to you. Default: none.
	Email string `hcl:"email,optional"`
	// The names to get certificates for, the default first; each gets its own.
	// "*.example.com" needs dns-01. Default: the host name of the server and
	// the names of the listeners that use this block.
	Names []string `hcl:"names,optional"`
	// How to prove that the names are ours: "http-01" (port 80 must reach this
	// server), "tls-alpn-01" (port 443 must), or "dns-01" alone. Default:
	// http-01 and tls-alpn-01, or dns-01 if dns is written.
	Challenges []string `hcl:"challenges,optional"`
	// The dns block that changes the zone for dns-01, such as dns.zone.
	DNS appliance.Ref[appliance.DNSProvider] `hcl:"dns,optional"`
	// For dns-01: the name that gets the record instead of
	// _acme-challenge.NAME, for zones that point to it with a CNAME record.
	OverrideDomain string `hcl:"override_domain,optional"`
	// For dns-01: how long to wait before looking for the record. Default 0s.
	PropagationDelay time.Duration `hcl:"propagation_delay,optional"`
	// For dns-01: how long to look for the record before giving up; "0s" does
	// not look at all. Default 2m.
	PropagationTimeout time.Duration `hcl:"propagation_timeout,optional"`
	// For dns-01: the DNS servers that are asked for the zone and the record,
	// such as "192.0.2.53:53". Default: those of the system for the zone, and
	// the zone's own for the record.
	Resolvers []string `hcl:"resolvers,optional"`
	// Where http-01 is answered, if a proxy hands port 80 on. Default ":80".
	HTTPAddress string `hcl:"http_address,optional"`
	// Where tls-alpn-01 is answered, if a proxy hands port 443 on without
	// ending TLS. Default ":443".
	TLSALPNAddress string `hcl:"tls_alpn_address,optional"`
	// Use Let's Encrypt's staging environment, to try things out: nobody
	// trusts its certificates. Default false.
	Staging bool `hcl:"staging,optional"`
	// Ask for passwords even while there is no certificate of an authority:
	// clients have been told to trust a self-signed one. Default false.
	SelfSigned bool `hcl:"self_signed,optional"`
	// The kind of private keys: "p256", "p384", "rsa2048" or "rsa4096". A key
	// of another kind is replaced at its next renewal. Default "p256".
	KeyType string `hcl:"key_type,optional"`
	// Renew with the same private key, so that a TLSA record 3 1 1 (DANE) stays
	// right. Default true.
	ReuseKey bool `hcl:"reuse_key,optional"`
	// The authorities, asked in this order until one issues. Default:
	// Let's Encrypt alone.
	Issuers []Issuer `hcl:"issuer,block"`

	addr     appliance.Addr
	log      *zap.Logger
	hostname string
	values   appliance.Values
	listen   func(address string) (net.Listener, error)
	plan     plan
	metrics  metrics

	retry   func(failures int) time.Duration // knobs for tests
	timeout time.Duration

	mu          sync.Mutex // guards keepers
	keepers     []*keeper  // the default first
	served      atomic.Pointer[[]*tls.Certificate]
	provisional *tls.Certificate // guarded by mu
	http, alpn  door
	slots       chan struct{}

	running context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Interface guards.
var (
	_ appliance.Certificates        = (*ACME)(nil)
	_ appliance.CertificateRenewer  = (*ACME)(nil)
	_ appliance.CertificateReleaser = (*ACME)(nil)
	_ appliance.Validator           = (*ACME)(nil)
	_ appliance.Starter             = (*ACME)(nil)
)

// atOnce is how many names are attended to at a time.
const atOnce = 4

// New returns an ACME with the defaults.
func New() *ACME {
	return &ACME{
		PropagationTimeout: 2 * time.Minute,
		HTTPAddress:        ":80",
		TLSALPNAddress:     ":443",
		KeyType:            keyP256,
		ReuseKey:           true,
		retry:              backOff,
	}
}

// Provision implements appliance.Module.
func (a *ACME) Provision(ctx *appliance.Context) (err error) {
	a.addr, a.log, a.hostname = ctx.Addr, ctx.Log, ctx.Hostname
	a.values, a.listen = ctx.Values, ctx.Listen
	if a.plan, err = a.makePlan(); err != nil {
		return err
	}
	if a.timeout == 0 {
		a.timeout = a.attemptTimeout()
	}
	a.http = door{address: a.HTTPAddress, listen: a.listen, serve: serveHTTP(a.kept, visitTimeout)}
	a.alpn = door{address: a.TLSALPNAddress, listen: a.listen, serve: serveALPN(a.keeps, visitTimeout)}
	a.slots = make(chan struct{}, atOnce)
	if a.metrics, err = newMetrics(ctx.Metrics); err != nil {
		return err
	}
	return certs.RegisterExpiry(ctx.Metrics, a.Certificates)
}

// Start implements appliance.Starter: it serves what the store has, and leaves
// the rest to the keepers. It does not fail for want of an authority.
func (a *ACME) Start(ctx context.Context) error {
	a.running, a.stop = context.WithCancel(context.Background())
	names := a.plan.names
	if len(names) == 0 {
		names = []string{a.hostname}
	}
	if err := a.keep(ctx, names); err != nil {
		return errors.Join(err, a.Stop(ctx))
	}
	return nil
}

// Stop implements appliance.Starter. An attempt that is under way is given up;
// what it has put into a zone is removed first, and a question to an OCSP
// responder is waited for: half a minute each, at most.
func (a *ACME) Stop(context.Context) error {
	if a.stop != nil {
		a.stop()
	}
	a.done.Wait()
	return nil
}

// ServerConfig implements appliance.Certificates. With the names of a listener
// come keepers for them, unless the block names its own.
func (a *ACME) ServerConfig(use appliance.TLSUse) *tls.Config {
	if len(a.plan.names) == 0 {
		if err := a.keep(a.running, use.Names); err != nil {
			a.log.Error("cannot keep certificates for the names of a listener", zap.Strings("names", use.Names), zap.Error(err))
		}
	}
	return a.Settings.ServerConfig(use, a.list)
}

// Release implements appliance.CertificateReleaser. What is stored for a name
// stays there, for a listener that comes back.
func (a *ACME) Release(use appliance.TLSUse) {
	if len(a.plan.names) > 0 {
		return
	}
	names, _ := canonical(use.Names) // ServerConfig has complained
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range names {
		k := a.keeper(n)
		if k == nil {
			continue // one too many
		}
		if k.users--; k.users == 0 {
			k.end()
			a.keepers = slices.DeleteFunc(a.keepers, func(o *keeper) bool { return o == k })
			a.log.Info("no listener has this name any more; its certificate is not kept", zap.String("name", n))
		}
	}
	if err := a.makeProvisional(); err != nil {
		a.log.Error("clients are shown the certificate of a name that has gone", zap.Error(err))
		return
	}
	a.publish()
}

func (a *ACME) list() []*tls.Certificate {
	if l := a.served.Load(); l != nil {
		return *l
	}
	return nil
}

// keep starts keepers for the names that have none yet, for one more user each.
// Some names may be kept even if the error is not nil.
func (a *ACME) keep(ctx context.Context, names []string) error {
	names, err := canonical(names)
	a.mu.Lock()
	defer a.mu.Unlock()
	var added []*keeper
	for _, n := range names {
		if k := a.keeper(n); k != nil {
			k.users++
			continue
		}
		if len(a.keepers) == maxNames {
			err = errors.Join(err, fmt.Errorf("more than %d names", maxNames))
			break
		}
		k := newKeeper(a, n)
		k.recall(ctx)
		a.keepers = append(a.keepers, k)
		added = append(added, k)
	}
	if added == nil {
		return err
	}
	if err := a.makeProvisional(); err != nil {
		return err
	}
	a.publish()
	a.sayWhatIsMissing(added)
	for _, k := range added {
		a.done.Go(func() { k.run(k.life) })
	}
	return err
}

// keeper returns the keeper of a name, or nil. Its caller holds mu.
func (a *ACME) keeper(name string) *keeper {
	for _, k := range a.keepers {
		if k.name == name {
			return k
		}
	}
	return nil
}

// keeps says whether there is a keeper for a name.
func (a *ACME) keeps(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keeper(name) != nil
}

// kept returns the names that there are keepers for.
func (a *ACME) kept() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := make([]string, len(a.keepers))
	for i, k := range a.keepers {
		names[i] = k.name
	}
	return names
}

// publish makes the list that is served: the real certificates in the order of
// their names, or the provisional one while there is none. Its caller holds mu.
func (a *ACME) publish() {
	var list []*tls.Certificate
	for _, k := range a.keepers {
		if held := k.held(); held != nil {
			list = append(list, held.certificate)
		}
	}
	if len(list) == 0 {
		list = append(list, a.provisional)
	}
	a.served.Store(&list)
}

// provisionalFor is how long the self-signed certificate of the meantime is
// valid: longer than anybody should wait.
const provisionalFor = 365 * 24 * time.Hour

// makeProvisional makes a self-signed certificate for all names, if there is no
// real one. Its caller holds mu.
func (a *ACME) makeProvisional() error {
	names := make([]string, 0, len(a.keepers))
	for _, k := range a.keepers {
		if k.held() != nil {
			return nil
		}
		names = append(names, k.name)
	}
	bundle, err := certs.SelfSigned(names, provisionalFor, a.provisional)
	if err != nil {
		return fmt.Errorf("make a self-signed certificate for the time being: %w", err)
	}
	c, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		return err
	}
	a.provisional = &c
	return nil
}

// sayWhatIsMissing logs what a person must see to before the names can get
// their first certificates.
func (a *ACME) sayWhatIsMissing(added []*keeper) {
	var pending []string
	for _, k := range added {
		if k.held() == nil {
			pending = append(pending, k.name)
		}
	}
	if len(pending) > 0 {
		a.log.Info("no certificate yet, asking for one; clients are shown a self-signed one meanwhile",
			zap.Strings("names", pending), zap.Strings("needs", a.plan.needs(a)))
	}
}
