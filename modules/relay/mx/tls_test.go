package mx

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// signedZone is a zone whose answers DNSSEC vouches for. Besides those of zone
// it has:
//
//	"TLSA mx.test": "there"       records of any port, in tlsa; or "SERVFAIL"
//	"CNAME mx.test": "host.test"  where the addresses of the former really are
//	"insecure A mx.test"          this answer is not vouched for
//
// Names without records are denied securely.
type signedZone struct {
	zone
	tlsa     map[string][]appliance.TLSA
	untrusty error // DNSSEC
}

var _ appliance.Querier = signedZone{}

// DNSSEC implements appliance.Querier.
func (z signedZone) DNSSEC() error { return z.untrusty }

// Query implements appliance.Querier.
func (z signedZone) Query(ctx context.Context, typ appliance.QueryType, name string) (a appliance.DNSAnswer, err error) {
	name = strings.TrimSuffix(name, ".")
	if typ == appliance.QueryTLSA { // the port of the tests is that of their server
		_, name, _ = strings.Cut(name, "_tcp.")
	}
	_, insecure := z.zone["insecure "+string(typ)+" "+name]
	if target, ok := z.zone["CNAME "+name]; ok && typ != appliance.QueryTLSA {
		name = target
	}
	switch typ {
	case appliance.QueryTLSA:
		if _, err = z.lookup("TLSA", name+"."); err == nil {
			a.TLSA = z.tlsa[name]
		}
	default:
		a, err = unsigned{z.zone}.Query(ctx, typ, name+".")
	}
	a.Name, a.Secure = name, !insecure && (err == nil || notFound(err))
	return a, err
}

// record311 is TLSA 3 1 1 of a certificate.
func record311(c tls.Certificate) appliance.TLSA {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return appliance.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum[:]}
}

// policyHost serves an MTA-STS policy for a.test.
func policyHost(t *testing.T, ca *certstest.CA, text string) (port int) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "mta-sts.a.test")}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// A tlsCase is a message for u@a.test, whose mail exchanger mx.test is at
// 127.0.0.1 and, unless zone says otherwise, all of whose answers are signed.
type tlsCase struct {
	name   string
	cert   string // of the server: "good", "wrong name", "expired", "self-signed", "none" for no STARTTLS
	zone   zone   // in addition
	tlsa   []appliance.TLSA
	host   string // with the TLSA records, if not mx.test
	broken error  // DNSSEC
	sts    string // mode of the policy, with "mx" lines
	change func(*MX)
	env    func(*appliance.Envelope)
	msg    *appliance.Message // default: msg
	values appliance.Values
	post   func(context.Context, appliance.Envelope, appliance.Header, []byte) (appliance.QueueID, error)

	want   string
	tls    string
	text   string
	metric string // "policy result" that must be counted once
}

// pki has an authority and the certificates of the cases.
type pki struct {
	ca    *certstest.CA
	certs map[string]tls.Certificate
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	ca := certstest.NewCA(t)
	return &pki{ca, map[string]tls.Certificate{
		"good":        ca.Issue(t, "mx.test"),
		"wrong name":  ca.Issue(t, "other.test"),
		"expired":     ca.IssueExpired(t, "mx.test"),
		"self-signed": certstest.NewCA(t).Issue(t, "mx.test"),
	}}
}

