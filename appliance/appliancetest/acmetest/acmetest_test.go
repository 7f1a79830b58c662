package acmetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
	"golang.org/x/crypto/acme"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(LeakedByPebble)) }

// client is an ACME client made by others: golang.org/x/crypto/acme.
type client struct {
	t   *testing.T
	ca  *Server
	acc *acme.Client

	challenge string // "http-01" or "dns-01"

	mu      sync.Mutex
	answers map[string]string // path to text, for http-01
}

func newClient(t *testing.T, ca *Server) *client {
	t.Helper()
	c := &client{t: t, ca: ca, challenge: "http-01", answers: make(map[string]string)}
	pem, err := os.ReadFile(ca.RootFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("RootFile has no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	c.acc = &acme.Client{
		Key:          newKey(t),
		DirectoryURL: ca.Directory(),
		HTTPClient:   &http.Client{Transport: transport},
		RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return time.Millisecond },
	}
	c.serve()
	return c
}

// serve answers http-01.
func (c *client) serve() {
	l, err := net.Listen("tcp", c.ca.HTTPAddress())
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		w.Write([]byte(c.answers[r.URL.Path]))
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	c.t.Cleanup(func() { server.Close(); <-done })
}

func (c *client) register(ctx context.Context, binding *acme.ExternalAccountBinding) error {
	_, err := c.acc.Register(ctx, &acme.Account{ExternalAccountBinding: binding}, acme.AcceptTOS)
	return err
}

// obtain gets a certificate for the name.
func (c *client) obtain(ctx context.Context, name string) (*x509.Certificate, error) {
	order, err := c.acc.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return nil, err
	}
	for _, url := range order.AuthzURLs {
		if err := c.authorize(ctx, url); err != nil {
			return nil, err
		}
	}
	if order, err = c.acc.WaitOrder(ctx, order.URI); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, crypto.Signer(key))
	if err != nil {
		return nil, err
	}
	chain, _, err := c.acc.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	return c.verify(chain, name)
}

// authorize does the first challenge of a type that the client knows.
func (c *client) authorize(ctx context.Context, url string) error {
	a, err := c.acc.GetAuthorization(ctx, url)
	if err != nil {
		return err
	}
	for _, challenge := range a.Challenges {
		if challenge.Type != c.challenge {
			continue
		}
		if err := c.prepare(a.Identifier.Value, challenge.Token); err != nil {
			return err
		}
		if _, err := c.acc.Accept(ctx, challenge); err != nil {
			// RFC 8555, section 7.1.4: what is valid already needs no challenge;
			// the authority may have found that out since it was asked.
			if now, again := c.acc.GetAuthorization(ctx, url); again == nil && now.Status == acme.StatusValid {
				return nil
			}
			return err
		}
		_, err = c.acc.WaitAuthorization(ctx, url)
		return err
	}
	return fmt.Errorf("%s is not offered", c.challenge)
}

// prepare puts the answer to a challenge where the authority looks for it.
func (c *client) prepare(name, token string) error {
	if c.challenge == "dns-01" {
		value, err := c.acc.DNS01ChallengeRecord(token)
		c.ca.SetTXT("_acme-challenge."+name, "of somebody else", value)
		return err
	}
	text, err := c.acc.HTTP01ChallengeResponse(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[c.acc.HTTP01ChallengePath(token)] = text
	return err
}

// verify does what a client of the certificate's owner does.
func (c *client) verify(chain [][]byte, name string) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	intermediates := x509.NewCertPool()
	for _, der := range chain[1:] {
		i, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		intermediates.AddCert(i)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: c.ca.Roots(), Intermediates: intermediates})
	return leaf, err
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestX7ObtainWithBadNonces(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{BadNonces: 50, Validity: 90 * time.Second})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	leaf, err := c.obtain(ctx, "mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	// RFC 5280, section 4.1.2.5: both ends are inside.
	if got := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second; got != 90*time.Second {
		t.Errorf("the certificate is valid for %v, want 90s", got)
	}
	if ca.Issued() != 1 {
		t.Errorf("%d certificates issued, want 1", ca.Issued())
	}
	// With one request for each step no nonce would have been rejected.
	if posts := ca.Requests(NewAccount) + ca.Requests(NewOrder) + ca.Requests(Authorization) + ca.Requests(Challenge) +
		ca.Requests(Order) + ca.Requests(Finalize) + ca.Requests(Certificate); posts <= 8 {
		t.Errorf("%d requests with a nonce: none of them was rejected", posts)
	}
}

func TestX7DownAndUp(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	ca.Down()
	if _, err := c.obtain(ctx, "mx.example.com"); err == nil {
		t.Fatal("an authority that is down has issued a certificate")
	}
	ca.Up()
	if _, err := c.obtain(ctx, "mx.example.com"); err != nil {
		t.Fatal(err)
	}
}

