package cmd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindTLS,
		Name:    "scripted",
		Summary: "certificates in states that a test writes down",
		Example: "tls \"scripted\" \"lab\" {\n  cert { names = [\"mail.example.com\"] }\n}\n",
		New:     func() appliance.Module { return new(scripted) },
	})
}

// scripted is a tls block that can be asked for new certificates, and has
// none: what it says of them stands in the file.
type scripted struct {
	Waits string         `hcl:"waits,optional"`
	Certs []scriptedCert `hcl:"cert,block"`

	mu  sync.Mutex
	all []appliance.CertificateInfo
}

type scriptedCert struct {
	Names     []string      `hcl:"names"`
	Age       time.Duration `hcl:"age,optional"`
	Left      time.Duration `hcl:"left,optional"` // 0 is a certificate that is waited for
	KeyHash   string        `hcl:"key_hash,optional"`
	KeyStays  bool          `hcl:"key_stays,optional"`
	Error     string        `hcl:"error,optional"`
	RenewFail string        `hcl:"renew_fails,optional"`
}

var (
	_ appliance.Certificates       = (*scripted)(nil)
	_ appliance.CertificateRenewer = (*scripted)(nil)
)

func (s *scripted) Provision(*appliance.Context) error {
	now := time.Now()
	for _, c := range s.Certs {
		info := appliance.CertificateInfo{Names: c.Names, State: appliance.CertificatePending, Source: "ca.example", Error: c.Error}
		if c.Error != "" {
			info.NextTry = now.Add(10 * time.Minute)
		}
		if c.Left != 0 {
			info.State, info.Issuer = appliance.CertificateValid, "Test CA"
			info.NotBefore, info.NotAfter, info.Renewal = now.Add(-c.Age), now.Add(c.Left), now.Add(c.Left*2/3)
			info.KeyHash, info.KeyStays = c.KeyHash, c.KeyStays
		}
		s.all = append(s.all, info)
	}
	return nil
}

func (*scripted) ServerConfig(appliance.TLSUse) *tls.Config { return new(tls.Config) }

func (s *scripted) Certificates() []appliance.CertificateInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]appliance.CertificateInfo(nil), s.all...)
}

func (s *scripted) Ready() error {
	if s.Waits == "" {
		return nil
	}
	return errors.New(s.Waits)
}

func (s *scripted) Renew(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.Certs {
		if c.Names[0] != name {
			continue
		}
		if c.RenewFail != "" {
			return errors.New(c.RenewFail)
		}
		s.all[i] = appliance.CertificateInfo{
			Names: c.Names, State: appliance.CertificateValid, Issuer: "Test CA",
			NotBefore: time.Now(), NotAfter: time.Now().Add(90*24*time.Hour + time.Hour),
		}
	}
	return nil
}
