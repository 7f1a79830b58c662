package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// A spoiler changes an answer of the authority.
type spoiler func(resource acmetest.Resource, answer *httptest.ResponseRecorder)

// spoiled stands between an instance and the authority of the world.
func (w *world) spoiled(now *atomic.Pointer[spoiler]) func(*ACME) {
	var s *httptest.Server
	own := strings.TrimSuffix(w.ca.Directory(), "/dir")
	s = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		w.ca.ServeHTTP(answer, r)
		answer.Body = bytes.NewBufferString(strings.ReplaceAll(answer.Body.String(), own, s.URL))
		if acmetest.ResourceOf(r) == acmetest.Directory { // no times of renewal, which would be asked for in vain
			answer.Body = bytes.NewBufferString(strings.Replace(answer.Body.String(), "renewalInfo", "none", 1))
		}
		if spoil := now.Load(); spoil != nil {
			(*spoil)(acmetest.ResourceOf(r), answer)
		}
		for key, values := range answer.Header() {
			for _, v := range values {
				rw.Header().Add(key, strings.ReplaceAll(v, own, s.URL))
			}
		}
		rw.Header().Del("Content-Length")
		rw.WriteHeader(answer.Code)
		rw.Write(answer.Body.Bytes())
	}))
	w.t.Cleanup(s.Close)
	root := filepath.Join(w.t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return func(a *ACME) { a.Issuers[0].Directory, a.Issuers[0].RootFile = s.URL+"/dir", root }
}

// issued changes the certificate that is issued.
func (w *world) issued(change func(template *x509.Certificate, key *any)) spoiler {
	signer := newTestKey(w.t)
	return func(resource acmetest.Resource, answer *httptest.ResponseRecorder) {
		block, rest := pem.Decode(answer.Body.Bytes())
		if resource != acmetest.Certificate || block == nil {
			return
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			w.t.Error(err)
			return
		}
		key := leaf.PublicKey
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: leaf.DNSNames,
			NotBefore: leaf.NotBefore.Add(time.Second), NotAfter: leaf.NotAfter,
		}
		change(template, &key)
		parent := &x509.Certificate{Subject: pkix.Name{CommonName: "Evil CA"}}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
		if err != nil {
			w.t.Error(err)
		}
		answer.Body = bytes.NewBuffer(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), rest...))
	}
}

// refused changes the answer to an order.
func refused(status int, contentType, body string) spoiler {
	return func(resource acmetest.Resource, answer *httptest.ResponseRecorder) {
		if resource == acmetest.NewOrder {
			answer.Code, answer.Body = status, bytes.NewBufferString(body)
			answer.Header().Set("Content-Type", contentType)
		}
	}
}

// TestX7HostileAuthority: an authority that has gone mad costs nobody the
// certificate that is there, and says little, of which nothing is obeyed.
func TestX7HostileAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	var now atomic.Pointer[spoiler]
	a := w.start(w.instance(w.spoiled(&now), func(a *ACME) { a.retry = func(int) time.Duration { return time.Hour } }))
	w.ready(a, w.host)
	good := info(t, a, w.host)
	var many strings.Builder
	for i := range 2_000 {
		fmt.Fprintf(&many, `,{"type":"urn:ietf:params:acme:error:caa","detail":"no\u001b[2J","identifier":{"type":"dns","value":"n%d.example"}}`, i)
	}
	for words, spoil := range map[string]spoiler{
		"it is not for " + w.host:    w.issued(func(c *x509.Certificate, _ *any) { c.DNSNames = []string{"evil.example"} }),
		"private key does not match": w.issued(func(_ *x509.Certificate, key *any) { *key = newTestKey(t).Public() }),
		"it has expired on":          w.issued(func(c *x509.Certificate, _ *any) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"at most 65536 are taken": func(resource acmetest.Resource, answer *httptest.ResponseRecorder) {
			if resource == acmetest.Certificate {
				answer.Body = bytes.NewBuffer(bytes.Repeat(answer.Body.Bytes(), 100))
			}
		},
		"creating new order": refused(500, "text/html", "<html>\x1b[2J\u202e\n"+strings.Repeat("x", 1<<20)),
		"and 1996 more": refused(403, "application/problem+json",
			`{"type":"urn:ietf:params:acme:error:compound","subproblems":[{"type":"caa"}`+many.String()+`]}`),
	} {
		now.Store(&spoil)
		err := a.Renew(t.Context(), w.host)
		if text := fmt.Sprint(err); !strings.Contains(text, words) || len(text) > 2<<10 || strings.ContainsAny(text, "\x1b\u202e\n") {
			t.Errorf("%q is not in %.500q, of %d octets", words, text, len(text))
		}
		i := info(t, a, w.host)
		stored, err := a.load(t.Context(), newStorage(w.values, w.log, 0), w.host)
		if err != nil || !i.NotAfter.Equal(good.NotAfter) || !stored.certificate.Leaf.NotAfter.Equal(good.NotAfter) {
			t.Errorf("%s: the certificate is %+v, %v", words, i, err)
		}
	}
	for _, e := range w.logged("certificate failed") {
		if n := len(fmt.Sprint(e.ContextMap())); n > 8<<10 {
			t.Errorf("%d octets in the log", n)
		}
	}
	// An authority may add names; what people call the certificate by stays.
	more := w.issued(func(c *x509.Certificate, _ *any) { c.DNSNames = append([]string{"www.example"}, c.DNSNames...) })
	now.Store(&more)
	if err := a.Renew(t.Context(), w.host); err != nil {
		t.Fatal(err)
	}
	if names := info(t, a, w.host).Names; len(names) != 2 || names[0] != w.host {
		t.Errorf("names %q", names)
	}
}

// panicking is a DNS provider with a mistake in it.
type panicking struct{ fakeZone }

func (*panicking) AppendRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	panic("no zone")
}

// TestR14Panic: a provider that panics stops neither the server nor the next
// attempt.
func TestR14Panic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance(w.withZone(&fakeZone{ca: w.ca}), func(a *ACME) {
		a.DNS = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, new(panicking))
	}))
	eventually(t, "two attempts", func() bool { return len(w.logged("an attempt to get a certificate panicked")) >= 2 })
	if i := info(t, a, w.host); !strings.Contains(i.Error, "panicked: no zone") {
		t.Errorf("%+v", i)
	}
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
