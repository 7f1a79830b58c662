package clientcert

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

// maxReason bounds what a stranger can write into the log with one AUTH, in
// octets.
const maxReason = 2 << 10

// TestH1LongCertificates: a certificate of a hundred kilobytes, which anybody
// can make, does not become a line in the log as long.
func TestH1LongCertificates(t *testing.T) {
	long := strings.Repeat("\x1b[2J\u202e", 10_000)
	ca := newParty(t, nil, authority("ca"))
	named := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name }
	}
	numbered := func(c *x509.Certificate) {
		c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 8*100_000)
	}
	same := newParty(t, nil, authority(long)) // to be told apart from the real one by its key
	other := newParty(t, nil, authority(long))
	nameless := newParty(t, nil, authority(""), numbered)
	c := provisioned(t, &ClientCert{CAFile: write(t, ca.pem(same, nameless))})
	for what, client := range map[string]*party{
		"serial number":         newParty(t, ca, numbered),
		"serial number, nobody": newParty(t, nil, numbered),
		"name":                  newParty(t, ca, named(long)),
		"name, nobody":          newParty(t, nil, named(long)),
		"issuer's name":         newParty(t, other),
		"issuer's number":       newParty(t, newParty(t, nil, authority(""))),
		"expired":               newParty(t, ca, named(long), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"addresses":             newParty(t, ca, func(c *x509.Certificate) { c.EmailAddresses = strings.Fields(strings.Repeat("a@b.example ", 10_000)) }),
	} {
		begin := time.Now()
		got := login(t, c, "", client)
		if what == "addresses" || what == "serial number" { // strange, but an authority's
			wantLogin(t, got, "printer")
			continue
		}
		if !strings.HasPrefix(got, "535 ") || len(got) > maxReason || strings.ContainsAny(got, "\x1b\u202e\n") {
			t.Errorf("%s: %d octets: %.300q", what, len(got), got)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s: took %v", what, took)
		}
	}
}
