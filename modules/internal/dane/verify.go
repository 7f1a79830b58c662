package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// ErrMismatch means that a certificate is not the one of the TLSA records.
var ErrMismatch = errors.New("the certificate matches none of the TLSA records")

// Verify returns nil if chain, as a server has shown it in its handshake, with
// its own certificate first, is what one of the records says. The error wraps
// ErrMismatch.
func (s Set) Verify(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is none", ErrMismatch)
	}
	var why error
	for r := range s.each() {
		if r.Usage == usageEE {
			// RFC 7672, section 3.1.1: neither the names nor the dates of
			// the certificate are looked at.
			if matches(r, chain[0]) {
				return nil
			}
			continue
		}
		err := s.verifyAuthority(r, chain, now)
		if err == nil {
			return nil
		}
		why = errors.Join(why, err)
	}
	if why != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, why)
	}
	return ErrMismatch
}

// matches says whether a certificate is the one of a record.
func matches(r appliance.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == selectKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.MatchingType {
	case matchSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}

// verifyAuthority is Verify for one record of DANE-TA.
func (s Set) verifyAuthority(r appliance.TLSA, chain []*x509.Certificate, now time.Time) error {
	anchor := findAnchor(r, chain)
	if anchor == nil {
		return errNoAuthority
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	opts.Roots.AddCert(anchor)
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return err
	}
	for name := range strings.SplitSeq(s.names, "\n") {
		if hasName(chain[0], name) {
			return nil
		}
	}
	return fmt.Errorf("its names are not %s", strings.ReplaceAll(s.names, "\n", " or "))
}

var errNoAuthority = errors.New("the authority of the record is not in the chain")

// findAnchor returns the authority of a record. It must be in the chain that
// the server shows (RFC 7672, section 3.1.2), unless the record itself has
// all of it.
func findAnchor(r appliance.TLSA, chain []*x509.Certificate) *x509.Certificate {
	for _, c := range chain[1:] {
		if matches(r, c) {
			return c
		}
	}
	if r.Selector != selectCert || r.MatchingType != matchFull {
		return nil
	}
	c, err := x509.ParseCertificate(r.Data)
	if err != nil {
		return nil
	}
	return c
}

// hasName says whether a certificate is for name. RFC 7672, section 3.2.3
// still knows the common name, for certificates that have no DNS name.
func hasName(c *x509.Certificate, name string) bool {
	if len(c.DNSNames) == 0 {
		return strings.EqualFold(c.Subject.CommonName, name)
	}
	return c.VerifyHostname(name) == nil
}
