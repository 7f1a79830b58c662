package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var machines = appliance.Addr{Kind: appliance.KindAuth, Name: "machines"}

// write makes a file in a directory of the test.
func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func provision(c *ClientCert) (*observer.ObservedLogs, error) {
	core, logs := observer.New(zapcore.DebugLevel)
	return logs, errors.Join(c.Validate(), c.Provision(&appliance.Context{Addr: machines, Log: zap.New(core), Hostname: "mail.test"}))
}

func provisioned(t *testing.T, c *ClientCert) *ClientCert {
	t.Helper()
	if _, err := provision(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// login is what becomes of a client that shows a chain: the name of the user,
// "535" and the reason, or "454" and the reason.
func login(t *testing.T, c *ClientCert, user string, chain ...*party) string {
	t.Helper()
	s := &appliance.Session{TLS: new(tls.ConnectionState)}
	for _, p := range chain {
		s.TLS.PeerCertificates = append(s.TLS.PeerCertificates, p.cert)
	}
	id, err := c.AuthenticateExternal(t.Context(), s, user)
	switch {
	case err == nil && id.By == machines:
		return id.User
	case id != (appliance.Identity{}):
		return fmt.Sprintf("%v, and yet %+v", err, id)
	case errors.Is(err, appliance.ErrCredentials):
		return "535 " + err.Error()
	}
	return "454 " + err.Error()
}

func wantLogin(t *testing.T, got, want string) {
	t.Helper()
	code, reason, refused := strings.Cut(want, " ")
	if got != want && (!refused || !strings.HasPrefix(got, code+" ") || !strings.Contains(got, reason)) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestAuthorities: what an authority's certificate is worth.
func TestAuthorities(t *testing.T) {
	ca, stranger := newParty(t, nil, authority("ca")), newParty(t, nil, authority("ca"))
	between := newParty(t, ca, authority("between"))
	c := provisioned(t, &ClientCert{CAFile: write(t, ca.pem())})
	now := time.Now()
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = u }
	}
	times := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
	}
	printer := newParty(t, ca)
	many := []*party{printer}
	for range maxChain {
		many = append(many, between)
	}
	for _, x := range []struct {
		name, user string
		chain      []*party
		want       string
	}{
		{"known", "", []*party{printer}, "printer"},
		{"by its own name", "printer", []*party{printer}, "printer"},
		{"by another name", "root", []*party{printer}, `535 user "printer" asks to be "root"`},
		{"by a name in other letters", "Printer", []*party{printer}, `535 asks to be "Printer"`},
		{"no certificate", "", nil, "535 no certificate"},
		{"no usage at all", "", []*party{newParty(t, ca, usage())}, "printer"},
		{"any usage", "", []*party{newParty(t, ca, usage(x509.ExtKeyUsageAny))}, "printer"},
		{"of a server", "", []*party{newParty(t, ca, usage(x509.ExtKeyUsageServerAuth))}, "535 incompatible key usage"},
		{"expired", "", []*party{newParty(t, ca, times(-2*time.Hour, -time.Hour))}, "535 is valid from"},
		{"not yet valid", "", []*party{newParty(t, ca, times(time.Hour, 2*time.Hour))}, "535 is valid from"},
		{"of a stranger with the name of the authority", "", []*party{newParty(t, stranger)}, "535 unknown authority"},
		{"self-signed", "", []*party{newParty(t, nil)}, "535 unknown authority"},
		{"the stranger brought along", "", []*party{newParty(t, stranger), stranger}, "535 unknown authority"},
		{"by way of an intermediate", "", []*party{newParty(t, between), between}, "printer"},
		{"by way of an intermediate that is missing", "", []*party{newParty(t, between)}, "535 unknown authority"},
		{"issued by a client", "", []*party{newParty(t, printer), printer}, "535 unknown authority"},
		{"the authority itself", "", []*party{ca}, "535 of an authority"},
		{"the intermediate itself", "", []*party{between}, "535 of an authority"},
		{"too many", "", many, "535 at most 9"},
	} {
		t.Run(x.name, func(t *testing.T) { wantLogin(t, login(t, c, x.user, x.chain...), x.want) })
	}
	if _, err := c.AuthenticateExternal(t.Context(), new(appliance.Session), ""); !errors.Is(err, appliance.ErrCredentials) {
		t.Errorf("in plain text: %v", err)
	}
	if _, err := c.Authenticate(t.Context(), new(appliance.Session), "printer", appliance.NewSecret("x")); !errors.Is(err, appliance.ErrCredentials) {
		t.Errorf("with a password: %v", err)
	}
}

