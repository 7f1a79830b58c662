package smtpconn

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
	"github.com/waxwing-mail/waxwing/modules/internal/dane"
)

// tlsa is the set of one record 3 1 1 for the certificate of the tests.
func tlsa(t *testing.T, wrong bool) dane.Set {
	t.Helper()
	sum := sha256.Sum256(pki().Leaf.RawSubjectPublicKeyInfo)
	if wrong {
		sum[0]++
	}
	s, ok := dane.New([]appliance.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: sum[:]}})
	if !ok {
		t.Fatal("not usable")
	}
	return s
}

// TestP18Policies: what a policy demands is never traded for plain text; there
// is no second connection (its script would not be played to the end), and
// recipients and the observer are told why.
func TestP18Policies(t *testing.T) {
	withTLS := script(upgraded + afterTLS + taken + quit)
	withheld := script(plain + "HANG")
	refused := script(offersTLS + "C= STARTTLS\nS: 454 4.7.0 not now\nHANG")
	failing := script(offersTLS + "C= STARTTLS\nS: 220 go\nCLOSE")
	badCert := script(upgraded + "HANG")
	for _, tc := range []struct {
		name   string
		target Target
		script script
		want   string
		tls    string
		text   string // in the failure
		report string // to the observer
	}{
		{"N13 match", Target{TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, false)}, withTLS, "250 2.0.0 remote", "TLS 1.3, verified (dane)", "", "true true "},
		{"N13 match, wrong name", Target{Name: "other.test", TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, false)}, withTLS, "250 2.0.0 remote", "TLS 1.3, verified (dane)", "", "true true "},
		{"N13 mismatch", Target{TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, true)}, badCert, "451 4.7.5", "", "not what its DANE records (TLSA) say", "false false validation-failure"},
		{"N13 not offered", Target{TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, false)}, withheld, "451 4.7.4", "", "its DANE records (TLSA) demand TLS", "false false starttls-not-supported"},
		{"N13 refused", Target{TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, false)}, refused, "451 4.7.4", "", "its DANE records (TLSA) demand TLS", "false false starttls-not-supported"},
		{"N13 fails", Target{TLS: TLSDANE, Policy: PolicyDANE, DANE: tlsa(t, false)}, failing, "451 4.7.5", "", "failed", "false false validation-failure"},
		{"N13 no usable record", Target{TLS: TLSRequired, Policy: PolicyDANE}, withTLS, "250 2.0.0 remote", "TLS 1.3, unverified", "", "true true "},
		{"N13 no usable record, not offered", Target{TLS: TLSRequired, Policy: PolicyDANE}, withheld, "451 4.7.4", "", "its DANE records (TLSA) demand TLS", "false false starttls-not-supported"},
		{"N12 enforce", Target{TLS: TLSVerified, Policy: PolicySTS}, withTLS, "250 2.0.0 remote", "TLS 1.3, verified (mta-sts)", "", "true true "},
		{"N12 enforce, wrong name", Target{Name: "other.test", TLS: TLSVerified, Policy: PolicySTS}, badCert, "451 4.7.5", "", "for other names, as the MTA-STS policy", "false false certificate-host-mismatch"},
		{"N12 enforce, not offered", Target{TLS: TLSVerified, Policy: PolicySTS}, withheld, "451 4.7.4", "", "the MTA-STS policy of the recipient's domain demands TLS", "false false starttls-not-supported"},
		{"N12 enforce, fails", Target{TLS: TLSVerified, Policy: PolicySTS}, failing, "451 4.7.5", "", "failed", "false false validation-failure"},
		{"N12 testing, wrong name", Target{Name: "other.test", TLS: TLSOpportunistic, Policy: PolicyTesting}, withTLS, "250 2.0.0 remote", "TLS 1.3, unverified", "", "true true certificate-host-mismatch"},
		{"memory, not offered", Target{TLS: TLSRequired, Policy: PolicyMemory}, withheld, "451 4.7.4", "", "it always had TLS", "false false starttls-not-supported"},
		{"our own", Target{Name: "other.test", TLS: TLSVerified}, badCert, "451 4.7.5", "", "it is for other names", "false false certificate-host-mismatch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var reports []string
			s := serve(t, tc.script)
			target := s.target()
			target.TLS, target.Policy, target.DANE = tc.target.TLS, tc.target.Policy, tc.target.DANE
			if tc.target.Name != "" {
				target.Name = tc.target.Name
			}
			p := pool(t, func(c *Config) {
				c.Observe = func(_ context.Context, r TLSReport) {
					reports = append(reports, fmt.Sprintf("%v %v %s", r.Established, r.Met(), r.Reason()))
				}
			})
			rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target))
			check(t, rs, tc.want)
			if rs[0].TLS != tc.tls || !strings.Contains(rs[0].Reply.Text, tc.text) {
				t.Errorf("TLS %q, text %q; want %q, %q", rs[0].TLS, rs[0].Reply.Text, tc.tls, tc.text)
			}
			if !slices.Equal(reports, []string{tc.report}) {
				t.Errorf("reported %q, want %q", reports, tc.report)
			}
		})
	}
}