func (p *pki) deliver(t *testing.T, tc tlsCase) (*MX, *server, appliance.Result) {
	t.Helper()
	var cfg *tls.Config
	if c, ok := p.certs[tc.cert]; ok {
		cfg = &tls.Config{Certificates: []tls.Certificate{c}}
	}
	s := listenTLS(t, "127.0.0.1:0", cfg, takes)
	z := signedZone{zone: zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1", "A mta-sts.a.test": "127.0.0.1"}, untrusty: tc.broken}
	for k, v := range tc.zone {
		z.zone[k] = v
	}
	if tc.tlsa != nil {
		host := "mx.test"
		if tc.host != "" {
			host = tc.host
		}
		z.zone["TLSA "+host], z.tlsa = "there", map[string][]appliance.TLSA{host: tc.tlsa}
	}
	port := 0
	if tc.sts != "" {
		z.zone["TXT _mta-sts.a.test"] = "v=STSv1; id=1;"
		port = policyHost(t, p.ca, "version: STSv1\nmode: "+tc.sts+"\nmax_age: 86400\n")
	}
	m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: z, Values: tc.values, Post: tc.post}, func(m *MX) {
		loopback(s.addr.Port())(m)
		m.CAFile = p.ca.File(t, t.TempDir())
		m.policyPort = port
		if tc.change != nil {
			tc.change(m)
		}
	})
	env := envelope("u@a.test")
	if tc.env != nil {
		tc.env(&env)
	}
	return m, s, m.Deliver(t.Context(), env, cmp.Or(tc.msg, msg))[0]
}

func (p *pki) run(t *testing.T, tc tlsCase) {
	t.Helper()
	m, s, r := p.deliver(t, tc)
	if got := summary([]appliance.Result{r}); got != tc.want || r.TLS != tc.tls || !strings.Contains(r.Reply.Text, tc.text) {
		t.Errorf("%s, TLS %q, text %q (%v); want %s, %q, %q", got, r.TLS, r.Reply.Text, r.Reply.Err, tc.want, tc.tls, tc.text)
	}
	// P18: what is deferred has been shown to nobody.
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Reply.Code != 250 && len(s.rcpts) > 0 {
		t.Errorf("the server was told of %q", s.rcpts)
	}
	if tc.metric != "" {
		policy, result, _ := strings.Cut(tc.metric, " ")
		if n := testutil.ToFloat64(m.counted.WithLabelValues(policy, result)); n != 1 {
			t.Errorf("%s was counted %v times", tc.metric, n)
		}
	}
}

const (
	verifiedDANE = "TLS 1.3, verified (dane)"
	verifiedSTS  = "TLS 1.3, verified (mta-sts)"
	unverified   = "TLS 1.3, unverified"
	delivered    = "250 2.0.0 mx.test"
	mismatch     = "451 4.7.5 mx.test"
	notOffered   = "451 4.7.4 mx.test"
)

