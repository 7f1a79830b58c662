package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// A CA is an authority that makes certificates of servers.
type CA struct {
	Leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority that nobody knows.
func NewCA(t testing.TB) *CA {
	t.Helper()
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, SerialNumber: serial(t)}
	template.Subject.CommonName = "authority " + template.SerialNumber.String()
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour)
	ca := &CA{key: newKey(t)}
	ca.Leaf = sign(t, template, template, ca.key, ca.key)
	return ca
}

// Issue makes a certificate for the names, valid for an hour, that is shown
// together with that of its authority.
func (ca *CA) Issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return ca.issue(t, time.Now().Add(time.Hour), names)
}

// IssueExpired is Issue an hour and a half ago.
func (ca *CA) IssueExpired(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return ca.issue(t, time.Now().Add(-30*time.Minute), names)
}

func (ca *CA) issue(t testing.TB, until time.Time, names []string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{DNSNames: names, NotBefore: until.Add(-time.Hour), NotAfter: until, SerialNumber: serial(t)}
	key := newKey(t)
	leaf := sign(t, template, ca.Leaf, key, ca.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// Pool is the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	return pool
}

// File writes the certificate of the authority to dir and returns the path.
func (ca *CA) File(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ca.pem")
	write(t, path, "CERTIFICATE", ca.Leaf.Raw)
	return path
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
