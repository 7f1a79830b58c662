package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// acmeConfiguration has what an administrator writes, and that the authority
// and its ways to us are on loopback.
const acmeConfiguration = `
hostname = "mail.example.com"
data_dir = %q

tls "acme" "auto" {
  email            = "postmaster@example.com"
  http_address     = %q
  tls_alpn_address = %q
  self_signed      = false
  issuer "test" {
    directory = %q
    root_file = %q
  }
}

listener "smtp" "mx" {
  address = %q
  trusted = ["127.0.0.1"]
}
listener "submission" "apps" { address = %q }
listener "submissions" "apps_tls" { address = %q }

auth "static" "apps" {
  user "app" { password = env("APP_PASSWORD") }
}
check "senders" "own" {
  allow   = { app = ["@example.com"] }
  trusted = ["@example.com"]
}

%s

pipeline "outgoing" {
  listeners = [listener.apps, listener.apps_tls]
  auth      = [auth.apps]
  checks    = [check.own]
  unsigned  = "allow"
  relay     = relay.out
}
pipeline "incoming" {
  listeners = [listener.mx]
  checks    = [check.own]
  unsigned  = "allow"
  relay     = relay.out
}
`

// acmeProcess is a server that gets its certificate from a test authority, and
// its three listeners.
type acmeProcess struct {
	*process
	ca                        *acmetest.Server
	mx, submission, submitTLS door
}

func newACME(t *testing.T, o acmetest.Options, relay string) *acmeProcess {
	t.Helper()
	a := &acmeProcess{
		process:    &process{t: t, dir: t.TempDir(), submit: freeAddress(t), tls: freeAddress(t)},
		ca:         acmetest.Start(t, o),
		mx:         door{name: "listener.mx", address: freeAddress(t)},
		submission: door{name: "listener.apps"},
		submitTLS:  door{name: "listener.apps_tls", implicit: true},
	}
	a.submission.address, a.submitTLS.address = a.submit, a.tls
	a.config = filepath.Join(a.dir, "mail.hcl")
	text := fmt.Sprintf(acmeConfiguration, filepath.Join(a.dir, "data"), a.ca.HTTPAddress(), a.ca.TLSAddress(),
		a.ca.Directory(), a.ca.RootFile(), a.mx.address, a.submit, a.tls, relay)
	if err := os.WriteFile(a.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.kill()
		if t.Failed() {
			t.Logf("log of the server:\n%s", a.log.String())
		}
	})
	return a
}

func (a *acmeProcess) doors() []door { return []door{a.mx, a.submission, a.submitTLS} }

// trusted waits until every listener shows a certificate that clients of the
// authority trust.
func (a *acmeProcess) trusted() {
	a.t.Helper()
	for _, d := range a.doors() {
		until(a.t, 20*time.Second, d.name+" shows a certificate of the authority", func() bool {
			return strings.HasPrefix(d.served(a.t).Issuer.CommonName, "Pebble ")
		})
		if _, err := d.handshake(a.ca.Roots()); err != nil {
			a.t.Fatalf("%s: %v", d.name, err)
		}
	}
}

// verified is the login of a client that trusts the authority and nobody else.
func (a *acmeProcess) verified(d door) appliancetest.SubmitConfig {
	c := appliancetest.SubmitConfig{
		Address: d.address, Implicit: d.implicit, User: "app", Password: password,
		TLS:     &tls.Config{ServerName: "mail.example.com", RootCAs: a.ca.Roots()},
		Timeout: 10 * time.Minute,
	}
	if d == a.mx {
		c.User = ""
	}
	return c
}

// careless is the login of a client that trusts everybody.
func (a *acmeProcess) careless(d door) appliancetest.SubmitConfig {
	c := a.verified(d)
	c.TLS = &tls.Config{InsecureSkipVerify: true}
	return c
}

