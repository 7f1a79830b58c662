package smtpconn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// clientCertificate is one that vouches for itself.
func clientCertificate(t *testing.T, name string, key crypto.Signer) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	template.Subject.CommonName = name
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func ecClient(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return clientCertificate(t, name, key)
}

// asks is a server that does this about certificates of clients and knows
// those.
func asks(how tls.ClientAuthType, known ...*tls.Certificate) *tls.Config {
	cfg := serverTLS()
	cfg.ClientAuth, cfg.ClientCAs = how, x509.NewCertPool()
	for _, c := range known {
		cfg.ClientCAs.AddCert(c.Leaf)
	}
	return cfg
}

func showing(c *tls.Certificate) func(*Config) {
	return func(cfg *Config) {
		if c != nil {
			cfg.ClientCertificate = func() *tls.Certificate { return c }
		}
	}
}

// TestClientCertificate: who is shown which certificate, and what the
// recipient is told where it is not enough.
func TestClientCertificate(t *testing.T) {
	own, stranger := ecClient(t, "own"), ecClient(t, "stranger")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := clientCertificate(t, "old", rsaKey)
	old.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA1} // of nobody today
	tls12 := func(cfg *tls.Config) *tls.Config { cfg.MaxVersion = tls.VersionTLS12; return cfg }
	done := script(upgraded + afterTLS + taken + quit)
	refused := script(upgraded + "HANG")
	clear := script(hello + "S: 250-mx.test\nS: 250 STARTTLS\n" + taken + quit)
	required := func() *tls.Config { return asks(tls.RequireAndVerifyClientCert, own) }
	for _, tc := range []struct {
		name    string
		server  *tls.Config
		own     *tls.Certificate
		mode    TLSMode
		scripts []script
		want    string
		text    string
		shown   string
	}{
		{"required", required(), own, TLSVerified, []script{done}, "250 2.0.0 remote", "", "own"},
		{"required, TLS 1.2", tls12(required()), own, TLSVerified, []script{done}, "250 2.0.0 remote", "", "own"},
		{"required, implicit", required(), own, TLSImplicit, []script{script("TLS\n" + plain + taken + quit)}, "250 2.0.0 remote", "", "own"},
		{"opportunistic shows it too", required(), own, TLSOpportunistic, []script{done}, "250 2.0.0 remote", "", "own"},
		{"not asked for", serverTLS(), own, TLSVerified, []script{done}, "250 2.0.0 remote", "", ""},
		{"a server of fingerprints", asks(tls.RequestClientCert), own, TLSVerified, []script{done}, "250 2.0.0 remote", "", "own"},
		{"a server that knows others", asks(tls.RequestClientCert, stranger), own, TLSVerified, []script{done}, "250 2.0.0 remote", "", "own"},
		{"asked for, none to show", asks(tls.RequestClientCert), nil, TLSVerified, []script{done}, "250 2.0.0 remote", "", ""},
		{"algorithms do not fit", asks(tls.RequestClientCert), old, TLSVerified, []script{done}, "250 2.0.0 remote", "", ""},
		{"unknown", required(), stranger, TLSVerified, []script{refused}, "451 4.7.5", "does not accept our client certificate", ""},
		{"unknown, TLS 1.2", tls12(required()), stranger, TLSVerified, []script{refused}, "451 4.7.5", "does not accept our client certificate", ""},
		{"unknown, implicit", required(), stranger, TLSImplicit, []script{script("TLS\nHANG")}, "451 4.7.5", "does not accept our client certificate", ""},
		{"unknown, opportunistic: a new connection in plain text", required(), stranger, TLSOpportunistic, []script{refused, clear}, "250 2.0.0 remote", "", ""},
		{"none", required(), nil, TLSVerified, []script{refused}, "451 4.7.5", "wants a client certificate", ""},
		{"hung up on", asks(tls.RequestClientCert), own, TLSVerified, []script{script(upgraded + "C: EHLO\nCLOSE")}, "451 4.7.5", "TLS with mx.test failed", "own"},
		{"hung up on for another reason", serverTLS(), own, TLSVerified, []script{script(upgraded + "C: EHLO\nCLOSE")}, "451 4.4.2", "was lost", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.scripts...)
			s.use(tc.server)
			rs := pool(t, showing(tc.own)).Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(tc.mode)))
			check(t, rs, tc.want)
			if !strings.Contains(rs[0].Reply.Text, tc.text) {
				t.Errorf("text %q, want %q", rs[0].Reply.Text, tc.text)
			}
			if got := s.shown(); got != tc.shown {
				t.Errorf("the server was shown %q, want %q", got, tc.shown)
			}
		})
	}
}

