package smtpserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a running server in a house.
type rig struct {
	*appliancetest.House
	srv  *Server
	logs *observer.ObservedLogs
	tls  *appliancetest.Certificates
}

// options are what a test may want to be different.
type options struct {
	set   Settings
	role  Role
	house []func(*appliancetest.House, *appliance.House)
	noTLS bool
	wait  bool // delays are real

	memory *appliance.Memory
	limits appliance.Limits // of the context of the listener
}

// submission and exchanger are the two kinds of listener most tests run.
func submission(o *options) { o.role = Role{Submission: true} }
func implicit(o *options)   { o.role = Role{Submission: true, ImplicitTLS: true} }
func trusting(o *options)   { o.set.Trusted = []string{"127.0.0.0/8"} }

// secured is the exchanger over TLS, where what hostile clients send is tried
// once more.
func secured(o *options) { o.role = Role{Opportunistic: true, ImplicitTLS: true} }

// wires are the connections on which it is tried.
var wires = []struct {
	name string
	opt  func(*options)
}{{"", func(*options) {}}, {"/TLS", secured}}

func within(change ...func(*appliancetest.House, *appliance.House)) func(*options) {
	return func(o *options) { o.house = append(o.house, change...) }
}

// newRig provisions a server that is not started yet.
func newRig(t *testing.T, opts ...func(*options)) *rig {
	t.Helper()
	o := options{set: DefaultSettings("127.0.0.1:0"), role: Role{Opportunistic: true}, limits: appliance.DefaultSettings().Limits}
	for _, f := range opts {
		f(&o)
	}
	r := &rig{House: appliancetest.NewHouse(t, o.house...), tls: appliancetest.NewCertificates(t), srv: new(Server)}
	if !o.noTLS {
		o.set.TLS = r.tls.Ref()
	}
	core, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	if !o.wait {
		r.srv.second = time.Microsecond
	}
	err := r.srv.Provision(&appliance.Context{
		Addr:   appliance.Addr{Kind: appliance.KindListener, Name: "test"},
		Log:    zap.New(core),
		Limits: o.limits,
		Memory: o.memory,
	}, o.set, o.role)
	if err != nil {
		t.Fatal(err)
	}
	r.srv.Attach(r.Pipeline)
	return r
}

// start runs a server until the end of the test.
func start(t *testing.T, opts ...func(*options)) *rig {
	t.Helper()
	r := newRig(t, opts...)
	if err := r.srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *rig) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.srv.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("Stop had to cut sessions")
	}
	if n := r.Spool.Open(); n != 0 {
		t.Errorf("%d drafts were neither committed nor aborted", n)
	}
}

func (r *rig) dial() (net.Conn, error) {
	c, err := net.Dial("tcp", r.srv.Addrs()[0].String())
	if err != nil || !r.srv.role.ImplicitTLS {
		return c, err
	}
	return tls.Client(c, r.clientTLS()), nil
}

func (r *rig) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: r.tls.Roots, ServerName: "mail.test", MinVersion: tls.VersionTLS12}
}

// dialogue talks to the rig; it adds these words to the language of files:
//
//	accepted: 2          so many messages have been accepted
//	from: a@b            the reverse-path of the last of them
//	to: a@b c@d          its recipients
//	body: text\r\n       its body, without the empty line
func (r *rig) dialogue() *appliancetest.Dialogue {
	return &appliancetest.Dialogue{Dial: r.dial, Directive: r.directive}
}

func (r *rig) directive(word, arg string) error {
	all := r.Spool.Messages()
	var got string
	switch {
	case word == "accepted":
		got = strconv.Itoa(len(all))
	case len(all) == 0:
		return fmt.Errorf("no message was accepted")
	case word == "from":
		got = all[len(all)-1].Envelope.From.String()
	case word == "to":
		var to []string
		for _, r := range all[len(all)-1].Envelope.Recipients {
			to = append(to, r.Mailbox.String())
		}
		got = strings.Join(to, " ")
	case word == "body":
		quoted := strconv.Quote(strings.TrimPrefix(string(all[len(all)-1].Body), "\r\n"))
		got = quoted[1 : len(quoted)-1]
	default:
		return fmt.Errorf("unknown directive")
	}
	if got != arg {
		return fmt.Errorf("is %s", got)
	}
	return nil
}

// talk runs a script against the rig.
func (r *rig) talk(t *testing.T, script string) {
	t.Helper()
	if err := r.dialogue().Run(script); err != nil {
		t.Errorf("line %v", err)
	}
}
