package smtpconn

import (
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	offersTLS = hello + "S: 250-mx.test\nS: 250 starttls\n"
	upgraded  = offersTLS + "C= STARTTLS\nS: 220 go\nTLS\n"
	afterTLS  = "C= EHLO client.test\nS: 250 mx.test\n"
	taken     = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\n"
)

// TestN10 is every mode against every kind of server: what the recipient is
// told, and over what.
func TestN10(t *testing.T) {
	noTLS := script(plain + taken + quit)
	withTLS := script(upgraded + afterTLS + taken + quit)
	withheld := script(plain + "HANG")
	refused := script(offersTLS + "C= STARTTLS\nS: 454 4.7.0 not now\n" + taken + quit)
	refusedFor := script(offersTLS + "C= STARTTLS\nS: 454 4.7.0 not now\nHANG")
	failing := script(offersTLS + "C= STARTTLS\nS: 220 go\nCLOSE")
	badCert := script(upgraded + "HANG")
	clear := script(hello + "S: 250-mx.test\nS: 250 STARTTLS\n" + taken + quit)
	other := func(target *Target) { target.Name = "other.test" }
	for _, tc := range []struct {
		name    string
		mode    TLSMode
		scripts []script
		change  func(*Target)
		want    string
		tls     string
	}{
		{"none, offered", TLSNone, []script{clear}, nil, "250 2.0.0 remote", ""},
		{"opportunistic, not offered", TLSOpportunistic, []script{noTLS}, nil, "250 2.0.0 remote", ""},
		{"G22 opportunistic, offered in lower case", TLSOpportunistic, []script{withTLS}, nil, "250 2.0.0 remote", "TLS 1.3, unverified"},
		{"opportunistic, wrong name", TLSOpportunistic, []script{withTLS}, other, "250 2.0.0 remote", "TLS 1.3, unverified"},
		{"opportunistic, refused", TLSOpportunistic, []script{refused}, nil, "250 2.0.0 remote", ""},
		{"opportunistic, fails: a new connection in plain text", TLSOpportunistic, []script{failing, clear}, nil, "250 2.0.0 remote", ""},
		{"required, not offered", TLSRequired, []script{withheld}, nil, "451 4.7.4", ""},
		{"required, refused", TLSRequired, []script{refusedFor}, nil, "451 4.7.4", ""},
		{"required, fails", TLSRequired, []script{failing}, nil, "451 4.7.5", ""},
		{"required, wrong name", TLSRequired, []script{withTLS}, other, "250 2.0.0 remote", "TLS 1.3, unverified"},
		{"verified", TLSVerified, []script{withTLS}, nil, "250 2.0.0 remote", "TLS 1.3, verified"},
		{"verified, not offered", TLSVerified, []script{withheld}, nil, "451 4.7.4", ""},
		{"verified, wrong name", TLSVerified, []script{badCert}, other, "451 4.7.5", ""},
		{"verified, server_name", TLSVerified, []script{withTLS}, func(target *Target) { target.Name, target.ServerName = "other.test", "mx.test" },
			"250 2.0.0 remote", "TLS 1.3, verified"},
		{"implicit", TLSImplicit, []script{script("TLS\n" + plain + taken + quit)}, nil, "250 2.0.0 remote", "TLS 1.3, verified"},
		{"implicit, wrong name", TLSImplicit, []script{script("TLS\nHANG")}, other, "451 4.7.5", ""},
		{"implicit, plain text", TLSImplicit, []script{script("S: 220 mx.test\nHANG")}, nil, "451 4.7.5", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.scripts...)
			target := s.with(tc.mode)
			if tc.change != nil {
				tc.change(&target)
			}
			rs := pool(t).Deliver(t.Context(), envelope("one@b.test"), simple, targets(target))
			check(t, rs, tc.want)
			if rs[0].TLS != tc.tls {
				t.Errorf("TLS %q, want %q", rs[0].TLS, tc.tls)
			}
		})
	}
}

// TestN11: plain text that comes with the 220 is an attack; there is no
// second connection in plain text either.
func TestN11(t *testing.T) {
	s := serve(t, offersTLS+"C= STARTTLS\n"+`S! "220 go\r\n250-mx.test\r\n250 AUTH PLAIN\r\n"`+"\nHANG")
	rs := pool(t).Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSOpportunistic)))
	check(t, rs, "451 4.7.0")
}

