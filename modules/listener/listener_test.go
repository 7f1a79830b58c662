// Package listener_test takes the three SMTP listeners through their lives:
// what tells them apart is shown here, what they have in common in
// internal/smtpserver.
package listener_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/modules/listener/smtp"
	"github.com/waxwing-mail/waxwing/modules/listener/submission"
	"github.com/waxwing-mail/waxwing/modules/listener/submissions"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a pipeline and a certificate for a listener under test.
type bench struct {
	house        *appliancetest.House
	certificates *appliancetest.Certificates
}

func newBench(t *testing.T) bench {
	return bench{appliancetest.NewHouse(t), appliancetest.NewCertificates(t)}
}

func (b bench) plain(a net.Addr) (net.Conn, error) { return net.Dial("tcp", a.String()) }

func (b bench) tls(a net.Addr) (net.Conn, error) {
	return tls.Dial("tcp", a.String(), &tls.Config{RootCAs: b.certificates.Roots, ServerName: "mail.test", MinVersion: tls.VersionTLS12})
}

// run takes a listener through its life and a client through script.
func (b bench) run(t *testing.T, l appliance.Listener, dial func(net.Addr) (net.Conn, error), script string) {
	t.Helper()
	ctx := &appliance.Context{Addr: appliance.Addr{Kind: appliance.KindListener, Name: "test"}, Limits: appliance.DefaultSettings().Limits}
	if err := l.(appliance.Validator).Validate(); err != nil {
		t.Fatal(err)
	}
	if err := l.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	l.Attach(b.house.Pipeline)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &appliancetest.Dialogue{Dial: func() (net.Conn, error) { return dial(l.Addrs()[0]) }}
	if err := d.Run(script); err != nil {
		t.Errorf("line %v", err)
	}
	stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Stop(stop); err != nil {
		t.Error(err)
	}
}

// STARTTLS, no AUTH, our own recipients only.
func TestSMTP(t *testing.T) {
	b, l := newBench(t), smtp.New()
	l.Address, l.TLS = "127.0.0.1:0", b.certificates.Ref()
	b.run(t, l, b.plain, `S: 220 mail.test ESMTP
C: EHLO client.example
S: 250 <<.*
has: STARTTLS
lacks: AUTH
C: STARTTLS
S: 220 <<.*
starttls
C: EHLO client.example
S: 250 <<.*
lacks: AUTH|STARTTLS
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 502 5.5.1 <<.*
C: MAIL FROM:<a@sender.example>
S: 250 <<.*
C: RCPT TO:<b@elsewhere.example>
S: 550 5.7.1 <<.*
C: RCPT TO:<b@local.test>
S: 250 <<.*`)
}

// STARTTLS before AUTH, AUTH before MAIL, then anywhere.
func TestSubmission(t *testing.T) {
	b, l := newBench(t), submission.New()
	l.Address, l.TLS = "127.0.0.1:0", b.certificates.Ref()
	b.run(t, l, b.plain, `S: 220 mail.test ESMTP
C: EHLO client.example
S: 250 <<.*
has: STARTTLS
lacks: AUTH
C: MAIL FROM:<a@local.test>
S: 530 5.7.0 <<Must issue a STARTTLS.*
C: STARTTLS
S: 220 <<.*
starttls
C: EHLO client.example
S: 250 <<.*
has: AUTH PLAIN LOGIN
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 235 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*
C: RCPT TO:<b@elsewhere.example>
S: 250 <<.*`)
}

// TLS first, AUTH before MAIL, then anywhere.
func TestSubmissions(t *testing.T) {
	b, l := newBench(t), submissions.New()
	l.Address, l.TLS = "127.0.0.1:0", b.certificates.Ref()
	b.run(t, l, b.tls, `S: 220 mail.test ESMTP
C: EHLO client.example
S: 250 <<.*
has: AUTH PLAIN LOGIN
lacks: STARTTLS
C: MAIL FROM:<a@local.test>
S: 530 5.7.0 Authentication required
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 235 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*
C: RCPT TO:<b@elsewhere.example>
S: 250 <<.*`)
}

// A client that does not wait for the greeting is refused.
func TestGreetDelay(t *testing.T) {
	b, l := newBench(t), smtp.New()
	l.Address, l.TLS, l.GreetDelay = "127.0.0.1:0", b.certificates.Ref(), 30*time.Millisecond
	b.run(t, l, b.plain, "C: EHLO client.example\nS: 554 5.5.0 <<.*\nclose")
}

func TestDefaultAddresses(t *testing.T) {
	for want, got := range map[string]string{
		":25": smtp.New().Address, ":587": submission.New().Address, ":465": submissions.New().Address,
	} {
		if got != want {
			t.Errorf("default address %q, want %q", got, want)
		}
	}
}

// What the pipeline is told of trusted networks is what is written.
func TestTrustedNetworks(t *testing.T) {
	s, sub, subs := smtp.New(), submission.New(), submissions.New()
	s.Trusted, sub.Trusted, subs.Trusted = []string{"10.0.0.0/8"}, []string{"10.0.0.0/8"}, []string{"10.0.0.0/8"}
	for _, l := range []appliance.NetworkTruster{s, sub, subs} {
		if got := l.TrustedNetworks(); len(got) != 1 || got[0].String() != "10.0.0.0/8" {
			t.Errorf("%T: %v", l, got)
		}
	}
}

// Each mistake is blamed on its attribute.
func TestValidate(t *testing.T) {
	own := newBench(t).certificates.Ref()
	ok := func() *submission.Listener { l := submission.New(); l.TLS = own; return l }
	for _, c := range []struct {
		name, blames string
		listener     func() appliance.Validator
	}{
		{"greeting delayed too long", "greet_delay", func() appliance.Validator { l := smtp.New(); l.GreetDelay = time.Hour; return l }},
		{"greeting delayed backwards", "greet_delay", func() appliance.Validator { l := smtp.New(); l.GreetDelay = -1; return l }},
		{"host bits in a network", "trusted", func() appliance.Validator { l := smtp.New(); l.Trusted = []string{"10.0.0.1/8"}; return l }},
		{"nobody could send", "tls", func() appliance.Validator { return submission.New() }},
		{"trust is enough", "", func() appliance.Validator { l := submission.New(); l.Trusted = []string{"10.0.0.0/8"}; return l }},
		{"no such address", "address", func() appliance.Validator { l := ok(); l.Address = "nowhere"; return l }},
		{"nothing to speak", "tls", func() appliance.Validator { l := submissions.New(); l.Trusted = []string{"10.0.0.0/8"}; return l }},
		{"no time to speak", "idle_timeout", func() appliance.Validator { l := submissions.New(); l.TLS = own; l.IdleTimeout = 0; return l }},
	} {
		blames := ""
		if attr, ok := errors.AsType[*appliance.AttrError](c.listener().Validate()); ok {
			blames = attr.Attr
		}
		if blames != c.blames {
			t.Errorf("%s: blames %q, want %q", c.name, blames, c.blames)
		}
	}
}