// TestP18Reuse: a connection that was made under one policy is not used under
// another, though it goes to the same server.
func TestP18Reuse(t *testing.T) {
	sc := script(upgraded + afterTLS + taken + quit)
	s := serve(t, sc, sc, sc)
	p := pool(t)
	plain := s.with(TLSOpportunistic)
	sts := plain
	sts.TLS, sts.Policy = TLSVerified, PolicySTS
	byDANE := plain
	byDANE.TLS, byDANE.Policy, byDANE.DANE = TLSDANE, PolicyDANE, tlsa(t, false)
	var got []string
	for _, target := range []Target{plain, sts, byDANE} {
		rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target))
		check(t, rs, "250 2.0.0 remote")
		got = append(got, rs[0].TLS)
	}
	if want := []string{"TLS 1.3, unverified", "TLS 1.3, verified (mta-sts)", "TLS 1.3, verified (dane)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestReportedCertificates: what is wrong with a certificate is told although
// nobody asked for a valid one.
func TestReportedCertificates(t *testing.T) {
	ca, stranger := certstest.NewCA(t), certstest.NewCA(t)
	for want, c := range map[string]tls.Certificate{
		"":                      ca.Issue(t, "mx.test"),
		CertificateHostMismatch: ca.Issue(t, "other.test"),
		CertificateExpired:      ca.IssueExpired(t, "mx.test"),
		CertificateNotTrusted:   stranger.Issue(t, "mx.test"),
	} {
		s := serve(t, script(upgraded+afterTLS+taken+quit))
		s.use(&tls.Config{Certificates: []tls.Certificate{c}})
		var reports []TLSReport
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "this attempt")
		p := pool(t, func(cfg *Config) {
			cfg.TLS = &tls.Config{RootCAs: ca.Pool()}
			cfg.Observe = func(in context.Context, r TLSReport) {
				if reports = append(reports, r); in.Value(key{}) != "this attempt" {
					t.Error("observed in the context of nobody")
				}
			}
		})
		check(t, p.Deliver(ctx, envelope("one@b.test"), simple, targets(s.with(TLSOpportunistic))), "250 2.0.0 remote")
		if len(reports) != 1 || !reports[0].Established || reports[0].Reason() != want || !strings.HasPrefix(reports[0].Local.String(), "127.0.0.1:") {
			t.Errorf("%+v, want %q", reports, want)
		}
	}
}

// TestP18Bounce: who stands in between and can only refuse, in plain text, does
// not make a bounce of what a policy protects.
func TestP18Bounce(t *testing.T) {
	for name, text := range map[string]string{
		"EHLO":         "S: 220 hi\nC= EHLO mail.us.test\nS: 550 5.7.1 go away\nC= HELO mail.us.test\nS: 550 5.7.1 go away\nHANG",
		"our own name": "S: 220 hi\nC= EHLO mail.us.test\nS: 250 mail.us.test\nHANG",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, script(text))
			target := s.with(TLSVerified)
			target.Policy = PolicySTS
			p := pool(t, func(c *Config) { c.RefuseSelf = true; c.Hello = "mail.us.test" })
			for _, r := range p.Deliver(t.Context(), envelope("u@a.test"), message("Subject: x\r\n", "x\r\n"), targets(target)) {
				if !r.Reply.Temporary() {
					t.Errorf("%v", r.Reply.Error())
				}
			}
		})
	}
}
