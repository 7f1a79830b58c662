package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	acmeproto "github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// An attempt is one look after one name. It has a certmagic of its own, of
// which nothing is left afterwards.
type attempt struct {
	a        *ACME
	name     string
	failures int // of the attempts before it

	storage  *storage
	cache    *certmagic.Cache
	config   *certmagic.Config
	issuers  []*certmagic.ACMEIssuer
	refusals refusals

	asked   bool // an authority was asked
	renewal bool // for a renewal
	opened  []*door
	closed  []error // the doors that could not be opened
}

// lockSlack is how much longer than an attempt its locks last.
const lockSlack = time.Minute

// renewalTick is how often certmagic's cache would look for what to renew. Five
// of them before its end a certificate is renewed in any case.
const renewalTick = time.Second

var errNotOurs = errors.New("certificates are renewed by their keepers alone")

func (a *ACME) newAttempt(name string, failures int, reuseKey bool) *attempt {
	t := &attempt{a: a, name: name, failures: failures}
	log := quietly(a.log, &t.refusals)
	t.storage = newStorage(a.values, a.log, a.timeout+lockSlack)
	t.storage.accepts = t.accepts
	t.cache = certmagic.NewCache(certmagic.CacheOptions{
		// Without a configuration the cache renews nothing behind our back.
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return nil, errNotOurs },
		RenewCheckInterval: renewalTick,
		Logger:             zap.NewNop(),
	})
	t.config = certmagic.New(t.cache, certmagic.Config{
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		ReusePrivateKeys:   reuseKey,
		KeySource:          certmagic.StandardKeyGenerator{KeyType: a.plan.keyType},
		Storage:            t.storage,
		Issuers:            []certmagic.Issuer{}, // they need the configuration first
		OCSP:               certmagic.OCSPConfig{HTTPProxy: proxyOnce},
		OnEvent:            t.event,
		Logger:             log,
	})
	solver := a.dnsSolver(log)
	for i := range a.plan.authorities {
		iss := t.issuer(&a.plan.authorities[i], log)
		if solver != nil {
			iss.DNS01Solver = solver
		}
		t.issuers = append(t.issuers, iss)
		t.config.Issuers = append(t.config.Issuers, iss)
	}
	return t
}

func (t *attempt) issuer(from *authority, log *zap.Logger) *certmagic.ACMEIssuer {
	p := &t.a.plan
	iss := certmagic.NewACMEIssuer(t.config, certmagic.ACMEIssuer{
		CA:                      from.directory,
		Email:                   t.a.accountName(),
		Agreed:                  true,
		ExternalAccount:         from.eab,
		Profile:                 from.profile,
		TrustedRoots:            from.roots,
		DisableHTTPChallenge:    !p.uses(http01),
		DisableTLSALPNChallenge: !p.uses(tlsALPN01),
		// The answers are given by our own doors, from memory.
		DisableDistributedSolvers: true,
		ListenHost:                p.listenHost,
		AltHTTPPort:               p.httpPort,
		AltTLSALPNPort:            p.alpnPort,
		NewAccountFunc:            withoutPlaceholder,
		HTTPProxy:                 proxyOnce,
		Logger:                    log,
	})
	// certmagic fills in Let's Encrypt's staging environment by itself. It is
	// asked before the real one, but not at the first attempt.
	iss.TestCA = ""
	if t.failures > 0 {
		iss.TestCA = from.staging
	}
	return iss
}

// withoutPlaceholder keeps the placeholder for no e-mail address from being
// sent.
func withoutPlaceholder(_ context.Context, _ *certmagic.ACMEIssuer, account acmeproto.Account) (acmeproto.Account, error) {
	if len(account.Contact) == 1 && account.Contact[0] == "mailto:"+placeholder {
		account.Contact = nil
	}
	return account, nil
}

// proxyOnce is http.ProxyFromEnvironment, and ends the connection after the
// request. Certmagic keeps its HTTP client to itself, so that nobody could
// close the idle connections of an attempt that is over; and this is the one
// place where we see the request. It costs a handshake for each of the ten
// requests in two months.
func proxyOnce(r *http.Request) (*url.URL, error) {
	r.Close = true
	return http.ProxyFromEnvironment(r)
}

// maxChain bounds a chain in PEM, in octets: a tenth of it is much, and many
// clients end a handshake with more than a hundred kilobytes.
const maxChain = 64 << 10

