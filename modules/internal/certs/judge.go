package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Judge says in the log what is wrong with the certificate in file although it
// can be used: that it is too old or too young, not made for the usage, or
// alone where it needs company. That is a server's: an authority that certifies
// clients is one that the other side has been given, and often has nothing
// between its root and them.
func Judge(log *zap.Logger, file string, c *tls.Certificate, usage x509.ExtKeyUsage) {
	log = log.With(zap.String("file", file))
	leaf := c.Leaf
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		log.Warn("the certificate has expired", zap.Time("not_after", leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		log.Warn("the certificate is not valid yet", zap.Time("not_before", leaf.NotBefore))
	}
	if !madeFor(leaf, usage) {
		log.Warn(unsuited[usage])
	}
	if usage == x509.ExtKeyUsageServerAuth && lonely(c, nil) {
		log.Warn("the file has a certificate without that of its issuer; who does not know the issuer anyway refuses it: use fullchain.pem, not cert.pem, or append the intermediate certificate of the authority",
			zap.String("issuer", nameOf(leaf.Issuer)))
	}
}

// unsuited says what a certificate is not made for.
var unsuited = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageServerAuth: "the certificate is not made for servers: its extended key usage lacks server authentication, and clients that verify will not connect",
	x509.ExtKeyUsageClientAuth: "the certificate is not made for clients: its extended key usage lacks client authentication, and servers that verify refuse it; " +
		"public authorities have stopped issuing such certificates in 2026, one of your own can",
}

// madeFor reads the extended key usage: a certificate without it is for
// everything (RFC 5280, section 4.2.1.12).
func madeFor(leaf *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, usage) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// lonely says whether the issuer of the certificate is neither behind it nor
// among the roots; nil are those of the system. RFC 8446, section 4.4.2: of
// the chain, only the root may be left out.
func lonely(c *tls.Certificate, roots *x509.CertPool) bool {
	if bytes.Equal(c.Leaf.RawSubject, c.Leaf.RawIssuer) {
		return false
	}
	for _, der := range c.Certificate[1:] {
		if next, err := x509.ParseCertificate(der); err == nil && bytes.Equal(next.RawSubject, c.Leaf.RawIssuer) {
			return false
		}
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CurrentTime: c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) / 2), // its age is another question
	})
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	return unknown
}
