package acme

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestPropagation: "0s" is that nobody looks for the record, and not the
// default of the library.
func TestPropagation(t *testing.T) {
	for _, c := range []struct{ written, want time.Duration }{{0, -1}, {time.Minute, time.Minute}} {
		a := New()
		a.DNS = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, nil)
		a.PropagationTimeout = c.written
		var err error
		if a.plan, err = a.plannable(); err != nil {
			t.Fatal(err)
		}
		if got := a.dnsSolver(zap.NewNop()).PropagationTimeout; got != c.want {
			t.Errorf("%v: %v, want %v", c.written, got, c.want)
		}
	}
}

// TestStaple: an OCSP response is served with the certificate that it is of.
func TestStaple(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("one")}
	got := []certmagic.Certificate{
		{Certificate: tls.Certificate{Leaf: &x509.Certificate{Raw: []byte("another")}, OCSPStaple: []byte("wrong")}},
		{Certificate: tls.Certificate{Leaf: leaf, OCSPStaple: []byte("right")}},
	}
	h := &held{certificate: &tls.Certificate{Leaf: leaf}}
	if h.staple(got); string(h.certificate.OCSPStaple) != "right" {
		t.Errorf("%q", h.certificate.OCSPStaple)
	}
	h = &held{certificate: &tls.Certificate{Leaf: leaf}}
	if h.staple(got[:1]); h.certificate.OCSPStaple != nil {
		t.Errorf("%q", h.certificate.OCSPStaple)
	}
}