func TestX7Faults(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}

	// x/crypto/acme waits as long as the context allows if it may try again.
	c.acc.RetryBackoff = func(int, *http.Request, *http.Response) time.Duration { return -1 }
	ca.Inject(Fail(NewOrder, RateLimited(time.Minute)))
	_, err := c.obtain(ctx, "mx.example.com")
	if wait, ok := acme.RateLimit(err); !ok || wait != time.Minute {
		t.Errorf("got %v, want rateLimited with a minute to wait", err)
	}
	ca.Inject(Fail(Finalize, ServerInternal()))
	if _, err = c.obtain(ctx, "mx.example.com"); !isProblem(err, "serverInternal") {
		t.Errorf("got %v, want serverInternal", err)
	}
	ca.Inject(func(r *http.Request) *Problem {
		if ResourceOf(r) == Finalize {
			ca.ExpireOrders()
		}
		return nil
	})
	if _, err = c.obtain(ctx, "mx.example.com"); !isProblem(err, "orderNotReady") {
		t.Errorf("got %v, want that the order has expired", err)
	}
	ca.Inject(nil)
	if _, err = c.obtain(ctx, "mx.example.com"); err != nil {
		t.Error(err)
	}
	if got := ca.Issued(); got != 1 {
		t.Errorf("%d certificates issued, want 1", got)
	}
}

func TestX7ByDNS(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{})
	c := newClient(t, ca)
	c.challenge = "dns-01"
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.obtain(ctx, "mx.example.com"); err != nil {
		t.Fatal(err)
	}
	ca.SetTXT("_acme-challenge.mx.example.com")
	if txt := ask(t, ca, "_acme-challenge.mx.example.com.", dns.TypeTXT); len(txt.Answer) != 0 {
		t.Errorf("records that were removed are there: %v", txt.Answer)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	ca := Start(t, Options{})
	ca.SetTXT("txt.Example.com", "one", "two")
	for _, c := range []struct {
		name            string
		kind            uint16
		rcode, answered int
	}{
		{"mx.example.com.", dns.TypeA, dns.RcodeSuccess, 1},
		{"mx.example.com.", dns.TypeAAAA, dns.RcodeSuccess, 0},
		{"mx.example.com.", dns.TypeCAA, dns.RcodeSuccess, 0},
		{"mx.example.com.", dns.TypeSOA, dns.RcodeSuccess, 0},
		{"example.com.", dns.TypeSOA, dns.RcodeSuccess, 1},
		{"TXT.example.com.", dns.TypeTXT, dns.RcodeSuccess, 2},
		{"mx.invalid.", dns.TypeA, dns.RcodeNameError, 0},
	} {
		reply := ask(t, ca, c.name, c.kind)
		if reply.Rcode != c.rcode || len(reply.Answer) != c.answered || !reply.Authoritative {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.kind], reply)
		}
	}
}

// ask asks the DNS server of the harness.
func ask(t *testing.T, ca *Server, name string, kind uint16) *dns.Msg {
	t.Helper()
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, kind), ca.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// RFC 9773: the authority says when it wants a certificate to be renewed.
func TestRenewalInfo(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{Validity: 90 * time.Second})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	leaf, err := c.obtain(ctx, "mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	id := base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(leaf.SerialNumber.Bytes())
	base := strings.TrimSuffix(ca.Directory(), "/dir")
	response, err := c.acc.HTTPClient.Get(base + "/draft-ietf-acme-ari-03/renewalInfo/" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var info struct {
		SuggestedWindow struct{ Start, End time.Time }
	}
	if err := json.NewDecoder(response.Body).Decode(&info); err != nil {
		t.Fatal(err)
	}
	left := leaf.NotAfter.Sub(info.SuggestedWindow.Start)
	if left < 30*time.Second || left > 35*time.Second || info.SuggestedWindow.End.Sub(info.SuggestedWindow.Start) < minWindow {
		t.Errorf("valid until %v, to be renewed between %v and %v", leaf.NotAfter, info.SuggestedWindow.Start, info.SuggestedWindow.End)
	}
}

func TestX7NameThatDoesNotExist(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.obtain(ctx, "mx.invalid"); err == nil {
		t.Error("a certificate for a name that does not exist")
	}
	if ca.Issued() != 0 {
		t.Errorf("%d certificates issued", ca.Issued())
	}
}

func TestX7Skew(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{Skew: time.Hour, Validity: 24 * time.Hour})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); err != nil {
		t.Fatal(err)
	}
	leaf, err := c.obtain(ctx, "mx.example.com")
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Fatalf("got %v, want a certificate out of its time", err)
	}
	if early := time.Until(leaf.NotBefore); early < 55*time.Minute || leaf.NotAfter.Sub(leaf.NotBefore) != 24*time.Hour {
		t.Errorf("valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
}

func TestX7ExternalAccount(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ca := Start(t, Options{EAB: map[string]string{"kid-1": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"}})
	c := newClient(t, ca)
	if err := c.register(ctx, nil); !isProblem(err, "externalAccountRequired") {
		t.Errorf("without an external account: %v", err)
	}
	binding := &acme.ExternalAccountBinding{KID: "kid-1", Key: []byte("secret-secret-secret-secret-1234")}
	if err := c.register(ctx, binding); err != nil {
		t.Fatal(err)
	}
	if _, err := c.obtain(ctx, "mx.example.com"); err != nil {
		t.Error(err)
	}
}

func isProblem(err error, kind string) bool {
	var problem *acme.Error
	return errors.As(err, &problem) && problem.ProblemType == "urn:ietf:params:acme:error:"+kind
}
