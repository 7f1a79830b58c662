package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
)

// holders knows clients by the common name of their certificate, which may ask
// to be the user "anybody" as well.
type holders []string

func (holders) Provision(*appliance.Context) error { return nil }

func (holders) Authenticate(context.Context, *appliance.Session, string, appliance.Secret) (appliance.Identity, error) {
	panic("asked for a password")
}

func (h holders) AuthenticateExternal(_ context.Context, s *appliance.Session, user string) (appliance.Identity, error) {
	if len(s.TLS.PeerCertificates) == 0 {
		return appliance.Identity{}, errors.New("asked without a certificate")
	}
	for _, name := range h {
		if s.TLS.PeerCertificates[0].Subject.CommonName == name && (user == "" || user == name || user == "anybody") {
			return appliance.Identity{User: name}, nil
		}
	}
	return appliance.Identity{}, appliance.ErrCredentials
}

// knowing adds holders to the authenticators of the house.
func knowing(names ...string) func(*options) {
	return within(func(h *appliancetest.House, _ *appliance.House) {
		h.Pipeline.Auth = append(h.Pipeline.Auth, appliance.RefTo[appliance.Authenticator](
			appliance.Addr{Kind: appliance.KindAuth, Name: "holders"}, holders(names)))
	})
}

// passwordless leaves the house without users that have passwords.
func passwordless(o *options) {
	o.house = append(o.house, func(h *appliancetest.House, _ *appliance.House) { h.Users = nil })
}

// showing is a client configuration with a certificate for name, and others,
// or without one for "".
func (r *rig) showing(t *testing.T, name string, others ...string) *tls.Config {
	t.Helper()
	config := r.clientTLS()
	if name == "" {
		return config
	}
	bundle, err := certs.SelfSigned(append([]string{name}, others...), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		t.Fatal(err)
	}
	// Shown whatever the server asks for.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	return config
}

// as runs a script as a client that has such a certificate.
func (r *rig) as(t *testing.T, name, script string) {
	t.Helper()
	config := r.showing(t, name)
	d := &appliancetest.Dialogue{TLS: config, Directive: r.directive, Dial: func() (net.Conn, error) {
		c, err := net.Dial("tcp", r.srv.Addrs()[0].String())
		if err != nil || !r.srv.role.ImplicitTLS {
			return c, err
		}
		return tls.Client(c, config), nil
	}}
	if err := d.Run(script); err != nil {
		t.Errorf("as %q: line %v", name, err)
	}
}

const hello = "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n"

// TestExternalOffered: what is announced to whom, and what of the rest is
// refused how.
func TestExternalOffered(t *testing.T) {
	for _, c := range []struct {
		name        string
		options     []func(*options)
		certificate string
		script      string
	}{
		{"passwords alone", nil, "printer",
			"has: ^250.AUTH PLAIN LOGIN$\nC: AUTH EXTERNAL =\nS: 504 5.5.4 <<This authentication mechanism is not offered.*"},
		{"both, certificate shown", []func(*options){knowing("printer")}, "printer",
			"has: ^250.AUTH EXTERNAL PLAIN LOGIN$\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 235 <<.*"},
		{"both, a stranger's certificate", []func(*options){knowing("printer")}, "stranger",
			"has: ^250.AUTH EXTERNAL PLAIN LOGIN$\nC: AUTH EXTERNAL =\nS: 535 5.7.8 <<.*\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 235 <<.*"},
		{"both, none shown", []func(*options){knowing("printer")}, "",
			"has: ^250.AUTH PLAIN LOGIN$\nC: AUTH EXTERNAL =\nS: 504 5.5.4 <<.*show a client certificate.*\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 235 <<.*"},
		{"certificates alone", []func(*options){knowing("printer"), passwordless}, "printer",
			"has: ^250.AUTH EXTERNAL$\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 504 5.5.4 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 5.7.0 Authentication required"},
		{"certificates alone, none shown", []func(*options){knowing("printer"), passwordless}, "",
			"lacks: AUTH\nC: AUTH LOGIN\nS: 504 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 5.7.0 <<.*show a client certificate.*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start(t, append(c.options, implicit)...).as(t, c.certificate, hello+c.script)
		})
	}
}

// TestExternal is RFC 4422, appendix A, in the profile of RFC 4954: with and
// without initial response, as oneself, as somebody one may be, and as
// somebody one may not be.
func TestExternal(t *testing.T) {
	r := start(t, implicit, knowing("printer"))
	const in = "\nS: 235 2.7.0 Authentication succeeded\nC: MAIL FROM:<a@local.test>\nS: 250 <<.*\nC: RCPT TO:<b@elsewhere.example>\nS: 250 <<.*"
	for name, script := range map[string]string{
		"no identity":             "C: AUTH EXTERNAL =" + in,
		"after a challenge":       "C: AUTH EXTERNAL\nS: 334 \nC: " + in,
		"lower case":              "C: auth external =" + in,
		"oneself":                 "C: AUTH EXTERNAL cHJpbnRlcg==" + in,
		"allowed":                 "C: AUTH EXTERNAL YW55Ym9keQ==" + in,
		"somebody else":           "C: AUTH EXTERNAL cm9vdA==\nS: 535 5.7.8 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 <<.*",
		"cancelled":               "C: AUTH EXTERNAL\nS: 334 \nC: *\nS: 501 5.7.0 <<.*",
		"NUL":                     "C: AUTH EXTERNAL cHJpbnRlcgBy\nS: 501 5.5.2 <<.*",
		"line break":              "C: AUTH EXTERNAL cHJpbnRlcg0K\nS: 535 5.7.8 <<.*",
		"not UTF-8":               "C: AUTH EXTERNAL /w==\nS: 535 5.7.8 <<.*",
		"not base64":              "C: AUTH EXTERNAL printer!\nS: 501 5.5.2 <<.*",
		"too long":                "C: AUTH EXTERNAL " + strings.Repeat("YWFh", 120) + "\nS: 535 5.7.8 <<.*",
		"twice":                   "C: AUTH EXTERNAL =\nS: 235 <<.*\nC: AUTH EXTERNAL =\nS: 503 5.5.1 <<.*",
		"forgotten with EHLO not": "C: AUTH EXTERNAL =\nS: 235 <<.*\nC: EHLO again\nS: 250 <<.*\nlacks: AUTH\nC: MAIL FROM:<a@local.test>\nS: 250 <<.*",
	} {
		t.Run(name, func(t *testing.T) { r.as(t, "printer", hello+script) })
	}
	for _, e := range r.Events.All() {
		if e.Kind == appliance.EventAuthFailed && e.User != "root" {
			t.Errorf("an authenticator was asked for %q", e.User)
		}
	}
}

