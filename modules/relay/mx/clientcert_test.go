package mx

import (
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
)

// TestClientCertificate: a receiver that asks for a certificate is shown ours;
// one that refuses it gets the message in plain text unless tls forbids that.
func TestClientCertificate(t *testing.T) {
	own := certstest.NewClient(t, t.TempDir(), "own")
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	for _, tc := range []struct {
		name, tls string
		auth      tls.ClientAuthType
		want      string
		result    string
		shown     string
	}{
		{"asks", "opportunistic", tls.RequestClientCert, "250 2.0.0 mx.test", "TLS 1.3, unverified", "own"},
		{"asks, required", "required", tls.RequireAnyClientCert, "250 2.0.0 mx.test", "TLS 1.3, unverified", "own"},
		{"does not ask", "opportunistic", tls.NoClientCert, "250 2.0.0 mx.test", "TLS 1.3, unverified", ""},
		{"refuses it", "opportunistic", tls.RequireAndVerifyClientCert, "250 2.0.0 mx.test", "", ""},
		{"refuses it, required", "required", tls.RequireAndVerifyClientCert, "451 4.7.5 mx.test", "TLS 1.3, unverified", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := listenTLS(t, "127.0.0.1:0", &tls.Config{Certificates: https.TLS.Certificates, ClientAuth: tc.auth}, takes)
			z := zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1"}
			m := provision(t, z, func(m *MX) {
				loopback(s.addr.Port())(m)
				m.TLS, m.ClientCertificate, m.ClientKey = tc.tls, own.Certificate, own.Key
			})
			rs := m.Deliver(t.Context(), envelope("a@a.test"), msg)
			if summary(rs) != tc.want || rs[0].TLS != tc.result {
				t.Errorf("%s, TLS %q, want %s, %q", summary(rs), rs[0].TLS, tc.want, tc.result)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := strings.Join(s.shown, " "); got != tc.shown {
				t.Errorf("the receiver was shown %q, want %q", got, tc.shown)
			}
		})
	}
}

// TestX6ClientCertificate: files that are no pair stop the start.
func TestX6ClientCertificate(t *testing.T) {
	dir := t.TempDir()
	own, other := certstest.NewClient(t, dir, "own"), certstest.NewClient(t, dir, "other")
	for want, files := range map[string][2]string{
		"client_certificate": {"/nonexistent", own.Key},
		"client_key":         {own.Certificate, other.Key},
	} {
		m := New()
		m.ClientCertificate, m.ClientKey = files[0], files[1]
		if e, ok := errors.AsType[*appliance.AttrError](m.Provision(&appliance.Context{})); !ok || e.Attr != want {
			t.Errorf("%v: %v, want %s", files, e, want)
		}
	}
}