// TestClientCertificateRotates: a new connection has the new certificate. It
// is not a session of the old one that goes on.
func TestClientCertificateRotates(t *testing.T) {
	once := script(upgraded + afterTLS + taken + quit)
	s := serve(t, once, once)
	s.use(asks(tls.RequireAnyClientCert))
	var current atomic.Pointer[tls.Certificate]
	p := pool(t, func(c *Config) { c.ClientCertificate, c.MaxMessages = current.Load, 1 })
	for _, name := range []string{"first", "second"} {
		current.Store(ecClient(t, name))
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSVerified))), "250 2.0.0 remote")
	}
	if got := s.shown(); got != "first second" {
		t.Errorf("the server was shown %q", got)
	}
}

func TestLoginExternal(t *testing.T) {
	offers := func(what string) script {
		return script(upgraded + "C: EHLO\nS: 250-mx.test\nS: 250 " + what + "\n")
	}
	for _, tc := range []struct {
		name   string
		user   string
		server *tls.Config
		script script
		want   string
		text   string
	}{
		{"whom the certificate says", "", asks(tls.RequestClientCert), offers("AUTH PLAIN EXTERNAL") + "C= AUTH EXTERNAL =\nS: 235 ok\n" + taken + quit, "250 2.0.0 remote", ""},
		{"somebody", "app", asks(tls.RequestClientCert), offers("AUTH EXTERNAL") + "C= AUTH EXTERNAL YXBw\nS: 235 ok\n" + taken + quit, "250 2.0.0 remote", ""},
		{"refused", "app", asks(tls.RequestClientCert), offers("AUTH EXTERNAL") + "C: AUTH\nS: 535 5.7.8 no\nHANG", "451 4.7.8", "does not accept our client certificate: 535"},
		{"challenged", "", asks(tls.RequestClientCert), offers("AUTH EXTERNAL") + "C: AUTH\nS: 334 \nHANG", "451 4.5.0", ""},
		{"not offered", "", asks(tls.RequestClientCert), offers("AUTH PLAIN LOGIN") + "HANG", "451 4.7.4", `offers no AUTH mechanism we can use (EXTERNAL), only "PLAIN LOGIN"`},
		{"no certificate wanted", "", serverTLS(), offers("AUTH EXTERNAL") + "HANG", "451 4.7.4", "has not asked for a client certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.script)
			s.use(tc.server)
			p := pool(t, showing(ecClient(t, "own")), func(c *Config) {
				c.Login = &Login{Username: tc.user, External: true, Password: appliance.NewSecret("")}
			})
			rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSVerified)))
			check(t, rs, tc.want)
			if !strings.Contains(rs[0].Reply.Text, tc.text) {
				t.Errorf("text %q, want %q", rs[0].Reply.Text, tc.text)
			}
		})
	}
}

// TestUnasked: that nobody wants the certificate is said once, where our own
// configuration names the server.
func TestUnasked(t *testing.T) {
	once := script(upgraded + afterTLS + taken + quit)
	s := serve(t, once, once)
	logs, log := observed()
	p := pool(t, showing(ecClient(t, "own")), func(c *Config) { c.Log, c.Configured, c.MaxMessages = log, true, 1 })
	for range 2 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSVerified))), "250 2.0.0 remote")
	}
	if n := strings.Count(logs(), "does not ask for our client certificate"); n != 1 {
		t.Errorf("said %d times: %s", n, logs())
	}
}
