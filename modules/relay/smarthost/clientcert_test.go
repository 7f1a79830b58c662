package smarthost

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
)

// asking is a provider that demands one of these certificates, and takes who
// shows one without AUTH.
func asking(known ...certstest.Client) *tls.Config {
	cfg := certificate().Clone()
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	for _, c := range known {
		cfg.ClientCAs.AddCert(c.Leaf)
	}
	return cfg
}

func shows(c certstest.Client) func(*Smarthost) {
	return func(s *Smarthost) {
		s.Username, s.Password = "", appliance.Secret{}
		s.ClientCertificate, s.ClientKey = c.Certificate, c.Key
	}
}

// TestClientCertificate: the certificate alone, the certificate as a login,
// and beside a password.
func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	own, stranger := certstest.NewClient(t, dir, "own"), certstest.NewClient(t, dir, "stranger")
	offers := map[string]string{"EHLO": "250-provider\r\n250-STARTTLS\r\n250 AUTH EXTERNAL PLAIN"}
	for _, tc := range []struct {
		name  string
		known certstest.Client
		more  func(*Smarthost)
		want  int
		tls   string
		heard string
	}{
		{"alone", own, func(*Smarthost) {}, 250, "TLS 1.3, verified", "EHLO us.test|MAIL"},
		{"any server", own, func(s *Smarthost) { s.TLS, s.CAFile = "required", "" }, 250, "TLS 1.3, unverified", "EHLO us.test|MAIL"},
		{"external", own, func(s *Smarthost) { s.Authenticate = "external" }, 250, "TLS 1.3, verified", "EHLO us.test|AUTH EXTERNAL =|MAIL"},
		{"external as somebody", own, func(s *Smarthost) { s.Authenticate, s.Username = "external", "app" }, 250, "TLS 1.3, verified", "|AUTH EXTERNAL YXBw|MAIL"},
		{"and a password", own, func(s *Smarthost) { s.Username, s.Password = "app", appliance.NewSecret(password) }, 250, "TLS 1.3, verified", "|AUTH PLAIN AGFw"},
		{"unknown", stranger, func(s *Smarthost) {}, 451, "TLS 1.3, verified", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port, heard := providerWith(t, asking(tc.known), offers)
			s, logs := relay(t, port, func(s *Smarthost) { shows(own)(s); tc.more(s) })
			r := deliver(t, s)
			if r.Reply.Code != tc.want || r.TLS != tc.tls || !strings.Contains(heard(), tc.heard) {
				t.Errorf("%d, TLS %q (%v), heard %s", r.Reply.Code, r.TLS, r.Reply.Error(), heard())
			}
			if n := logs.FilterLevelExact(zap.ErrorLevel).Len(); (n > 0) != (tc.want == 451) {
				t.Errorf("%d errors in the log: %v", n, logs.All())
			}
		})
	}
}

// TestX6ClientCertificate: files that are no pair stop the start, each at its
// own attribute.
func TestX6ClientCertificate(t *testing.T) {
	dir := t.TempDir()
	own, other := certstest.NewClient(t, dir, "own"), certstest.NewClient(t, dir, "other")
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("marker"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ certificate, key, want string }{
		{own.Certificate, own.Key, "<nil>"},
		{"/nonexistent", own.Key, "client_certificate"},
		{garbage, own.Key, "client_certificate"},
		{dir, own.Key, "client_certificate"},
		{own.Certificate, "/nonexistent", "client_key"},
		{own.Certificate, garbage, "client_key"},
		{own.Certificate, other.Key, "client_key"},
	} {
		s := New()
		s.Address, s.ClientCertificate, s.ClientKey = "a.test", tc.certificate, tc.key
		err := errors.Join(s.Validate(), s.Provision(&appliance.Context{}))
		if got := attr(err); got != tc.want {
			t.Errorf("%s, %s: %v, want %s", tc.certificate, tc.key, err, tc.want)
		}
		if s.pool != nil {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}