func TestRequireTLS(t *testing.T) {
	s := serve(t, script(upgraded+"C: EHLO\nS: 250-mx.test\nS: 250 REQUIRETLS\nC= MAIL FROM:<from@a.test> REQUIRETLS\n"+
		strings.TrimPrefix(taken, "C: MAIL\n")+quit))
	env := envelope("one@b.test")
	env.RequireTLS = true
	check(t, pool(t).Deliver(t.Context(), env, simple, targets(s.with(TLSVerified))), "250 2.0.0 remote")
}

func TestHandshakeTimeout(t *testing.T) {
	s := serve(t, offersTLS+"C= STARTTLS\nS: 220 go\nHANG")
	p := pool(t, func(c *Config) { c.Timeouts.Handshake = 50 * time.Millisecond })
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSRequired))), "451 4.7.5")
}

func TestLogin(t *testing.T) {
	const password = "s3cret pass"
	offers := func(what string) string {
		return upgraded + "C: EHLO\nS: 250-mx.test\nS: 250 " + what + "\n"
	}
	for _, tc := range []struct {
		name   string
		script string
		mode   TLSMode
		clear  bool
		want   string
	}{
		{"PLAIN", offers("AUTH LOGIN PLAIN") + "C= AUTH PLAIN AGFwcABzM2NyZXQgcGFzcw==\nS: 235 ok\n" + taken + quit, TLSVerified, false, "250 2.0.0 remote"},
		{"LOGIN", offers("AUTH LOGIN") + "C= AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC= YXBw\nS: 334 UGFzc3dvcmQ6\nC= czNjcmV0IHBhc3M=\nS: 235 ok\n" + taken + quit, TLSVerified, false, "250 2.0.0 remote"},
		{"N18 wrong password", offers("AUTH PLAIN") + "C: AUTH PLAIN\nS: 535 5.7.8 no\nHANG", TLSVerified, false, "451 4.7.8"},
		{"server in trouble", offers("AUTH PLAIN") + "C: AUTH PLAIN\nS: 454 4.7.0 later\nHANG", TLSVerified, false, "451 4.7.8"},
		{"closed", offers("AUTH PLAIN") + "C: AUTH PLAIN\nCLOSE", TLSVerified, false, "451 4.4.2"},
		{"endless challenges", offers("AUTH LOGIN") + "C: AUTH\nS: 334 x\nC: Y\nS: 334 x\nC: c\nS: 334 x\nHANG", TLSVerified, false, "451 4.5.0"},
		{"no mechanism we know", offers("AUTH GSSAPI") + "HANG", TLSVerified, false, "451 4.7.4"},
		{"AUTH not offered", offers("SIZE") + "HANG", TLSVerified, false, "451 4.7.4"},
		{"A3 never in plain text", hello + "S: 250-mx.test\nS: 250 AUTH PLAIN\nHANG", TLSNone, false, "451 4.7.11"},
		{"A3 not after a stripped STARTTLS", hello + "S: 250-mx.test\nS: 250 AUTH PLAIN\nHANG", TLSOpportunistic, false, "451 4.7.11"},
		{"in plain text on this machine", hello + "S: 250-mx.test\nS: 250 AUTH PLAIN\nC: AUTH PLAIN A\nS: 235 ok\n" + taken + quit, TLSNone, true, "250 2.0.0 remote"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logs, log := observed()
			s := serve(t, script(tc.script))
			p := pool(t, func(c *Config) {
				c.Login = &Login{Username: "app", Password: appliance.NewSecret(password), InClear: tc.clear}
				c.Log, c.Configured = log, true
			})
			rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(tc.mode)))
			check(t, rs, tc.want)
			// P19: neither in the log nor in the result.
			said := logs() + rs[0].Reply.Error()
			for _, secret := range []string{password, "AGFwcABz", "czNjcmV0"} {
				if strings.Contains(said, secret) {
					t.Errorf("%q is in: %s", secret, said)
				}
			}
			if !strings.Contains(logs(), "EHLO client.test") {
				t.Errorf("no transcript in the debug log: %s", logs())
			}
		})
	}
}