// accepts says what is wrong with a certificate that has just been issued. One
// that nobody can use must not replace one that is in use; and one that has
// expired would be renewed again and again.
func (t *attempt) accepts(chain []byte, c *tls.Certificate) error {
	now := time.Now()
	switch {
	case len(chain) > maxChain:
		return fmt.Errorf("its chain has %d octets, at most %d are taken", len(chain), maxChain)
	case !covers(c.Leaf, t.name):
		return errors.New("it is not for " + t.name)
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("it has expired on %s, and this machine has %s; check the clock",
			c.Leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// covers says whether a certificate is valid for a name that may be a wildcard.
func covers(leaf *x509.Certificate, name string) bool {
	same := func(n string) bool { return strings.EqualFold(n, name) }
	return slices.ContainsFunc(leaf.DNSNames, same) || leaf.VerifyHostname(name) == nil
}

// guarded is run, and takes a panic for a failure: what an authority answers,
// and a DNS provider does, must not stop a mail server.
func (t *attempt) guarded(ctx context.Context, force bool) (h *held, err error) {
	defer func() {
		if r := recover(); r != nil {
			t.a.log.Error("an attempt to get a certificate panicked", zap.String("name", t.name),
				zap.String("panic", brief(fmt.Sprint(r))), zap.ByteString("stack", debug.Stack()))
			h, err = nil, fmt.Errorf("the attempt panicked: %v", r)
		}
	}()
	return t.run(ctx, force)
}

// run makes the attempt. With force the certificate is renewed although it is
// not due. It returns what the store has then.
func (t *attempt) run(ctx context.Context, force bool) (*held, error) {
	// Certmagic has a limiter of requests that leaves a goroutine behind, one for
	// each authority and process. What it takes for a retry is not limited by it,
	// but by our back-off; so everything is a retry. (With a staging environment
	// it is the second half of a retry that meets the limiter.)
	again := t.failures + 1
	ctx = context.WithValue(ctx, certmagic.AttemptsCtxKey, &again)
	var err error
	if force {
		err = t.config.RenewCertSync(ctx, t.name, true)
	}
	if err == nil {
		err = t.config.ManageSync(ctx, []string{t.name})
	}
	if err != nil {
		return nil, t.verdict(ctx, err)
	}
	h, err := t.a.load(ctx, t.storage, t.name)
	if err == nil && h == nil {
		err = errors.New("the certificate is not in the store after all")
	}
	if err != nil {
		return nil, err
	}
	h.staple(t.cache.AllMatchingCertificates(t.name))
	return h, nil
}

// staple takes the OCSP response that certmagic has got for the certificate.
func (h *held) staple(got []certmagic.Certificate) {
	for _, c := range got {
		if bytes.Equal(c.Leaf.Raw, h.certificate.Leaf.Raw) {
			h.certificate.OCSPStaple = c.OCSPStaple
		}
	}
}

// close ends the attempt.
func (t *attempt) close() {
	for _, d := range t.opened {
		d.close()
	}
	t.cache.Stop()
}

// event is told by certmagic what it does, in our goroutine. The moment before
// it asks an authority, with the lock on the name taken, is the one to open the
// doors.
func (t *attempt) event(_ context.Context, name string, data map[string]any) error {
	if name != "cert_obtaining" {
		return nil
	}
	t.renewal, _ = data["renewal"].(bool)
	if err := t.openDoors(); err != nil {
		return err
	}
	t.asked = true
	return nil
}

// openDoors opens the doors for the challenges. A challenge whose door cannot
// be opened is not offered; if none is left, that is an error.
func (t *attempt) openDoors() error {
	p := &t.a.plan
	if t.asked || p.uses(dns01) {
		return nil
	}
	t.closed = nil
	if p.uses(http01) && !t.open(http01, &t.a.http) {
		for _, iss := range t.issuers {
			iss.DisableHTTPChallenge = true
		}
	}
	if p.uses(tlsALPN01) && !t.open(tlsALPN01, &t.a.alpn) {
		for _, iss := range t.issuers {
			iss.DisableTLSALPNChallenge = true
		}
	}
	if len(t.opened) == 0 {
		return errors.Join(t.closed...)
	}
	return nil
}

func (t *attempt) open(challenge string, d *door) bool {
	if err := d.open(); err != nil {
		t.closed = append(t.closed, &closedDoor{challenge, d.address, err})
		return false
	}
	t.opened = append(t.opened, d)
	return true
}

// A failure is everything that went wrong in an attempt. It is for explain.
type failure struct {
	err      error     // what certmagic says
	store    error     // the write that failed, or nil
	refusals []refusal // of the authorities that were asked
	closed   []error   // the challenges that could not be offered
	timeout  time.Duration
}

func (f *failure) Error() string { return f.err.Error() }

// Unwrap makes errors.Is look at everything.
func (f *failure) Unwrap() []error {
	all := append([]error{f.err, f.store}, f.closed...)
	for _, r := range f.refusals {
		all = append(all, r.err)
	}
	return all
}

// verdict gathers why an attempt failed.
func (t *attempt) verdict(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &failure{err: err, store: t.storage.failed(), refusals: t.refusals.list(), closed: t.closed, timeout: t.a.timeout}
}
