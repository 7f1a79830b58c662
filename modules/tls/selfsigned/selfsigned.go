// Package selfsigned is tls "self_signed": a certificate that the server
// makes itself, for tests, for closed networks, and for the time until a real
// one is there.
//
//	tls "self_signed" "lab" {}
//
// It encrypts and proves nothing: a client that verifies must be given the
// certificate. So it does not change without need. It is kept in the store
// together with its ECDSA P-256 key, survives restarts, and is the same on all
// nodes of a shared store. It is valid for a year and renewed, with the same
// key, a month before its end, or at the start when the names have changed.
package selfsigned

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
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
		Name:    "self_signed",
		Summary: "a certificate of the server's own making, for tests and closed networks",
		Example: "tls \"self_signed\" \"lab\" {}\n",
		New:     func() appliance.Module { return new(SelfSigned) },
	})
}

const (
	validity   = 365 * 24 * time.Hour
	renewal    = 30 * 24 * time.Hour // before the end
	checkEvery = 12 * time.Hour

	bundleKey = "certificate.pem" // in the store: certificate and key in one value
	lockTTL   = time.Minute
)

// SelfSigned is the module.
type SelfSigned struct {
	certs.Settings
	// The names, or IP addresses, that the certificate is for. Default: the
	// host name of the server.
	Names []string `hcl:"names,optional"`

	log     *zap.Logger
	values  appliance.Values
	names   []string
	current atomic.Pointer[tls.Certificate]

	stop context.CancelFunc
	done sync.WaitGroup
}

var (
	_ appliance.Certificates = (*SelfSigned)(nil)
	_ appliance.Validator    = (*SelfSigned)(nil)
	_ appliance.Starter      = (*SelfSigned)(nil)
)

// Validate implements appliance.Validator.
func (s *SelfSigned) Validate() error {
	_, err := canonical(s.Names)
	return errors.Join(s.Settings.Validate(), err)
}

// Provision implements appliance.Module.
func (s *SelfSigned) Provision(ctx *appliance.Context) (err error) {
	s.log, s.values = ctx.Log, ctx.Values
	if s.names, err = canonical(s.Names); err != nil {
		return err
	}
	if len(s.names) == 0 {
		s.names = []string{ctx.Hostname}
	}
	return certs.RegisterExpiry(ctx.Metrics, s.Certificates)
}

// canonical returns the names in the order in which a certificate holds them:
// host names first, then addresses.
func canonical(names []string) ([]string, error) {
	var hosts, addrs []string
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil && ip.Zone() == "" {
			addrs = append(addrs, ip.Unmap().String())
			continue
		}
		d, err := appliance.ParseDomain(n)
		if err == nil && d[0] == '[' {
			err = fmt.Errorf("%q is an address in brackets", n)
		}
		if err != nil {
			return nil, &appliance.AttrError{Attr: "names",
				Msg: `takes host names and IP addresses, such as "mail.example.com" or "192.0.2.1"`, Err: err}
		}
		hosts = append(hosts, d)
	}
	return append(hosts, addrs...), nil
}

// Start implements appliance.Starter: it loads the certificate, or makes it,
// and says at each start what nobody should find out from a client.
func (s *SelfSigned) Start(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	s.log.Info("this certificate is self-signed: clients that verify certificates refuse it; tls \"acme\" gets one of an authority, tls \"files\" serves one that you have",
		zap.Strings("names", s.names), zap.Time("not_after", s.current.Load().Leaf.NotAfter))
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.keepFresh(running) })
	return nil
}

// Stop implements appliance.Starter.
func (s *SelfSigned) Stop(context.Context) error {
	if s.stop != nil {
		s.stop()
	}
	s.done.Wait()
	return nil
}

// keepFresh renews the certificate in time, or takes the one that another
// node has renewed.
func (s *SelfSigned) keepFresh(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !stale(s.current.Load().Leaf) {
			continue
		}
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("cannot renew the self-signed certificate; trying again later", zap.Error(err))
		}
	}
}

// refresh makes what the store holds current, after renewing it if need be.
func (s *SelfSigned) refresh(ctx context.Context) error {
	// Two nodes make one certificate: the second finds that of the first.
	unlock, err := s.values.Lock(ctx, "certificate", lockTTL)
	if err != nil {
		return fmt.Errorf("lock on the self-signed certificate: %w", err)
	}
	defer func() {
		if err := unlock(); err != nil {
			s.log.Warn("cannot release the lock on the self-signed certificate", zap.Error(err))
		}
	}()
	old, err := s.load(ctx)
	if err != nil {
		return err
	}
	if old != nil && !stale(old.Leaf) && slices.Equal(certs.Names(old.Leaf), s.names) {
		s.current.Store(old)
		return nil
	}
	fresh, err := s.renew(ctx, old)
	if err != nil {
		return err
	}
	s.current.Store(fresh)
	return nil
}

// load returns the certificate of the store, or nil if there is none.
func (s *SelfSigned) load(ctx context.Context) (*tls.Certificate, error) {
	bundle, err := s.values.Get(ctx, bundleKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the self-signed certificate: %w", err)
	}
	c, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		// Clients may have been told to trust it: a person must decide.
		return nil, fmt.Errorf("the stored self-signed certificate %s cannot be used; remove it to have a new one made: %w", bundleKey, err)
	}
	return &c, nil
}

// renew makes a certificate, with the key of the old one if there is one, so
// that clients that pin the key (RFC 7671, section 5.1: TLSA 3 1 1) go on.
func (s *SelfSigned) renew(ctx context.Context, old *tls.Certificate) (*tls.Certificate, error) {
	bundle, err := certs.SelfSigned(s.names, validity, old)
	if err != nil {
		return nil, fmt.Errorf("make the self-signed certificate: %w", err)
	}
	if err := s.values.Put(ctx, bundleKey, bundle); err != nil {
		return nil, fmt.Errorf("keep the self-signed certificate: %w", err)
	}
	c, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		return nil, err
	}
	s.log.Info("made a self-signed certificate", zap.Strings("names", s.names), zap.Time("not_after", c.Leaf.NotAfter))
	return &c, nil
}

func stale(leaf *x509.Certificate) bool { return time.Until(leaf.NotAfter) < renewal }

// ServerConfig implements appliance.Certificates.
func (s *SelfSigned) ServerConfig(use appliance.TLSUse) *tls.Config {
	return s.Settings.ServerConfig(use, s.list)
}

// Certificates implements appliance.Certificates.
func (s *SelfSigned) Certificates() []appliance.CertificateInfo {
	all := certs.Describe(s.list())
	for i := range all {
		all[i].Renewal, all[i].KeyStays = all[i].NotAfter.Add(-renewal), true
	}
	return all
}

// Ready implements appliance.Certificates: who writes this block knows what
// its certificate is worth.
func (s *SelfSigned) Ready() error { return nil }

func (s *SelfSigned) list() []*tls.Certificate {
	if c := s.current.Load(); c != nil {
		return []*tls.Certificate{c}
	}
	return nil
}
