package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"time"
)

// SelfSigned makes a certificate for the names, which are host names and IP
// addresses, and returns it with its ECDSA P-256 key as PEM. The key is that of
// old, or new if old is nil.
func SelfSigned(names []string, validity time.Duration, old *tls.Certificate) ([]byte, error) {
	key, err := keyOf(old)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName(names[0])},
		// A client whose clock is a little behind takes it too.
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	// The serial number is nil: CreateCertificate makes a random one.
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(bundle, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}

func keyOf(old *tls.Certificate) (crypto.Signer, error) {
	if old == nil {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	key, ok := old.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key of the old certificate cannot sign")
	}
	return key, nil
}

// commonName is name if it fits: RFC 5280, appendix A.1, ends it at 64. The
// names that count are the subject alternative names.
func commonName(name string) string {
	if len(name) > 64 {
		return "waxwing"
	}
	return name
}

// Names are the names of a certificate: host names, then IP addresses.
func Names(c *x509.Certificate) []string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
