package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// TestMain: nothing of a stopped module is left, but what the authority of the
// tests leaves.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(acmetest.LeakedByPebble))
}

var worlds atomic.Int32

// host is a name of tests that ask no authority.
const host = "mx.example.com"

// world is an authority and what an instance lives in.
type world struct {
	t       *testing.T
	host    string // one for each world: the challenges of a process have names only
	ca      *acmetest.Server
	values  *valuestest.Values
	sockets *appliance.Sockets
	logs    *observer.ObservedLogs
	log     *zap.Logger
}

func newWorld(t *testing.T, o acmetest.Options) *world {
	core, logs := observer.New(zapcore.DebugLevel)
	return &world{
		t: t, host: fmt.Sprintf("mx%d.example.com", worlds.Add(1)), ca: acmetest.Start(t, o), values: new(valuestest.Values), sockets: new(appliance.Sockets),
		logs: logs, log: zap.New(core),
	}
}

// instance makes an instance that gets its certificates in this world, quickly.
func (w *world) instance(change ...func(*ACME)) *ACME {
	a := New()
	a.Issuers = []Issuer{{Label: "test", Directory: w.ca.Directory(), RootFile: w.ca.RootFile()}}
	a.HTTPAddress, a.TLSALPNAddress = w.ca.HTTPAddress(), w.ca.TLSAddress()
	a.retry = func(int) time.Duration { return 50 * time.Millisecond }
	a.timeout = 20 * time.Second
	for _, f := range change {
		f(a)
	}
	return a
}

// start starts an instance that stops with the test, at the latest.
func (w *world) start(a *ACME) *ACME {
	w.t.Helper()
	if err := a.Validate(); err != nil {
		w.t.Fatal(err)
	}
	err := a.Provision(&appliance.Context{
		Addr: appliance.Addr{Kind: appliance.KindTLS, Name: "test"}, Log: w.log, Hostname: w.host,
		Values: w.values, Sockets: w.sockets, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := a.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { a.Stop(context.Background()) })
	w.t.Cleanup(stop)
	return a
}

// patience is how long the tests wait for what must come.
const patience = 15 * time.Second

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	if !wait(f) {
		t.Fatalf("in vain: %s", what)
	}
}

// receive returns what comes from a channel, or ends the test when nothing
// does.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("in vain: %s", what)
		panic("unreachable")
	}
}

func wait(f func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}

// ready waits until an instance has real certificates for the names.
func (w *world) ready(a *ACME, names ...string) {
	w.t.Helper()
	for _, n := range names {
		ok := wait(func() bool { return info(w.t, a, n).State == appliance.CertificateValid })
		if !ok {
			w.t.Fatalf("no certificate for %s: %+v", n, info(w.t, a, n))
		}
	}
	if err := a.Ready(); err != nil {
		w.t.Error(err)
	}
}

func info(t *testing.T, a *ACME, name string) appliance.CertificateInfo {
	t.Helper()
	for _, i := range a.Certificates() {
		if slices.Contains(i.Names, name) {
			return i
		}
	}
	t.Fatalf("no entry for %s", name)
	panic("unreachable")
}

// handshake returns what a client sees, and whether it can verify that. The
// two ends of a pipe would wait for each other if it verified meanwhile.
func (w *world) handshake(server *tls.Config, name string) (tls.ConnectionState, error) {
	client, conn := net.Pipe()
	var g sync.WaitGroup
	defer g.Wait()
	defer client.Close()
	g.Go(func() {
		defer conn.Close()
		_ = tls.Server(conn, server).Handshake()
	})
	c := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	state := c.ConnectionState()
	chain := x509.NewCertPool()
	for _, between := range state.PeerCertificates[1:] {
		chain.AddCert(between)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: w.ca.Roots(), Intermediates: chain})
	return state, err
}

// logged returns the log lines with a message.
func (w *world) logged(message string) []observer.LoggedEntry {
	return w.logs.FilterMessage(message).All()
}

// only uses one challenge.
func only(challenge string) func(*ACME) {
	return func(a *ACME) { a.Challenges = []string{challenge} }
}

func TestObtain(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{http01, tlsALPN01} {
		t.Run(challenge, func(t *testing.T) {
			w := newWorld(t, acmetest.Options{})
			a := w.start(w.instance(only(challenge), func(a *ACME) { a.Email = "Post.Master+acme@example.com" }))
			w.ready(a, w.host)
			if _, err := w.handshake(a.ServerConfig(appliance.TLSUse{}), w.host); err != nil {
				t.Error(err)
			}
			i := info(t, a, w.host)
			if i.Source != "test" || !strings.HasPrefix(i.Issuer, "Pebble") || len(i.KeyHash) != 64 || !i.KeyStays || i.Error != "" {
				t.Errorf("%+v", i)
			}
			if left := time.Until(i.Renewal); left < 50*24*time.Hour || left > 70*24*time.Hour {
				t.Errorf("renewal in %v of a certificate for 90 days", left)
			}
			eventually(t, "a line in the log", func() bool { return len(w.logged("certificate obtained")) == 1 })
			for _, address := range []string{w.ca.HTTPAddress(), w.ca.TLSAddress()} {
				eventually(t, "a closed port", func() bool { return refuses(address) })
			}
		})
	}
}

