package mx

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
	"github.com/waxwing-mail/waxwing/modules/internal/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// The values of MX.TLSDowngrade.
const (
	downgradeWarn  = "warn"
	downgradeDefer = "defer"
)

// maxCAFile bounds ca_file, in octets.
const maxCAFile = 1 << 20

// authorities reads ca_file; nil is those of the system.
func (m *MX) authorities() (*x509.CertPool, error) {
	if m.CAFile == "" {
		return nil, nil
	}
	pem, err := localfile.Read(m.CAFile, maxCAFile)
	if err != nil {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "cannot be read", Err: err}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &appliance.AttrError{Attr: "ca_file", Msg: "has no certificate in PEM; it should begin with -----BEGIN CERTIFICATE-----"}
	}
	return roots, nil
}

// newPolicies returns what knows the MTA-STS policies of domains.
func (m *MX) newPolicies(values appliance.Values) *mtasts.Cache {
	fetcher := &mtasts.Fetcher{Dial: m.dialPolicyHost, Roots: m.roots, Port: m.policyPort}
	return mtasts.NewCache(mtasts.Config{Resolver: m.resolver, Fetch: fetcher.Fetch, Values: values, Log: m.log})
}

// maxPolicyAddresses bounds the addresses of a policy host that are tried.
const maxPolicyAddresses = 4

// dialPolicyHost connects to a web server that a stranger has named: under the
// same guard as mail, as it could be a database behind our firewall.
func (m *MX) dialPolicyHost(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := m.addresses(ctx, host, []string{"ip4", "ip6"})
	if len(found.addrs) == 0 {
		return nil, fmt.Errorf("%s has no address: %w", host, errors.Join(err, errNoHost))
	}
	d := net.Dialer{Control: m.guard.control, Timeout: m.ConnectTimeout}
	var failed error
	for _, ip := range found.addrs[:min(len(found.addrs), maxPolicyAddresses)] {
		c, err := d.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// remember takes up what the relay knew before, and keeps saving what it
// learns until Stop.
func (m *MX) remember(ctx context.Context) {
	if m.values == nil {
		return
	}
	if err := m.memory.load(ctx, m.values); err != nil {
		m.log.Warn("what was known of the TLS of other servers cannot be read, and is learned anew", zap.Error(err))
	}
	m.saver.Go(func() {
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.saveMemory()
			case <-m.stopped:
				m.saveMemory()
				return
			}
		}
	})
}

// saveTime bounds how long the store may take.
const saveTime = 10 * time.Second

func (m *MX) saveMemory() {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	if err := m.memory.save(ctx, m.values, time.Now()); err != nil {
		m.log.Warn("what is known of the TLS of other servers cannot be saved", zap.Error(err))
	}
}

// sayDANE says at the start why DANE is not used, if it is not.
func (m *MX) sayDANE() {
	err := m.resolver.DNSSEC()
	if err == nil {
		return
	}
	for _, o := range m.overrides {
		if o.mode == daneOnly {
			m.log.Error(`no mail goes to domains with tls = "dane-only": DANE cannot be used`, zap.NamedError("because", err))
			return
		}
	}
	if m.DANE && m.mode != smtpconn.TLSNone {
		m.log.Info("DANE is not used", zap.NamedError("because", err))
	}
}

// target is a connection to one address of a host under its demand, from one of
// ours.
func (m *MX) target(h host, ip netip.Addr, d demand, from source) smtpconn.Target {
	t := smtpconn.Target{
		Source: from.addr, Hello: from.name,
		Name: h.name, Addr: netip.AddrPortFrom(ip, uint16(m.Port)),
		TLS: d.mode, Policy: d.policy, DANE: d.set, MaxMessages: m.maxMessages(h.name),
	}
	switch {
	case h.literal:
		t.ServerName = ip.String()
	case d.base != "" && d.base != h.name:
		t.ServerName = d.base // RFC 7672, section 8.1: SNI is the TLSA base domain
	}
	if t.TLS == smtpconn.TLSOpportunistic && m.memory.broken(t.Addr.String(), time.Now()) {
		t.TLS = smtpconn.TLSNone
	}
	return t
}
