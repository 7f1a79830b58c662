package smtp

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run takes a registered listener through its life and a client through script.
func run(t *testing.T, l *Listener, script string) {
	t.Helper()
	house, certificates := appliancetest.NewHouse(t), appliancetest.NewCertificates(t)
	l.Address = "127.0.0.1:0"
	l.TLS = certificates.Ref()
	ctx := &appliance.Context{Addr: appliance.Addr{Kind: appliance.KindListener, Name: "test"}, Limits: appliance.DefaultSettings().Limits}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := l.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	l.Attach(house.Pipeline)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &appliancetest.Dialogue{Dial: func() (net.Conn, error) { return dial(l.Addrs()[0], certificates) }}
	if err := d.Run(script); err != nil {
		t.Errorf("line %v", err)
	}
	stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Stop(stop); err != nil {
		t.Error(err)
	}
}

func registered(t *testing.T) *Listener {
	t.Helper()
	r, ok := appliance.Builtin.Get(appliance.KindListener, "smtp")
	if !ok || r.Summary == "" || r.Example == "" {
		t.Fatalf("registration: %+v", r)
	}
	return r.New().(*Listener)
}

func blamed(err error) string {
	if attr, ok := errors.AsType[*appliance.AttrError](err); ok {
		return attr.Attr
	}
	return ""
}

func dial(a net.Addr, _ *appliancetest.Certificates) (net.Conn, error) {
	return net.Dial("tcp", a.String())
}

// TestListener: STARTTLS, no AUTH, our own recipients only.
func TestListener(t *testing.T) {
	l := registered(t)
	if l.Address != ":25" {
		t.Errorf("default address %q", l.Address)
	}
	run(t, l, `S: 220 mail.test ESMTP
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

// TestGreetDelay: a client that does not wait for the greeting is refused; the
// delay has bounds.
func TestGreetDelay(t *testing.T) {
	l := registered(t)
	l.GreetDelay = 30 * time.Millisecond
	run(t, l, "C: EHLO client.example\nS: 554 5.5.0 <<.*\nclose")
	for _, bad := range []time.Duration{-1, time.Hour} {
		l := New()
		l.GreetDelay = bad
		if got := blamed(l.Validate()); got != "greet_delay" {
			t.Errorf("%s: blames %q", bad, got)
		}
	}
}

// TestTrusted: what the pipeline is told of trusted networks is what is written.
func TestTrusted(t *testing.T) {
	l := New()
	l.Trusted = []string{"10.0.0.0/8"}
	if got := l.TrustedNetworks(); len(got) != 1 || got[0].String() != "10.0.0.0/8" {
		t.Error(got)
	}
	l.Trusted = []string{"10.0.0.1/8"}
	if got := blamed(l.Validate()); got != "trusted" {
		t.Errorf("blames %q", got)
	}
}
