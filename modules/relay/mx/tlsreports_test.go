package mx

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
	stscache "github.com/waxwing-mail/waxwing/modules/internal/mtasts"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// counted is what the reporter of m has for a.test, in a line for each policy:
// "sts 1 ok 0 failed"; and behind it the failures. It stops the reporter.
func countedBy(t *testing.T, m *MX, v *valuestest.Values) string {
	t.Helper()
	m.reporter.Stop()
	infos, err := v.List(t.Context(), "tlsrpt/")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, i := range infos {
		b, err := v.Get(t.Context(), i.Key)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string][]struct {
			Policy struct {
				Type   string   `json:"policy-type"`
				Domain string   `json:"policy-domain"`
				String []string `json:"policy-string"`
			} `json:"policy"`
			Summary struct {
				OK     int `json:"total-successful-session-count"`
				Failed int `json:"total-failure-session-count"`
			} `json:"summary"`
			Failures []struct {
				Type string `json:"result-type"`
				Host string `json:"receiving-mx-hostname"`
				IP   string `json:"receiving-ip"`
				From string `json:"sending-mta-ip"`
			} `json:"failure-details"`
		}
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		for _, r := range all["a.test"] {
			line := fmt.Sprintf("%s %s %d ok %d failed", r.Policy.Type, r.Policy.Domain, r.Summary.OK, r.Summary.Failed)
			for _, f := range r.Failures {
				line += fmt.Sprintf(", %s %s %s%s", f.Type, f.Host, f.IP, f.From)
			}
			if (len(r.Policy.String) > 0) != (r.Policy.Type != "no-policy-found") {
				line += fmt.Sprintf(" with policy %q", r.Policy.String)
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func wantReports(m *MX) { m.TLSReports = &TLSReports{From: "postmaster@us.test"} }

// TestReportedSessions: what a connection comes to is counted under the policy
// that was applied to it.
func TestReportedSessions(t *testing.T) {
	p := newPKI(t)
	own, other := record311(p.certs["self-signed"]), record311(p.certs["good"])
	const enforce, rehearse = "enforce\nmx: *.test", "testing\nmx: *.test"
	at := func(failure string) string { return ", " + failure + " mx.test 127.0.0.1" }
	for _, tc := range []struct {
		tlsCase
		reported string
	}{
		{tlsCase{name: "no policy", cert: "self-signed"}, "no-policy-found a.test 1 ok 0 failed"},
		{tlsCase{name: "no policy, no STARTTLS", cert: "none"}, "no-policy-found a.test 0 ok 1 failed" + at("starttls-not-supported")},
		{tlsCase{name: "DANE", cert: "self-signed", tlsa: []appliance.TLSA{own}}, "tlsa mx.test 1 ok 0 failed"},
		{tlsCase{name: "DANE, mismatch", cert: "self-signed", tlsa: []appliance.TLSA{other}}, "tlsa mx.test 0 ok 1 failed" + at("validation-failure")},
		{tlsCase{name: "DANE, bogus", cert: "good", zone: zone{"TLSA mx.test": "SERVFAIL"}}, "tlsa mx.test 0 ok 1 failed, dnssec-invalid mx.test  with policy []"},
		{tlsCase{name: "DANE, unusable", cert: "good", tlsa: []appliance.TLSA{{Usage: 3}}}, "tlsa mx.test 0 ok 1 failed" + at("tlsa-invalid") + " with policy []"},
		{tlsCase{name: "dane-only", cert: "good", change: func(m *MX) { m.Domains = []Domain{{"a.test", "dane-only"}} }},
			"no-policy-found a.test 0 ok 1 failed, dane-required mx.test "},
		{tlsCase{name: "an alias", cert: "self-signed", tlsa: []appliance.TLSA{own}, host: "host.test",
			zone: zone{"CNAME mx.test": "host.test", "A host.test": "127.0.0.1"}}, "tlsa host.test 1 ok 0 failed"},
		{tlsCase{name: "enforce", cert: "good", sts: enforce}, "sts a.test 1 ok 0 failed"},
		{tlsCase{name: "enforce, expired", cert: "expired", sts: enforce}, "sts a.test 0 ok 1 failed" + at("certificate-expired")},
		{tlsCase{name: "enforce, not listed", cert: "good", sts: "enforce\nmx: mx.a.test"}, "sts a.test 0 ok 1 failed, validation-failure mx.test "},
		{tlsCase{name: "testing", cert: "good", sts: rehearse}, "sts a.test 1 ok 0 failed"},
		{tlsCase{name: "testing, wrong name", cert: "wrong name", sts: rehearse}, "sts a.test 0 ok 1 failed" + at("certificate-host-mismatch")},
		{tlsCase{name: "testing, not listed", cert: "good", sts: "testing\nmx: mx.a.test"}, "sts a.test 0 ok 1 failed" + at("validation-failure")},
		{tlsCase{name: "none", cert: "self-signed", sts: "none"}, "no-policy-found a.test 1 ok 0 failed"},
		{tlsCase{name: "no policy host", cert: "good", sts: enforce, zone: zone{"A mta-sts.a.test": "10.255.255.1"}},
			"sts a.test 0 ok 1 failed" + at("sts-policy-fetch-error") + " with policy []"},
		{tlsCase{name: "a bad policy", cert: "good", sts: "sometimes"}, "sts a.test 0 ok 1 failed" + at("sts-policy-invalid") + " with policy []"},
		{tlsCase{name: "a domain block", cert: "good", change: func(m *MX) { m.Domains = []Domain{{"a.test", "required"}} }}, ""},
		{tlsCase{name: "tls none", cert: "good", change: func(m *MX) { m.TLS = "none" }}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := new(valuestest.Values)
			change := tc.change
			tc.values, tc.change = v, func(m *MX) {
				wantReports(m)
				if change != nil {
					change(m)
				}
			}
			m, _, _ := p.deliver(t, tc.tlsCase)
			if got := countedBy(t, m, v); got != tc.reported {
				t.Errorf("%s\nwant %s", got, tc.reported)
			}
		})
	}
}

// TestWaived: "TLS-Required: No" gets a message through where a policy would
// not; it does not get the better of REQUIRETLS, nor of a domain block.
func TestWaived(t *testing.T) {
	p := newPKI(t)
	waive := func(value string) *appliance.Message {
		var h appliance.Header
		h.Append(appliance.NewField("TLS-Required", value))
		return &appliance.Message{Header: h, Body: appliance.BytesBody("\r\nx")}
	}
	const enforce = "enforce\nmx: *.test"
	for _, tc := range []tlsCase{
		{name: "MTA-STS", cert: "expired", sts: enforce, msg: waive("No"), want: delivered, tls: unverified},
		{name: "DANE", cert: "good", tlsa: []appliance.TLSA{record311(p.certs["self-signed"])}, msg: waive("no"), want: delivered, tls: unverified},
		{name: "no STARTTLS", cert: "none", sts: enforce, msg: waive("No"), want: delivered},
		{name: "another word", cert: "expired", sts: enforce, msg: waive("Yes"), want: mismatch},
		{name: "REQUIRETLS", cert: "expired", sts: enforce, msg: waive("No"), env: func(e *appliance.Envelope) { e.RequireTLS = true }, want: mismatch},
		{name: "a domain block", cert: "none", msg: waive("No"), change: func(m *MX) { m.Domains = []Domain{{"a.test", "required"}} }, want: notOffered},
	} {
		t.Run(tc.name, func(t *testing.T) { p.run(t, tc) })
	}
}

// reportServer takes reports over HTTPS, with the certificate of
// reports.a.test.
func reportServer(t *testing.T, p *pki, got func(string)) (port int) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got(fmt.Sprintf("%s %s %x", r.Method, r.URL.Path, b[:2]))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{p.ca.Issue(t, "reports.a.test")}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// yesterdays makes what was counted today that of yesterday and of the day
// before: of these, one is due at any time of today.
func yesterdays(t *testing.T, v *valuestest.Values) {
	t.Helper()
	infos, err := v.List(t.Context(), "tlsrpt/")
	if err != nil || len(infos) == 0 {
		t.Fatal(infos, err)
	}
	b, err := v.Get(t.Context(), infos[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		day := time.Now().UTC().AddDate(0, 0, -1-i).Format(time.DateOnly)
		if err := v.Put(t.Context(), "tlsrpt/"+day+"/x", b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReportTravels: a domain whose certificate has expired, and which enforces
// its policy, gets the report of that: by mail through a pipeline that signs,
// delivered by this relay to the same server; or by HTTPS.
func TestReportTravels(t *testing.T) {
	p := newPKI(t)
	arrived := make(chan string, 10)
	port := reportServer(t, p, func(s string) { arrived <- s })
	house := appliancetest.NewHouse(t, func(h *appliancetest.House, _ *appliance.House) {
		h.Pipeline.Signers = append(h.Pipeline.Signers, appliance.RefTo[appliance.Modifier](appliance.Addr{Kind: appliance.KindSigner, Name: "us"}, seal{}))
	})
	post := func(ctx context.Context, env appliance.Envelope, h appliance.Header, body []byte) (appliance.QueueID, error) {
		id, err := house.Pipeline.Post(ctx, env, h, body)
		arrived <- "mail"
		return id, err
	}
	for rua, want := range map[string]string{
		"mailto:tls@a.test": "mail",
		fmt.Sprintf("https://reports.a.test:%d/v1", port): "POST /v1 1f8b",
	} {
		v := new(valuestest.Values)
		tc := tlsCase{
			cert: "expired", sts: "enforce\nmx: *.test", values: v, post: post, change: wantReports,
			zone: zone{"TXT _smtp._tls.a.test": "v=TLSRPTv1; rua=" + rua, "A reports.a.test": "127.0.0.1"},
		}
		m, s, r := p.deliver(t, tc)
		if r.Reply.Code != 451 {
			t.Fatalf("%+v", r)
		}
		before := countedBy(t, m, v)
		yesterdays(t, v)
		reporter, err := m.newReporter(&appliance.Context{Addr: appliance.Addr{Name: "internet"}, Values: v, Post: post})
		if err != nil {
			t.Fatal(err)
		}
		reporter.Start()
		select {
		case got := <-arrived:
			if got != want {
				t.Errorf("%s: %s, want %s", rua, got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no report", rua)
		}
		reporter.Stop()
		if len(arrived) != 0 {
			t.Errorf("%s: and %s", rua, <-arrived)
		}
		if want != "mail" {
			continue
		}
		mail := house.Spool.Messages()[0]
		if mail.Header.Count("DKIM-Signature") != 1 || !strings.Contains(string(mail.Bytes()), "application/tlsrpt+gzip") {
			t.Errorf("%s", mail.Bytes())
		}
		results := m.Deliver(t.Context(), mail.Envelope, &appliance.Message{ID: mail.ID, Header: mail.Header, Body: appliance.BytesBody(mail.Body)})
		if got := summary(results); got != delivered || len(s.rcpts) != 1 {
			t.Errorf("the report itself: %s, to %q", got, s.rcpts)
		}
		if after := countedBy(t, m, v); !strings.Contains(after, before) || strings.Contains(after, "no-policy-found") {
			t.Errorf("the report is reported: %s", after)
		}
	}
}

// seal signs everything.
type seal struct{}

func (seal) Provision(*appliance.Context) error { return nil }

func (seal) Modify(_ context.Context, tx *appliance.Transaction) error {
	tx.Message.Header.Prepend(appliance.NewField("DKIM-Signature", "d=us.test"))
	tx.SignedBy = append(tx.SignedBy, "us.test")
	return nil
}

// TestTLSReportsValidate: what cannot be used does not load, and without the
// block nothing is counted.
func TestTLSReportsValidate(t *testing.T) {
	for _, tc := range []struct {
		block TLSReports
		attr  string
	}{
		{TLSReports{From: "postmaster@example.com", Organization: "Beispiel für alle"}, ""},
		{TLSReports{From: ""}, "tls_reports.from"},
		{TLSReports{From: "postmaster"}, "tls_reports.from"},
		{TLSReports{From: "x@[192.0.2.1]"}, "tls_reports.from"},
		{TLSReports{From: "übel@example.com"}, "tls_reports.from"},
		{TLSReports{From: "a@b.test", Organization: "x\r\ny"}, "tls_reports.organization"},
		{TLSReports{From: "a@b.test", Organization: strings.Repeat("x", maxOrganization+1)}, "tls_reports.organization"},
	} {
		m := New()
		m.TLSReports = &tc.block
		got := ""
		if e, ok := errors.AsType[*appliance.AttrError](m.Validate()); ok {
			got = e.Attr
		}
		if got != tc.attr {
			t.Errorf("%+v: %q, want %q", tc.block, got, tc.attr)
		}
	}
	if m := provisionWith(t, &appliance.Context{Resolver: zone{}, Values: new(valuestest.Values)}, nil); m.reporter != nil {
		t.Error("counted without being asked")
	}
}

// TestReportedWords: what leaves the house says nothing of the inside.
func TestReportedWords(t *testing.T) {
	for ip, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:db8::7": "2001:db8::7",
		"10.0.0.5": "", "127.0.0.1": "", "100.64.0.1": "", "fe80::1": "", "fd00::1": "",
	} {
		if got := public(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 4711))); got != want {
			t.Errorf("%s: %q", ip, got)
		}
	}
	reset := &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 4711}, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	if got := innermost(fmt.Errorf("TLS: %w", reset)); got != "connection reset by peer" || innermost(nil) != "" || public(nil) != "" {
		t.Errorf("%q", got)
	}
	for err, want := range map[error]string{
		nil: "", mtasts.ErrNoRecord: "", mtasts.ErrRecord: "", mtasts.ErrPolicy: "sts-policy-invalid", stscache.ErrFetch: "sts-policy-fetch-error",
		fmt.Errorf("%w: %w", stscache.ErrFetch, &tls.CertificateVerificationError{Err: errUnsigned}): "sts-webpki-invalid",
	} {
		if got := stsFailure(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