// TestN13 is DANE: what each kind of record and of answer leads to.
func TestN13(t *testing.T) {
	p := newPKI(t)
	own, other := record311(p.certs["self-signed"]), record311(p.certs["good"])
	sum := sha256.Sum256(p.ca.Leaf.Raw)
	ta := appliance.TLSA{Usage: 2, MatchingType: 1, Data: sum[:]}
	verify := func(m *MX) { m.TLS = "verified" }
	for _, tc := range []tlsCase{
		{name: "match", cert: "self-signed", tlsa: []appliance.TLSA{own}, want: delivered, tls: verifiedDANE, metric: "dane ok"},
		{name: "match, tls verified", cert: "self-signed", tlsa: []appliance.TLSA{own}, change: verify, want: delivered, tls: verifiedDANE},
		{name: "mismatch", cert: "self-signed", tlsa: []appliance.TLSA{other}, want: mismatch, text: "not what its DANE records", metric: "dane validation-failure"},
		{name: "rollover", cert: "self-signed", tlsa: []appliance.TLSA{other, own}, want: delivered, tls: verifiedDANE},
		{name: "no STARTTLS", cert: "none", tlsa: []appliance.TLSA{own}, want: notOffered, metric: "dane starttls-not-supported"},
		{name: "bogus TLSA", cert: "self-signed", zone: zone{"TLSA mx.test": "SERVFAIL"}, want: mismatch, text: "cannot be looked up", metric: "dane dnssec-invalid"},
		{name: "insecure TLSA", cert: "self-signed", tlsa: []appliance.TLSA{other}, zone: zone{"insecure TLSA mx.test": ""}, want: delivered, tls: unverified},
		{name: "insecure MX", cert: "self-signed", tlsa: []appliance.TLSA{other}, zone: zone{"insecure MX a.test": ""}, want: delivered, tls: unverified},
		{name: "insecure addresses, TLSA not asked", cert: "self-signed", zone: zone{"insecure A mx.test": "", "TLSA mx.test": "SERVFAIL"}, want: delivered, tls: unverified},
		{name: "no records", cert: "self-signed", want: delivered, tls: unverified, metric: "opportunistic ok"},
		{name: "empty and three octets", cert: "self-signed", tlsa: []appliance.TLSA{{Usage: 3, Selector: 1, MatchingType: 1}, {Usage: 3, Selector: 1, MatchingType: 1, Data: []byte{1, 2, 3}}},
			want: delivered, tls: unverified, metric: "dane tlsa-invalid"},
		{name: "empty, and no STARTTLS", cert: "none", tlsa: []appliance.TLSA{{Usage: 3, Selector: 1, MatchingType: 1}}, want: notOffered, text: "demand TLS"},
		{name: "empty, tls verified", cert: "self-signed", tlsa: []appliance.TLSA{{Usage: 3}}, change: verify, want: mismatch},
		{name: "PKIX-EE only", cert: "self-signed", tlsa: []appliance.TLSA{{Usage: 1, Selector: 1, MatchingType: 1, Data: own.Data}}, want: delivered, tls: unverified},
		{name: "malformed beside a good one", cert: "self-signed", tlsa: []appliance.TLSA{{Usage: 3}, own}, want: delivered, tls: verifiedDANE},
		{name: "authority", cert: "good", tlsa: []appliance.TLSA{ta}, want: delivered, tls: verifiedDANE},
		{name: "authority, wrong name", cert: "wrong name", tlsa: []appliance.TLSA{ta}, want: mismatch},
		{name: "authority, expired", cert: "expired", tlsa: []appliance.TLSA{ta}, want: mismatch},
		{name: "an alias with records at its end", cert: "self-signed", tlsa: []appliance.TLSA{own}, host: "host.test",
			zone: zone{"CNAME mx.test": "host.test", "A host.test": "127.0.0.1", "TLSA mx.test": "SERVFAIL"}, want: delivered, tls: verifiedDANE},
		{name: "an alias with records at its beginning", cert: "self-signed", tlsa: []appliance.TLSA{own},
			zone: zone{"CNAME mx.test": "host.test", "A host.test": "127.0.0.1"}, want: delivered, tls: verifiedDANE},
		{name: "no MX record", cert: "self-signed", tlsa: []appliance.TLSA{other}, host: "a.test",
			zone: zone{"MX a.test": "10 a.test", "A a.test": "127.0.0.1"}, want: "451 4.7.5 a.test"},
		{name: "dane = false", cert: "self-signed", tlsa: []appliance.TLSA{other}, change: func(m *MX) { m.DANE = false }, want: delivered, tls: unverified},
		{name: "tls none", cert: "self-signed", tlsa: []appliance.TLSA{own}, change: func(m *MX) { m.TLS = "none" }, want: delivered},
		{name: "Defect7 AD without a resolver to trust", cert: "self-signed", tlsa: []appliance.TLSA{other}, broken: errors.New("127.0.0.11 only forwards"), want: delivered, tls: unverified},
	} {
		t.Run(tc.name, func(t *testing.T) { p.run(t, tc) })
	}
}