// TestUserFrom: which names of a certificate are users; H1: none that could be
// more than a word anywhere.
func TestUserFrom(t *testing.T) {
	ca := newParty(t, nil, authority("ca"))
	file := write(t, ca.pem())
	cn := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name }
	}
	mail := func(all ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.EmailAddresses = all }
	}
	dns := func(all ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.DNSNames = all } }
	two := func(c *x509.Certificate) {
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: "root"}, {Type: oidCommonName, Value: "printer"}}}
	}
	for _, x := range []struct {
		name, field string
		change      func(*x509.Certificate)
		want        string
	}{
		{"common name", "", cn("printer"), "printer"},
		{"common name, said", commonName, cn("printer@example.com"), "printer@example.com"},
		{"letters of the world", "", cn("drücker"), "drücker"},
		{"no common name", "", cn(""), "535 0 values of common_name"},
		{"two common names", "", two, "535 2 values of common_name"},
		{"line break", "", cn("printer\r\nBcc: x"), "535 cannot be a user"},
		{"NUL", "", cn("printer\x00"), "535 cannot be a user"},
		{"space", "", cn("a printer"), "535 cannot be a user"},
		{"too long", "", cn(strings.Repeat("x", 255)), "535 cannot be a user"},
		{"mail", email, mail("Bob@Example.com"), "Bob@example.com"},
		{"no mail", email, cn("bob@example.com"), "535 0 values of email"},
		{"two mails", email, mail("a@example.com", "b@example.com"), "535 2 values of email"},
		{"no address", email, mail("bob"), "535 cannot be a user"},
		{"quoted mail", email, mail(`"a b"@example.com`), "535 cannot be a user"},
		{"host", dnsName, dns("Db.Example.com"), "db.example.com"},
		{"wildcard", dnsName, dns("*.example.com"), "535 cannot be a user"},
		{"two hosts", dnsName, dns("a.example.com", "b.example.com"), "535 2 values of dns_name"},
		{"mail for a host", dnsName, mail("bob@example.com"), "535 0 values of dns_name"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := provisioned(t, &ClientCert{CAFile: file, UserFrom: x.field})
			got := login(t, c, "", newParty(t, ca, x.change))
			wantLogin(t, got, x.want)
			if strings.ContainsAny(got, "\r\n\x00") {
				t.Errorf("the reason is not one line: %q", got)
			}
		})
	}
}

