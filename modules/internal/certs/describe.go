package certs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Describe says what there is to say about certificates from themselves
// alone. Each has its Leaf.
func Describe(list []*tls.Certificate) []appliance.CertificateInfo {
	all := make([]appliance.CertificateInfo, 0, len(list))
	for _, c := range list {
		hash := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
		all = append(all, appliance.CertificateInfo{
			Names:     Names(c.Leaf),
			State:     State(c.Leaf, time.Now()),
			Issuer:    nameOf(c.Leaf.Issuer),
			NotBefore: c.Leaf.NotBefore,
			NotAfter:  c.Leaf.NotAfter,
			KeyHash:   hex.EncodeToString(hash[:]),
		})
	}
	return all
}

// State says what a certificate is worth at a time.
func State(leaf *x509.Certificate, now time.Time) appliance.CertificateState {
	switch {
	case now.Before(leaf.NotBefore), now.After(leaf.NotAfter):
		return appliance.CertificateExpired
	case bytes.Equal(leaf.RawSubject, leaf.RawIssuer) && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil:
		return appliance.CertificateSelfSigned
	}
	return appliance.CertificateValid
}

// nameOf is what people call an issuer: "Let's Encrypt R11".
func nameOf(n pkix.Name) string {
	org := strings.Join(n.Organization, " ")
	if n.CommonName == "" || strings.HasPrefix(n.CommonName, org) {
		return cmp.Or(n.CommonName, org)
	}
	return org + " " + n.CommonName
}