// TestN12 is MTA-STS.
func TestN12(t *testing.T) {
	p := newPKI(t)
	const enforce, rehearse = "enforce\nmx: *.test", "testing\nmx: *.test"
	own := record311(p.certs["self-signed"])
	useless := []appliance.TLSA{{Usage: 1, Selector: 1, MatchingType: 1, Data: own.Data}}
	for _, tc := range []tlsCase{
		{name: "enforce", cert: "good", sts: enforce, want: delivered, tls: verifiedSTS, metric: "mta-sts ok"},
		{name: "enforce, wrong name", cert: "wrong name", sts: enforce, want: mismatch, text: "for other names", metric: "mta-sts certificate-host-mismatch"},
		{name: "enforce, expired", cert: "expired", sts: enforce, want: mismatch, text: "expired", metric: "mta-sts certificate-expired"},
		{name: "enforce, self-signed", cert: "self-signed", sts: enforce, want: mismatch, text: "authority is not known", metric: "mta-sts certificate-not-trusted"},
		{name: "enforce, no STARTTLS", cert: "none", sts: enforce, want: notOffered, text: "MTA-STS", metric: "mta-sts starttls-not-supported"},
		{name: "enforce, not listed", cert: "good", sts: "enforce\nmx: mx.a.test", want: mismatch, text: "not a mail exchanger by the MTA-STS policy", metric: "mta-sts validation-failure"},
		{name: "testing", cert: "good", sts: rehearse, want: delivered, tls: unverified, metric: "mta-sts-testing ok"},
		{name: "testing, self-signed", cert: "self-signed", sts: rehearse, want: delivered, tls: unverified, metric: "mta-sts-testing certificate-not-trusted"},
		{name: "testing, no STARTTLS", cert: "none", sts: rehearse, want: delivered, metric: "mta-sts-testing starttls-not-supported"},
		{name: "testing, not listed", cert: "good", sts: "testing\nmx: mx.a.test", want: delivered, tls: unverified, metric: "mta-sts-testing validation-failure"},
		{name: "testing, tls required", cert: "none", sts: rehearse, change: func(m *MX) { m.TLS = "required" }, want: notOffered},
		{name: "none", cert: "self-signed", sts: "none", want: delivered, tls: unverified, metric: "opportunistic ok"},
		{name: "mta_sts = false", cert: "self-signed", sts: enforce, change: func(m *MX) { m.MTASTS = false }, want: delivered, tls: unverified},
		{name: "N10 private policy host", cert: "self-signed", sts: enforce, zone: zone{"A mta-sts.a.test": "10.255.255.1"}, want: delivered, tls: unverified},
		{name: "DANE before MTA-STS", cert: "self-signed", sts: "enforce\nmx: mx.a.test", tlsa: []appliance.TLSA{own}, want: delivered, tls: verifiedDANE},
		{name: "DANE that fails before MTA-STS", cert: "good", sts: enforce, tlsa: []appliance.TLSA{own}, want: mismatch},
		{name: "enforce, DANE of no use", cert: "good", sts: enforce, tlsa: useless, want: delivered, tls: verifiedSTS},
		{name: "enforce, DANE of no use, self-signed", cert: "self-signed", sts: enforce, tlsa: useless, want: mismatch, text: "authority is not known"},
		{name: "enforce, DANE of no use, not listed", cert: "good", sts: "enforce\nmx: mx.a.test", tlsa: useless, want: mismatch, text: "not a mail exchanger by the MTA-STS policy"},
		{name: "testing, DANE of no use, no STARTTLS", cert: "none", sts: rehearse, tlsa: useless, want: notOffered, text: "DANE"},
		{name: "no DANE for lack of a resolver", cert: "good", sts: enforce, tlsa: []appliance.TLSA{own}, broken: errUnsigned, want: delivered, tls: verifiedSTS},
	} {
		t.Run(tc.name, func(t *testing.T) { p.run(t, tc) })
	}
}

// TestDowngradeTesting: a policy that is being tested takes nothing away from
// what the administrator wants.
func TestDowngradeTesting(t *testing.T) {
	m, _, r := newPKI(t).deliver(t, tlsCase{cert: "good", sts: "testing\nmx: *.test", change: deferring})
	if r.Reply.Code != 250 {
		t.Fatal(r.Reply.Error())
	}
	d, failure := m.demands(t.Context(), &destination{domain: "a.test"}, host{name: "mx.test"})
	if failure != nil || d.mode != smtpconn.TLSRequired || d.policy != smtpconn.PolicyTesting {
		t.Errorf("%s of %q, %v", d.mode, d.policy, failure)
	}
}