func refuses(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// TestRestart: what the store has is served at once and without the authority.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance())
	w.ready(a, w.host)
	hash := info(t, a, w.host).KeyHash
	a.Stop(t.Context())
	w.ca.Down()
	b := w.start(w.instance())
	if i := info(t, b, w.host); i.State != appliance.CertificateValid || i.KeyHash != hash || i.Source != "test" {
		t.Errorf("%+v", i)
	}
	if _, err := w.handshake(b.ServerConfig(appliance.TLSUse{}), w.host); err != nil {
		t.Error(err)
	}
	if b.Ready() != nil {
		t.Error(b.Ready())
	}
	if n := w.ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
}

// TestX7Nonces: half of all nonces are rejected.
func TestX7Nonces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{BadNonces: 50})
	w.ready(w.start(w.instance()), w.host)
}

// TestX7ExpiredOrder: an order that expires under our hands is made again.
func TestX7ExpiredOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	var once sync.Once
	w.ca.Inject(acmetest.Fault(func(r *http.Request) *acmetest.Problem {
		if acmetest.ResourceOf(r) == acmetest.Finalize {
			once.Do(w.ca.ExpireOrders)
		}
		return nil
	}))
	a := w.start(w.instance())
	w.ready(a, w.host)
	if len(w.logged("certificate failed")) == 0 {
		t.Error("the order did not expire")
	}
}

// TestX7DownAtStart: the server starts without its authority, says why it is
// not ready, shows a self-signed certificate, and comes up by itself.
func TestX7DownAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	w.ca.Down()
	a := w.start(w.instance())
	eventually(t, "an error", func() bool { return info(t, a, w.host).Error != "" })
	i := info(t, a, w.host)
	if i.State != appliance.CertificatePending || !strings.Contains(i.Error, "cannot be reached") || i.NextTry.IsZero() {
		t.Errorf("%+v", i)
	}
	if err := a.Ready(); err == nil || !strings.Contains(err.Error(), i.Error) {
		t.Errorf("ready: %v", err)
	}
	server := a.ServerConfig(appliance.TLSUse{})
	if _, err := w.handshake(server, w.host); !strings.Contains(fmt.Sprint(err), "unknown authority") {
		t.Errorf("handshake before: %v", err)
	}
	missing := w.logs.FilterMessageSnippet("no certificate yet").All()
	if len(missing) != 1 || !strings.Contains(fmt.Sprint(missing[0].ContextMap()["needs"]), "docker run -p 80:") {
		t.Errorf("what is missing: %v", missing)
	}
	w.ca.Up()
	w.ready(a, w.host)
	if _, err := w.handshake(server, w.host); err != nil {
		t.Error(err)
	}
	if i := info(t, a, w.host); i.Error != "" || !i.NextTry.IsZero() {
		t.Errorf("still %+v", i)
	}
}

// TestSelfSignedIsReady: who says so is asked for passwords at once.
func TestSelfSignedIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	w.ca.Down()
	a := w.start(w.instance(func(a *ACME) { a.SelfSigned = true }))
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
}

// TestX7TwoNames: a name that does not work is no concern of the other.
func TestX7TwoNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance(func(a *ACME) { a.Names = []string{"mail.invalid", w.host} }))
	w.ready(a, w.host)
	eventually(t, "an error", func() bool { return info(t, a, "mail.invalid").Error != "" })
	if i := info(t, a, "mail.invalid"); i.State != appliance.CertificatePending || !strings.Contains(i.Error, "mail.invalid") {
		t.Errorf("%+v", i)
	}
	if err := a.Renew(t.Context(), "mail.invalid"); err == nil || !strings.Contains(err.Error(), "mail.invalid") {
		t.Errorf("renew: %v", err)
	}
	if err := a.Renew(t.Context(), "other.example"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "mail.invalid, "+w.host) {
		t.Errorf("renew of a stranger: %v", err)
	}
	// A client that asks for the name without one is shown the other.
	if _, err := w.handshake(a.ServerConfig(appliance.TLSUse{}), w.host); err != nil {
		t.Error(err)
	}
}

// TestListenerNames: with a listener come its names, unless the block has some.
func TestListenerNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance())
	c := a.ServerConfig(appliance.TLSUse{Names: []string{"Submission.example.com", w.host}})
	w.ready(a, w.host, "submission.example.com")
	for _, name := range []string{w.host, "submission.example.com"} {
		if _, err := w.handshake(c, name); err != nil {
			t.Error(err)
		}
	}
	if n := len(a.Certificates()); n != 2 {
		t.Errorf("%d names", n)
	}
	b := w.start(w.instance(func(b *ACME) { b.Names = []string{w.host} }))
	b.ServerConfig(appliance.TLSUse{Names: []string{"imap.example.com"}})
	if n := len(b.Certificates()); n != 1 {
		t.Errorf("%d names", n)
	}
}
