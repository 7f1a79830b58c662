package appliancetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Certificates is an appliance.Certificates with one self-signed certificate
// for mail.test, localhost and the loopback addresses.
type Certificates struct {
	Certificate tls.Certificate
	// Roots holds the certificate, for clients that want to verify it.
	Roots *x509.CertPool
	// Missing is what Ready returns.
	Missing error
}

// NewCertificates makes a certificate that is valid for an hour.
func NewCertificates(t testing.TB) *Certificates {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mail.test"},
		DNSNames:     []string{"mail.test", "localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c := &Certificates{
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		Roots:       x509.NewCertPool(),
	}
	c.Roots.AddCert(leaf)
	return c
}

// Provision implements appliance.Module.
func (*Certificates) Provision(*appliance.Context) error { return nil }

// ServerConfig implements appliance.Certificates.
func (c *Certificates) ServerConfig(use appliance.TLSUse) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.Certificate}, MinVersion: tls.VersionTLS12,
		SessionTicketsDisabled: use.Opportunistic,
	}
}

// Certificates implements appliance.Certificates.
func (c *Certificates) Certificates() []appliance.CertificateInfo {
	leaf := c.Certificate.Leaf
	return []appliance.CertificateInfo{{
		Names: leaf.DNSNames, State: appliance.CertificateSelfSigned,
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}}
}

// Ready implements appliance.Certificates.
func (c *Certificates) Ready() error { return c.Missing }

// Ref is a bound reference to c, for a listener's field.
func (c *Certificates) Ref() appliance.Ref[appliance.Certificates] {
	return appliance.RefTo[appliance.Certificates](appliance.Addr{Kind: appliance.KindTLS, Name: "test"}, c)
}

var _ appliance.Certificates = (*Certificates)(nil)