// TestDomains: what the administrator says for a domain goes before anything
// that the domain says.
func TestDomains(t *testing.T) {
	p := newPKI(t)
	own, other := record311(p.certs["self-signed"]), record311(p.certs["good"])
	domain := func(name, mode string) func(*MX) { return func(m *MX) { m.Domains = []Domain{{name, mode}} } }
	for _, tc := range []tlsCase{
		{name: "opportunistic instead of DANE", cert: "self-signed", tlsa: []appliance.TLSA{other}, change: domain("a.test", "opportunistic"), want: delivered, tls: unverified},
		{name: "opportunistic instead of MTA-STS", cert: "none", sts: "enforce\nmx: mx.test", change: domain("A.Test", "opportunistic"), want: delivered},
		{name: "none", cert: "good", sts: "enforce\nmx: mx.test", change: domain("a.test", "none"), want: delivered},
		{name: "required", cert: "none", change: domain("a.test", "required"), want: notOffered, metric: "configured starttls-not-supported"},
		{name: "verified", cert: "good", change: domain("*.test", "verified"), want: delivered, tls: "TLS 1.3, verified"},
		{name: "verified, wrong name", cert: "wrong name", change: domain("*.test", "verified"), want: mismatch},
		{name: "another domain", cert: "none", change: domain("*.a.test", "required"), want: delivered},
		{name: "dane-only", cert: "self-signed", tlsa: []appliance.TLSA{own}, change: domain("a.test", "dane-only"), want: delivered, tls: verifiedDANE},
		{name: "dane-only, mismatch", cert: "self-signed", tlsa: []appliance.TLSA{other}, change: domain("a.test", "dane-only"), want: mismatch},
		{name: "dane-only, no records", cert: "good", sts: "enforce\nmx: mx.test", change: domain("a.test", "dane-only"), want: mismatch, text: "no DANE records", metric: "configured dane-required"},
		{name: "dane-only, unusable records", cert: "good", tlsa: []appliance.TLSA{{Usage: 3}}, change: domain("a.test", "dane-only"), want: mismatch, text: "no DANE records"},
		{name: "dane-only, no resolver to trust", cert: "self-signed", tlsa: []appliance.TLSA{own}, broken: errUnsigned, change: domain("a.test", "dane-only"), want: mismatch},
	} {
		t.Run(tc.name, func(t *testing.T) { p.run(t, tc) })
	}
}

