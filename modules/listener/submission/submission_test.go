package submission

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
	r, ok := appliance.Builtin.Get(appliance.KindListener, "submission")
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

// TestListener: STARTTLS before AUTH, AUTH before MAIL, then anywhere.
func TestListener(t *testing.T) {
	l := registered(t)
	if l.Address != ":587" {
		t.Errorf("default address %q", l.Address)
	}
	run(t, l, `S: 220 mail.test ESMTP
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

// TestValidate: without certificates and without trust nobody could send.
func TestValidate(t *testing.T) {
	l := New()
	if got := blamed(l.Validate()); got != "tls" {
		t.Errorf("blames %q", got)
	}
	l.Trusted = []string{"10.0.0.0/8"}
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
	l.Address = "nowhere"
	if got := blamed(l.Validate()); got != "address" {
		t.Errorf("blames %q", got)
	}
}