// dial opens a session that lasts until the test ends.
func dial(t *testing.T, c appliancetest.SubmitConfig) *appliancetest.Submitter {
	t.Helper()
	s, err := appliancetest.DialSubmitter(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func submit(t *testing.T, s *appliancetest.Submitter, subject string) {
	t.Helper()
	m := appliancetest.Message("app@example.com", "someone@example.net", subject, 500)
	if _, err := s.Submit("app@example.com", []string{"someone@example.net"}, m); err != nil {
		t.Errorf("%s: %v", subject, err)
	}
}

const discard = `relay "discard" "out" {}`

// With a host name and the block, every listener serves a certificate that
// software which no one here wrote trusts (X7, A5).
func TestACMEForEveryListener_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.start()
	a.trusted()
	for _, d := range a.doors() {
		d.openssl(t, a.ca.RootsFile(), "-servername", "mail.example.com")
		d.openssl(t, a.ca.RootsFile(), "-noservername")                   // as many mail servers
		d.openssl(t, a.ca.RootsFile(), "-servername", "else.example.net") // TLS is for the mail, not for the name
		d.openssl(t, a.ca.RootsFile(), "-tls1_2")
		d.posttlsFinger(t, "verify", a.ca.RootsFile())
		d.posttlsFinger(t, "secure", a.ca.RootsFile())
		d.sslscan(t)
		submit(t, dial(t, a.verified(d)), d.name)
	}
	if n := a.ca.Issued(); n != 1 {
		t.Errorf("%d certificates were issued for one name", n)
	}
	list := a.run("tls", "list")
	for _, want := range []string{"mail.example.com", "valid", "Pebble Intermediate CA"} {
		if !strings.Contains(list, want) {
			t.Errorf("tls list does not say %q:\n%s", want, list)
		}
	}
}

// Nothing but each of the challenges, with half of the nonces rejected.
func TestACMEChallenges_X7(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} { // dns-01 is TestACMEByDNS
		t.Run(challenge, func(t *testing.T) {
			a := newACME(t, acmetest.Options{BadNonces: 50}, discard)
			a.setting("self_signed      = false", fmt.Sprintf("challenges = [%q]", challenge))
			a.start()
			a.trusted()
		})
	}
}

// dns-01 needs no port: the records go to a name server that somebody else
// wrote, by RFC 2136, and the authority asks that server (X7).
func TestACMEByDNS_X7(t *testing.T) {
	k := startKnot(t)
	a := newACME(t, acmetest.Options{Resolver: k.address, BadNonces: 50}, discard)
	a.setting("self_signed      = false", fmt.Sprintf("dns = dns.zone\n  resolvers = [%q]", k.address))
	a.setting("listener \"smtp\" \"mx\"", fmt.Sprintf("dns \"rfc2136\" \"zone\" {\n  server   = %q\n  key_name = \"acme.\"\n  key      = %q\n}\nlistener \"smtp\" \"mx\"",
		k.address, k.secret))
	a.start()
	a.trusted()
	if left := k.challenges(t); len(left) > 0 {
		t.Errorf("the zone still has the records %q", left)
	}
	if strings.Contains(a.log.String(), k.secret) {
		t.Error("the key of the zone is in the log") // P19
	}
}

// The TLSA record that the command prints is what Postfix finds in the
// certificate, and stays so when the certificate is renewed.
func TestACMERecordsForDANE_P18(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.start()
	a.trusted()
	record := regexp.MustCompile(`TLSA\s+3 1 1 ([0-9A-Fa-f]{64})`).FindStringSubmatch(a.run("tls", "tlsa", "mail.example.com"))
	if record == nil {
		t.Fatalf("tls tlsa says\n%s", a.run("tls", "tlsa", "mail.example.com"))
	}
	a.mx.posttlsFingerprint(t, record[1])
	before := a.mx.served(t).SerialNumber
	a.run("tls", "renew", "mail.example.com")
	if after := a.mx.served(t).SerialNumber; after.Cmp(before) == 0 {
		t.Error("tls renew has changed nothing")
	}
	a.mx.posttlsFingerprint(t, record[1])
}