// TestOverride: the longest name counts.
func TestOverride(t *testing.T) {
	m := New()
	var err error
	m.overrides, err = parseDomains([]Domain{{"*.example.org", "required"}, {"b.example.org", "none"}, {"*.b.example.org", "verified"}, {"EXAMPLE.net", "dane-only"}})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{
		"example.org": "", "a.example.org": "required", "x.a.example.org": "required", "b.example.org": "none",
		"a.b.example.org": "verified", "example.net": "dane-only", "a.example.net": "", "org": "", "": "",
	} {
		if got := m.override(domain).mode; string(got) != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	if n := m.override("a.b.example.org").number; n != 3 {
		t.Errorf("block %d", n)
	}
	for _, bad := range []Domain{{"", "none"}, {"*", "none"}, {"*.*.test", "none"}, {"a b", "none"}, {"[192.0.2.1]", "none"}, {"a.test", "dane"}, {"a.test", ""}} {
		if all, err := parseDomains([]Domain{bad}); err == nil {
			t.Errorf("%+v: %v", bad, all)
		}
	}
	if _, err := parseDomains([]Domain{{"a.test", "none"}, {"A.test", "none"}}); err == nil {
		t.Error("twice")
	}
}

// TestRequireTLS: RFC 8689 asks for a mail exchanger that DNSSEC or MTA-STS
// vouches for, and for a certificate.
func TestRequireTLS(t *testing.T) {
	p := newPKI(t)
	require := func(env *appliance.Envelope) { env.RequireTLS = true }
	// Where the server is asked, it turns out that it does not know REQUIRETLS.
	const asked, not = "550 5.7.30 mx.test", "550 5.7.30 mx.test"
	for _, tc := range []tlsCase{
		{name: "nobody vouches", cert: "good", zone: zone{"insecure MX a.test": ""}, want: not, text: "cannot be assured"},
		{name: "Defect7 AD without a resolver to trust", cert: "good", broken: errUnsigned, want: not, text: "cannot be assured"},
		{name: "DNSSEC", cert: "good", want: asked, tls: "TLS 1.3, verified", text: "does not support REQUIRETLS"},
		{name: "DNSSEC, self-signed", cert: "self-signed", want: mismatch},
		{name: "DANE", cert: "self-signed", tlsa: []appliance.TLSA{record311(p.certs["self-signed"])}, want: asked, tls: verifiedDANE, text: "does not support REQUIRETLS"},
		{name: "MTA-STS", cert: "good", zone: zone{"insecure MX a.test": ""}, sts: "enforce\nmx: mx.test", want: asked, tls: verifiedSTS, text: "does not support REQUIRETLS"},
		{name: "MTA-STS, testing", cert: "good", zone: zone{"insecure MX a.test": ""}, sts: "testing\nmx: mx.test", want: not, text: "cannot be assured"},
	} {
		tc.env = require
		t.Run(tc.name, func(t *testing.T) { p.run(t, tc) })
	}
}

// TestP18OtherHosts: a policy holds for each of the mail exchangers, and
// none that it leaves out is used instead of one that cannot be.
func TestP18OtherHosts(t *testing.T) {
	p := newPKI(t)
	p.run(t, tlsCase{
		cert: "good", sts: "enforce\nmx: gone.test",
		zone: zone{"MX a.test": "10 gone.test, 20 mx.test", "A gone.test": "127.0.0.2"},
		want: "451 4.4.1 gone.test",
	})
	p.run(t, tlsCase{
		cert: "good", sts: "enforce\nmx: mx.test",
		zone: zone{"MX a.test": "10 evil.test, 20 mx.test", "A evil.test": "127.0.0.2"},
		want: delivered, tls: verifiedSTS,
	})
	// DANE is a matter of each host (RFC 7672, section 2.2): one without
	// records may be used when one with them is not who it should be.
	p.run(t, tlsCase{
		cert: "self-signed", tlsa: []appliance.TLSA{record311(p.certs["good"])}, host: "first.test",
		zone: zone{"MX a.test": "10 first.test, 20 mx.test", "A first.test": "127.0.0.1"},
		want: delivered, tls: unverified,
	})
}

// TestSayDANE: once, at the start, with the reason.
func TestSayDANE(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*MX)
		broken error
		want   string
	}{
		"untrusted":            {nil, errUnsigned, "info DANE is not used"},
		"trusted":              {nil, nil, ""},
		"dane = false":         {func(m *MX) { m.DANE = false }, errUnsigned, ""},
		"dane-only":            {func(m *MX) { m.Domains = []Domain{{"a.test", "dane-only"}} }, errUnsigned, `error no mail goes to domains with tls = "dane-only": DANE cannot be used`},
		"dane-only, untrusted": {func(m *MX) { m.DANE = false; m.Domains = []Domain{{"a.test", "dane-only"}} }, errUnsigned, `error no mail goes to domains with tls = "dane-only": DANE cannot be used`},
	} {
		core, logs := observer.New(zap.DebugLevel)
		provisionWith(t, &appliance.Context{Log: zap.New(core), Resolver: signedZone{untrusty: tc.broken}}, tc.change)
		got := ""
		for _, e := range logs.All() {
			if got += fmt.Sprintf("%s %s", e.Level, e.Message); e.ContextMap()["because"] != errUnsigned.Error() {
				t.Errorf("%s: %v", name, e.ContextMap())
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