// TestExternalUnderSTARTTLS: the certificate of the handshake counts, AUTH in
// clear does not, and port 25 asks nobody for a certificate.
func TestExternalUnderSTARTTLS(t *testing.T) {
	secure := "C: STARTTLS\nS: 220 <<.*\nstarttls\nC: EHLO client.example\nS: 250 <<.*\n"
	r := start(t, submission, knowing("printer"))
	r.as(t, "printer", hello+"C: AUTH EXTERNAL =\nS: 538 5.7.11 <<.*\n"+secure+"has: AUTH EXTERNAL\nC: AUTH EXTERNAL =\nS: 235 <<.*")
	asked := false
	exchanger := start(t, knowing("printer"))
	config := exchanger.showing(t, "printer")
	own := config.GetClientCertificate
	config.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return own(i)
	}
	d := exchanger.dialogue()
	d.TLS = config
	if err := d.Run(hello + secure + "lacks: AUTH"); err != nil || asked {
		t.Errorf("asked for a certificate: %t, %v", asked, err)
	}
}

// visit makes a handshake, reads the greeting, and says what became of it.
func visit(t *testing.T, r *rig, config *tls.Config) tls.ConnectionState {
	t.Helper()
	c, err := tls.Dial("tcp", r.srv.Addrs()[0].String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil { // tickets come before it
		t.Fatal(err)
	}
	return c.ConnectionState()
}

// TestA11_Tickets: a session that was begun without a certificate is no way
// into one where certificates count, from another listener or from before a
// reload; nor is one that was begun with a certificate taken up again.
func TestA11_Tickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			x, y := start(t, implicit), start(t, implicit, knowing("printer"))
			// The worst case: the tickets of one are readable by the other.
			keys := [][32]byte{{1, 2, 3}}
			x.srv.tls.SetSessionTicketKeys(keys)
			y.srv.asking.SetSessionTicketKeys(keys)
			config := y.showing(t, "printer")
			config.RootCAs = x.tls.Roots
			config.RootCAs.AddCert(y.tls.Certificate.Leaf)
			config.MaxVersion = version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // knows the server as mail.test
			visit(t, x, config)
			if !visit(t, x, config).DidResume {
				t.Fatal("no ticket was used where none is a danger: the test shows nothing")
			}
			for range 2 {
				if visit(t, y, config).DidResume {
					t.Error("resumed where certificates count")
				}
			}
		})
	}
}

// TestReloadAsksForCertificates: a listener that stays while its pipeline
// changes asks from then on, and stops when nobody wants to know any more.
// Tickets of the time between do not count.
func TestReloadAsksForCertificates(t *testing.T) {
	r := start(t, implicit)
	config := r.showing(t, "printer")
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	asked := 0
	own := config.GetClientCertificate
	config.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked++
		return own(i)
	}
	other := start(t, implicit, knowing("printer"))
	for i, c := range []struct {
		pipeline *appliance.Pipeline
		resumes  bool
		asked    int
	}{
		{r.Pipeline, false, 0}, {r.Pipeline, true, 0}, {other.Pipeline, false, 1}, {other.Pipeline, false, 2}, {r.Pipeline, true, 2},
	} {
		r.srv.Attach(c.pipeline)
		if got := visit(t, r, config); got.DidResume != c.resumes || asked != c.asked {
			t.Errorf("visit %d: resumed %t, asked %d times; want %t, %d", i, got.DidResume, asked, c.resumes, c.asked)
		}
	}
}

// TestH1_Certificate: what a certificate says stands in no reply, in no field
// and in no line of the log that is not the authenticator's.
func TestH1_Certificate(t *testing.T) {
	const evil = "printer\r\nBcc: marker"
	r := start(t, implicit, knowing("printer", evil))
	message := "\nC: MAIL FROM:<a@local.test>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*\nC: DATA\nS: 354 <<.*\nC: Subject: x\nC: \nC: text\nC: .\nS: 250 <<.*"
	r.as(t, evil, hello+"C: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 235 <<.*"+message)
	for _, m := range r.Spool.Messages() {
		if strings.Contains(string(m.Bytes()), "marker") {
			t.Errorf("%s", m.Bytes())
		}
	}
	for _, e := range r.logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "marker") {
			t.Error(line)
		}
	}
	if len(r.Spool.Messages()) != 1 {
		t.Error("no message: the test shows nothing")
	}
}