// The authority is down at the start: the process starts, port 25 has TLS,
// nobody is asked for a password in vain, and when the certificate comes it
// comes to the running process, under sessions that go on.
func TestACMEAuthorityDownAtStart_X7_P18(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.ca.Down()
	a.start()
	for _, d := range a.doors() {
		if c := d.served(t); c.Issuer.String() != c.Subject.String() {
			t.Errorf("%s shows a certificate of %s", d.name, c.Issuer)
		}
	}
	before := dial(t, a.careless(a.mx))
	submit(t, before, "encrypted with a certificate that proves nothing")
	for _, d := range []door{a.submission, a.submitTLS} {
		_, err := appliancetest.DialSubmitter(a.careless(d))
		var reply *textproto.Error
		if !errors.As(err, &reply) || reply.Code != 454 || !strings.Contains(reply.Msg, "certificate") {
			t.Errorf("%s: AUTH without a certificate: %v, want 454 and why", d.name, err)
		}
	}
	if list := a.run("tls", "list"); !strings.Contains(list, "mail.example.com") || !strings.Contains(list, "pending") {
		t.Errorf("tls list does not say what is missing:\n%s", list)
	}

	a.ca.Up()
	a.run("tls", "renew", "mail.example.com") // or wait for the next try
	a.trusted()
	submit(t, before, "the old session goes on")
	for _, d := range a.doors() {
		submit(t, dial(t, a.verified(d)), d.name)
	}
}

// Of two names, one cannot be validated: the other gets its certificate all the
// same, clients can log in, and the list says what is wrong with the first.
func TestACMETwoNamesOneFails_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.setting("self_signed      = false", `names = ["mail.example.com", "smtp.invalid"]`)
	a.start()
	a.trusted()
	for _, d := range a.doors() {
		submit(t, dial(t, a.verified(d)), d.name)
	}
	list := ""
	until(t, 10*time.Second, "the list says why smtp.invalid has no certificate", func() bool {
		list = a.run("tls", "list")
		return strings.Contains(list, "ould not resolve") // as http-01 and tls-alpn-01 say it
	})
	for _, want := range []string{"mail.example.com", "valid", "smtp.invalid", "pending"} {
		if !strings.Contains(list, want) {
			t.Errorf("tls list does not say %q:\n%s", want, list)
		}
	}
}

// self_signed = true: the administrator says that clients may log in before
// there is a certificate.
func TestACMESelfSignedWanted_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.setting("self_signed      = false", "self_signed = true")
	a.ca.Down()
	a.start()
	for _, d := range a.doors() {
		submit(t, dial(t, a.careless(d)), d.name)
	}
}

// A restart serves what is stored at once, and needs nobody for it.
func TestACMERestartWithoutAuthority_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.start()
	a.trusted()
	serial := a.mx.served(t).SerialNumber
	a.ca.Down()
	a.terminate()
	a.start()
	for _, d := range a.doors() {
		// The first handshake after the start, not one of those that follow.
		state, err := d.handshake(a.ca.Roots())
		if err != nil {
			t.Errorf("%s: %v", d.name, err)
			continue
		}
		if got := state.PeerCertificates[0].SerialNumber; got.Cmp(serial) != 0 {
			t.Errorf("%s shows certificate %v, %v is stored", d.name, got, serial)
		}
	}
	if n := a.ca.Issued(); n != 1 {
		t.Errorf("%d certificates were issued", n)
	}
}

// A CA that is down at the renewal: the old certificate stays, and the
// administrator is told.
func TestACMEAuthorityDownAtRenewal_X7(t *testing.T) {
	a := newACME(t, acmetest.Options{}, discard)
	a.start()
	a.trusted()
	serial := a.mx.served(t).SerialNumber
	a.ca.Inject(acmetest.Fail(acmetest.NewOrder, acmetest.RateLimited(time.Hour)))
	out, err := a.try("tls", "renew", "mail.example.com")
	if err == nil || !strings.Contains(out, "too many certificates") {
		t.Errorf("tls renew: %v\n%s", err, out)
	}
	for _, d := range a.doors() {
		if got := d.served(t).SerialNumber; got.Cmp(serial) != 0 {
			t.Errorf("%s shows certificate %v, want the old one", d.name, got)
		}
		submit(t, dial(t, a.verified(d)), d.name)
	}
}