// TestFingerprints: user blocks know certificates of anybody, go before the
// field, and are all there is without ca_file.
func TestFingerprints(t *testing.T) {
	ca := newParty(t, nil, authority("ca"))
	own := newParty(t, nil, authority("openssl makes self-signed ones like this"))
	issued, old := newParty(t, ca), newParty(t, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	users := []User{
		{Name: "scanner", Fingerprints: []Fingerprint{fingerprintOf(own.cert), fingerprintOf(old.cert)}},
		{Name: "special", Fingerprints: []Fingerprint{fingerprintOf(issued.cert)}},
	}
	for _, file := range []string{"", write(t, ca.pem())} {
		c := provisioned(t, &ClientCert{CAFile: file, Users: users})
		wantLogin(t, login(t, c, "", own), "scanner")
		wantLogin(t, login(t, c, "scanner", own), "scanner")
		wantLogin(t, login(t, c, "special", own), `535 asks to be "special"`)
		wantLogin(t, login(t, c, "", issued), "special")
		wantLogin(t, login(t, c, "", old), "535 is valid from")
		other := map[bool]string{true: "535 no user block", false: "printer"}[file == ""]
		wantLogin(t, login(t, c, "", newParty(t, ca)), other)
		// A fingerprint is that of the first, which the client holds the key of.
		wantLogin(t, login(t, c, "", newParty(t, nil), own), "535 ")
	}
}

func TestParseFingerprint(t *testing.T) {
	digits := strings.Repeat("a1", 32)
	colons := strings.TrimSuffix(strings.Repeat("A1:", 32), ":")
	for _, text := range []string{digits, colons, "SHA256:" + digits, "sha256:" + colons, "sha256 Fingerprint=" + colons, "SHA256 Fingerprint=" + colons} {
		var f Fingerprint
		if err := f.UnmarshalText([]byte(text)); err != nil || f.String() != "SHA256:"+digits {
			t.Errorf("%s: %s, %v", text, f, err)
		}
	}
	for _, text := range []string{"", "SHA256:", digits[2:], digits + "a1", "SHA1:" + digits[:40], "SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg", "xx" + digits[2:]} {
		var f Fingerprint
		if err := f.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestValidate: each mistake is blamed on its attribute.
func TestValidate(t *testing.T) {
	user := func(name string, f ...byte) User {
		u := User{Name: name}
		for _, b := range f {
			u.Fingerprints = append(u.Fingerprints, Fingerprint{b})
		}
		return u
	}
	for _, c := range []struct {
		name   string
		module ClientCert
		attr   string // "" is fine
		says   string
	}{
		{"nothing", ClientCert{}, "ca_file", "nobody could log in"},
		{"lists of nobody", ClientCert{CRLFile: "x", Users: []User{user("a", 1)}}, "crl_file", "needs ca_file"},
		{"field of nothing", ClientCert{UserFrom: email, Users: []User{user("a", 1)}}, "user_from", "needs ca_file"},
		{"field", ClientCert{CAFile: "x", UserFrom: "subject"}, "user_from", `"common_name", "email" or "dns_name"`},
		{"name", ClientCert{Users: []User{user("a b", 1)}}, "user", "holds the character"},
		{"no name", ClientCert{Users: []User{user("", 1)}}, "user", "empty"},
		{"no fingerprint", ClientCert{Users: []User{user("a")}}, "user.a.fingerprints", "is empty"},
		{"user twice", ClientCert{Users: []User{user("a", 1), user("a", 2)}}, "user.a", "twice"},
		{"fingerprint twice", ClientCert{Users: []User{user("a", 1, 1)}}, "user.a.fingerprints", `with user "a" already`},
		{"fingerprint of two", ClientCert{Users: []User{user("a", 1), user("b", 2, 1)}}, "user.b.fingerprints", `with user "a" already`},
		{"users", ClientCert{Users: []User{user("a", 1), user("b", 2)}}, "", ""},
		{"authority", ClientCert{CAFile: "x", CRLFile: "y", UserFrom: dnsName}, "", ""},
	} {
		err := c.module.Validate()
		blamed, _ := errors.AsType[*appliance.AttrError](err)
		if (err == nil) != (c.attr == "") || blamed != nil && (blamed.Attr != c.attr || !strings.Contains(blamed.Msg, c.says)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestP13_Files: a file that cannot be relied upon stops the start, and says
// which and why.
func TestP13_Files(t *testing.T) {
	ca, other := newParty(t, nil, authority("ca")), newParty(t, nil, authority("other"))
	noSigner := newParty(t, nil, authority("ca"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	noSigner.cert.KeyUsage |= x509.KeyUsageCRLSign // so that Go signs all the same
	key := []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	good := ca.pem()
	list := pemList(ca.crl(nil))
	critical := func(rl *x509.RevocationList) {
		rl.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	}
	for _, c := range []struct {
		name    string
		ca, crl []byte // nil is no file, but for a nil crl, which is no attribute
		attr    string
		says    string
	}{
		{"CVE-2026-27586 no file", nil, nil, "ca_file", "no such file"},
		{"empty", []byte{}, nil, "ca_file", "does not hold certificates"},
		{"DER", ca.cert.Raw, nil, "ca_file", "does not hold certificates in PEM"},
		{"a key", append(good, key...), nil, "ca_file", "block 2 is a PRIVATE KEY"},
		{"a client", newParty(t, ca).pem(), nil, "ca_file", "write a user block with its fingerprint SHA256:"},
		{"cut off", append(ca.pem(), other.pem()[:200]...), nil, "ca_file", "cut off"},
		{"garbage", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), nil, "ca_file", "block 1: x509"},
		{"empty list", good, []byte{}, "crl_file", "x509"},
		{"certificates for a list", good, good, "crl_file", "block 1 is a CERTIFICATE"},
		{"garbage for a list", good, pemList([]byte{0}), "crl_file", "block 1: x509"},
		{"list cut off", good, append(append([]byte(nil), list...), list[:100]...), "crl_file", "cut off"},
		{"list of somebody else", good, pemList(other.crl(nil)), "crl_file", `"CN=other" is signed by nobody in ca_file`},
		{"list of the same name", good, pemList(newParty(t, nil, authority("ca")).crl(nil)), "crl_file", "is signed by nobody in ca_file"},
		{"list by a key that may not", noSigner.pem(), pemList(noSigner.crl(nil)), "crl_file", "is signed by nobody in ca_file"},
		{"two lists", good, append(append([]byte(nil), list...), list...), "crl_file", `two lists of "CN=ca"`},
		{"list of changes", good, pemList(ca.crl(critical)), "crl_file", "critical extension"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &ClientCert{CAFile: filepath.Join(t.TempDir(), "absent")}
			if c.ca != nil {
				m.CAFile = write(t, c.ca)
			}
			if c.crl != nil {
				m.CRLFile = write(t, c.crl)
			}
			_, err := provision(m)
			blamed, ok := errors.AsType[*appliance.AttrError](err)
			if !ok || blamed.Attr != c.attr || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRevocation: who has been revoked, who has not, and about whom nothing is
// known.
func TestRevocation(t *testing.T) {
	ca, other := newParty(t, nil, authority("ca")), newParty(t, nil, authority("other"))
	between := newParty(t, ca, authority("between"))
	good, bad := newParty(t, ca), newParty(t, ca)
	pinned := newParty(t, ca)
	behind, worse := newParty(t, between), newParty(t, between)
	expired := func(rl *x509.RevocationList) { rl.NextUpdate = time.Now().Add(-time.Minute) }
	early := func(rl *x509.RevocationList) { rl.ThisUpdate = time.Now().Add(time.Minute) }
	both := append(pemList(ca.crl(nil, bad)), pemList(between.crl(nil, worse))...)
	for _, c := range []struct {
		name    string
		ca, crl []byte
		chain   []*party
		want    string
	}{
		{"good", ca.pem(), ca.crl(nil, bad), []*party{good}, "printer"},
		{"bad", ca.pem(), ca.crl(nil, bad), []*party{bad}, "535 revoked"},
		{"PEM", ca.pem(), pemList(ca.crl(nil, bad)), []*party{bad}, "535 revoked"},
		{"same number, other authority", ca.pem(other), append(pemList(ca.crl(nil)), pemList(other.crl(nil, bad))...), []*party{bad}, "printer"},
		{"expired list", ca.pem(), ca.crl(expired), []*party{good}, "454 put the newest into crl_file"},
		{"expired list with the bad", ca.pem(), ca.crl(expired, bad), []*party{bad}, "454 put the newest into crl_file"},
		{"list of tomorrow", ca.pem(), ca.crl(early), []*party{good}, "454 put the newest"},
		{"no list of that authority", ca.pem(other), ca.crl(nil), []*party{newParty(t, other)}, `454 no revocation list of "CN=other"`},
		{"stranger", ca.pem(), ca.crl(expired), []*party{newParty(t, other)}, "535 unknown authority"},
		{"intermediate without list", ca.pem(), ca.crl(nil), []*party{behind, between}, `454 no revocation list of "CN=between"`},
		{"intermediate with list", ca.pem(between), both, []*party{behind, between}, "printer"},
		{"intermediate, bad client", ca.pem(between), both, []*party{worse, between}, "535 revoked"},
		{"pinned", ca.pem(), ca.crl(nil), []*party{pinned}, "scanner"},
		{"pinned and revoked", ca.pem(), ca.crl(nil, pinned), []*party{pinned}, "535 revoked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := provisioned(t, &ClientCert{CAFile: write(t, c.ca), CRLFile: write(t, c.crl),
				Users: []User{{Name: "scanner", Fingerprints: []Fingerprint{fingerprintOf(pinned.cert)}}}})
			wantLogin(t, login(t, m, "", c.chain...), c.want)
		})
	}
}

// TestRevokedIntermediate: who has a certificate of a revoked authority is
// out, if that authority is not trusted for itself.
func TestRevokedIntermediate(t *testing.T) {
	ca := newParty(t, nil, authority("ca"))
	between := newParty(t, ca, authority("between"))
	a := &authorities{lists: map[string]*list{}}
	for issuer, der := range map[*party][]byte{ca: ca.crl(nil, between), between: between.crl(nil)} {
		rl, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		a.lists[keyOf(issuer.cert)] = newList(rl)
	}
	chain := []*x509.Certificate{newParty(t, between).cert, between.cert, ca.cert}
	if err := a.standing([][]*x509.Certificate{chain}, time.Now()); !errors.Is(err, errRevoked) {
		t.Errorf("%v", err)
	}
	if err := a.standing([][]*x509.Certificate{chain, chain[:2]}, time.Now()); err != nil {
		t.Errorf("trusted for itself: %v", err)
	}
	unknown := []*x509.Certificate{chain[0], newParty(t, nil, authority("unknown")).cert}
	if err := a.standing([][]*x509.Certificate{unknown, chain}, time.Now()); err == nil || errors.Is(err, appliance.ErrCredentials) {
		t.Errorf("not known: %v", err)
	}
}

// TestListWithoutEnd: RFC 5280, section 5.1.2.5, wants to know when the next list
// comes; one that does not say would be relied on for ever.
func TestListWithoutEnd(t *testing.T) {
	ca := newParty(t, nil, authority("ca"))
	rl, err := x509.ParseRevocationList(ca.crl(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer(rl, []*x509.Certificate{ca.cert}); err != nil {
		t.Errorf("with an end: %v", err)
	}
	rl.NextUpdate = time.Time{}
	if _, err := signer(rl, []*x509.Certificate{ca.cert}); err == nil || !strings.Contains(err.Error(), "until when") {
		t.Errorf("without an end: %v", err)
	}
}

// TestJudge: what nobody should find out from a client.
func TestJudge(t *testing.T) {
	ca := newParty(t, nil, authority("ca"))
	old := newParty(t, nil, authority("old"), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	logs, err := provision(&ClientCert{CAFile: write(t, ca.pem(old)), CRLFile: write(t, ca.crl(func(rl *x509.RevocationList) { rl.NextUpdate = time.Now().Add(-time.Minute) }))})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"has expired: nobody", "is not valid today", "has no revocation list"} {
		found := 0
		for _, e := range logs.FilterLevelExact(zapcore.WarnLevel).All() {
			if strings.Contains(e.Message, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d warnings with %q", found, want)
		}
	}
}

// TestReread: a new list counts within two seconds, without a restart; a bad
// one changes nothing.
func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newParty(t, nil, authority("ca"))
		printer := newParty(t, ca)
		crl := write(t, ca.crl(nil))
		c := provisioned(t, &ClientCert{CAFile: write(t, ca.pem()), CRLFile: crl})
		wantLogin(t, login(t, c, "", printer), "printer")
		for i, content := range [][]byte{ca.crl(nil, printer), []byte("nonsense"), ca.crl(nil)} {
			if err := os.WriteFile(crl, content, 0o600); err != nil {
				t.Fatal(err)
			}
			past := time.Now().Add(-time.Duration(10-i) * time.Second)
			if err := os.Chtimes(crl, past, past); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			wantLogin(t, login(t, c, "", printer), []string{"535 revoked", "535 revoked", "printer"}[i])
		}
	})
}
