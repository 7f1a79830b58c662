package mx

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// A webHost is the policy host of a.test, as it is now.
type webHost struct {
	cert tls.Certificate
	page http.HandlerFunc
}

const enforced = "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 86400\n"

// page answers with a code, a type and a text.
func page(code int, kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Location", "/.well-known/mta-sts.txt?elsewhere")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// TestN12PolicyHost: a policy host that is not what it should be has no policy;
// a domain that never had one gets its mail as any other, and one whose policy
// is known gets it by that policy still, though the record says that there is a
// new one.
func TestN12PolicyHost(t *testing.T) {
	p := newPKI(t)
	own, stranger := p.ca.Issue(t, "mta-sts.a.test"), certstest.NewCA(t)
	good := webHost{own, page(200, "text/plain", enforced)}
	for name, bad := range map[string]webHost{
		"expired certificate":  {p.ca.IssueExpired(t, "mta-sts.a.test"), good.page},
		"another name":         {p.ca.Issue(t, "a.test"), good.page},
		"another authority":    {stranger.Issue(t, "mta-sts.a.test"), good.page},
		"redirect":             {own, page(302, "text/plain", enforced)},
		"not found":            {own, page(404, "text/plain", enforced)},
		"too big":              {own, page(200, "text/plain", enforced+strings.Repeat("x: y\n", 20_000))},
		"another content type": {own, page(200, "text/html", enforced)},
		"no policy":            {own, page(200, "text/plain", "<html>")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, p)
			w.host.Store(&bad)
			w.send(t, "1", "self-signed", delivered, unverified)
			w = newWorld(t, p)
			w.host.Store(&good)
			w.send(t, "1", "good", delivered, verifiedSTS)
			w.host.Store(&bad)
			w.send(t, "2", "self-signed", mismatch, "")
			w.send(t, "2", "good", delivered, verifiedSTS)
		})
	}
}

// A world is the policy host, the mail exchanger and the store of a relay that
// starts anew for each message.
type world struct {
	*pki
	host   atomic.Pointer[webHost]
	port   int // of the policy host
	server *server
	values *valuestest.Values
}

func newWorld(t *testing.T, p *pki) *world {
	t.Helper()
	w := &world{pki: p, values: new(valuestest.Values), server: listenTLS(t, "127.0.0.1:0", nil, takes)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.host.Load().page(rw, r) }))
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &w.host.Load().cert, nil }}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	w.port = s.Listener.Addr().(*net.TCPAddr).Port
	return w
}

// send delivers one message while the record has an id and the mail exchanger
// one of the certificates.
func (w *world) send(t *testing.T, id, cert, want, wantTLS string) {
	t.Helper()
	w.server.mu.Lock()
	w.server.tls = &tls.Config{Certificates: []tls.Certificate{w.certs[cert]}}
	w.server.mu.Unlock()
	z := zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1", "A mta-sts.a.test": "127.0.0.1", "TXT _mta-sts.a.test": "v=STSv1; id=" + id + ";"}
	m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: z, Values: w.values}, func(m *MX) {
		loopback(w.server.addr.Port())(m)
		m.CAFile = w.ca.File(t, t.TempDir())
		m.policyPort = w.port
	})
	r := m.Deliver(t.Context(), envelope("u@a.test"), msg)[0]
	if got := summary([]appliance.Result{r}); got != want || r.TLS != wantTLS {
		t.Errorf("id %s, %s: %s, TLS %q (%v); want %s, %q", id, cert, got, r.TLS, r.Reply.Error(), want, wantTLS)
	}
}

// TestN13Rollover: a mail exchanger gets a new key as RFC 7671, section 8.1 has
// it: both records, then the new certificate, then one record. Who forgets the
// first step gets no mail until the record is there.
func TestN13Rollover(t *testing.T) {
	p := newPKI(t)
	first, second, third := p.certs["self-signed"], p.certs["good"], p.certs["wrong name"]
	s := listenTLS(t, "127.0.0.1:0", nil, takes)
	at := fmt.Sprintf("_%d._tcp.mx.good.test.", s.addr.Port())
	dns := dnstest.Unbound(t, dnstest.Zone{Name: "good.test.", DNSSEC: dnstest.Signed, Records: "@ MX 10 mx\nmx A 127.0.0.1"})
	record := func(c tls.Certificate) string { return fmt.Sprintf("3 1 1 %x", record311(c).Data) }
	for _, step := range []struct {
		name    string
		records []string
		serves  tls.Certificate
		want    string
		tls     string
	}{
		{"before", []string{record(first)}, first, "250 2.0.0", verifiedDANE},
		{"both records", []string{record(first), record(second)}, first, "250 2.0.0", verifiedDANE},
		{"the new certificate", []string{record(first), record(second)}, second, "250 2.0.0", verifiedDANE},
		{"one record", []string{record(second)}, second, "250 2.0.0", verifiedDANE},
		{"a certificate without its record", []string{record(second)}, third, "451 4.7.5", ""},
		{"its record, too late", []string{record(second), record(third)}, third, "250 2.0.0", verifiedDANE},
	} {
		dns.Set(t, at, "TLSA", step.records...)
		s.mu.Lock()
		s.tls = &tls.Config{Certificates: []tls.Certificate{step.serves}}
		s.mu.Unlock()
		r := resolver.New(appliance.ResolverContext{Settings: appliance.Settings{Resolver: appliance.DNSServers{dns.Addr}, DNSSEC: true}})
		m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: r}, loopback(s.addr.Port()))
		got := m.Deliver(t.Context(), envelope("u@good.test"), msg)[0]
		if have := fmt.Sprintf("%d %s", got.Reply.Code, got.Reply.Status()); have != step.want || got.TLS != step.tls {
			t.Errorf("%s: %s, TLS %q (%v); want %s, %q", step.name, have, got.TLS, got.Reply.Error(), step.want, step.tls)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
