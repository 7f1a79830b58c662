package acmetest

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/core"
)

// A Resource is what a request is for (RFC 8555, section 7.1).
type Resource string

// The resources that clients use.
const (
	Directory     Resource = "directory"
	NewNonce      Resource = "newNonce"
	NewAccount    Resource = "newAccount"
	Account       Resource = "account"
	NewOrder      Resource = "newOrder"
	Order         Resource = "order"
	Authorization Resource = "authorization"
	Challenge     Resource = "challenge"
	Finalize      Resource = "finalize"
	Certificate   Resource = "certificate"
	RenewalInfo   Resource = "renewalInfo" // RFC 9773
	Other         Resource = "other"
)

// resources are the beginnings of Pebble's paths.
var resources = []struct {
	prefix   string
	resource Resource
}{
	{"/dir", Directory},
	{"/nonce-plz", NewNonce},
	{"/sign-me-up", NewAccount},
	{"/my-account/", Account},
	{"/order-plz", NewOrder},
	{"/my-order/", Order},
	{"/authZ/", Authorization},
	{"/chalZ/", Challenge},
	{"/finalize-order/", Finalize},
	{"/certZ/", Certificate},
	{"/draft-ietf-acme-ari-03/renewalInfo/", RenewalInfo},
}

// ResourceOf says what a request is for.
func ResourceOf(r *http.Request) Resource {
	for _, known := range resources {
		if strings.HasPrefix(r.URL.Path, known.prefix) {
			return known.resource
		}
	}
	return Other
}

// A Fault sees each request before the authority does. The Problem that it
// returns is the answer; nil lets the request through.
type Fault func(r *http.Request) *Problem

// A Problem is an error answer of an authority (RFC 8555, section 6.7).
type Problem struct {
	Type       string // without its prefix: "rateLimited"
	Detail     string
	Status     int           // of HTTP
	RetryAfter time.Duration // 0: the answer has no Retry-After
}

// RateLimited is the answer to who has asked too often (RFC 8555, section 6.6).
func RateLimited(retryAfter time.Duration) *Problem {
	return &Problem{"rateLimited", "too many certificates for this set of names", http.StatusTooManyRequests, retryAfter}
}

// ServerInternal is the answer of an authority in trouble.
func ServerInternal() *Problem {
	return &Problem{Type: "serverInternal", Detail: "out of order", Status: http.StatusInternalServerError}
}

// Fail makes p the answer to each request for the resource.
func Fail(resource Resource, p *Problem) Fault {
	return func(r *http.Request) *Problem {
		if ResourceOf(r) == resource {
			return p
		}
		return nil
	}
}

// Inject puts f before the authority, in place of what was there. It may be
// called by several requests at a time; nil ends it.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests is how many requests for a resource have arrived, those that a
// Fault has answered too.
func (s *Server) Requests(resource Resource) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[resource]
}

// Issued is how many certificates the authority has issued.
func (s *Server) Issued() int { return len(s.issued()) }

func (s *Server) issued() (certificates []*core.Certificate) {
	for _, order := range s.allOrders() {
		order.RLock()
		if order.CertificateObject != nil {
			certificates = append(certificates, order.CertificateObject)
		}
		order.RUnlock()
	}
	return certificates
}

// ExpireOrders makes all orders that there are expired ones, so that those
// which are not finalized yet never will be. Called by a Fault at a request to
// Finalize, it is the order that becomes invalid under the hands of its client
// (RFC 8555, section 7.1.6).
func (s *Server) ExpireOrders() {
	past := time.Now().Add(-time.Minute)
	for _, order := range s.allOrders() {
		order.Lock()
		order.ExpiresDate = past
		authorizations := order.AuthorizationObjects
		order.Unlock()
		expire(authorizations, past)
	}
}

func expire(authorizations []*core.Authorization, at time.Time) {
	for _, a := range authorizations {
		a.Lock()
		a.ExpiresDate = at
		a.Unlock()
	}
}

func (s *Server) allOrders() []*core.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.orders)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource := ResourceOf(r)
	s.mu.Lock()
	s.requests[resource]++
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if p := fault(r); p != nil {
			p.write(w)
			return
		}
	}
	if s.rejectsNonce(r) {
		s.badNonce(w)
		return
	}
	switch resource {
	case RenewalInfo:
		s.setRenewalInfo()
	case Certificate:
		s.settle(path.Base(r.URL.Path))
	case Finalize:
		// Let's Encrypt says where the order is, golang.org/x/crypto/acme looks
		// for it there, and Pebble does not say it.
		w.Header().Set("Location", s.http.URL+"/my-order/"+path.Base(r.URL.Path))
	}
	s.pebble.ServeHTTP(w, r)
	switch location := w.Header().Get("Location"); {
	case resource == NewOrder && location != "":
		s.remember(path.Base(location))
	case resource == Certificate:
		s.forget(path.Base(r.URL.Path))
	}
}

// maxRejected is how many nonces are rejected in a row.
const maxRejected = 5

func (s *Server) rejectsNonce(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost {
		return false
	}
	if s.rejected == maxRejected || rand.IntN(100) >= s.badNonces {
		s.rejected = 0
		return false
	}
	s.rejected++
	return true
}

// badNonce rejects a request. RFC 8555, section 6.5: the answer "MUST include
// a Replay-Nonce header field with a fresh nonce".
func (s *Server) badNonce(w http.ResponseWriter) {
	ask := httptest.NewRequest(http.MethodHead, "/nonce-plz", nil)
	ask.Header.Set("User-Agent", "acmetest")
	fresh := httptest.NewRecorder()
	s.pebble.ServeHTTP(fresh, ask)
	w.Header().Set("Replay-Nonce", fresh.Header().Get("Replay-Nonce"))
	(&Problem{Type: "badNonce", Detail: "an invalid anti-replay nonce", Status: http.StatusBadRequest}).write(w)
}

// remember keeps an order, and gives it the times of a clock that is wrong.
func (s *Server) remember(order string) {
	o := s.db.GetOrderByID(order)
	if s.skew != 0 {
		o.Lock()
		notBefore := time.Now().Add(s.skew)
		o.NotBefore = notBefore.Format(time.RFC3339)
		o.NotAfter = notBefore.Add(s.validity).Format(time.RFC3339)
		o.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, o)
}

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 {
		seconds := int(math.Ceil(p.RetryAfter.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	w.WriteHeader(p.Status)
	text, err := json.Marshal(map[string]any{
		"type": "urn:ietf:params:acme:error:" + p.Type, "detail": p.Detail, "status": p.Status,
	})
	if err == nil {
		_, _ = w.Write(text)
	}
}

// minWindow is how long a time of renewal has to be: clients choose a whole
// second in it, and ask again and again for one that is too short.
const minWindow = 3 * time.Second

// setRenewalInfo suggests that certificates are renewed shortly before a third
// of their time is left. Pebble takes a day more on both sides, which for
// certificates of some seconds is at any time.
func (s *Server) setRenewalInfo() {
	for _, c := range s.issued() {
		validity := c.Cert.NotAfter.Sub(c.Cert.NotBefore)
		end := c.Cert.NotAfter.Add(-validity / 3)
		start := end.Add(-max(validity/30, minWindow))
		text := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`,
			start.Format(time.RFC3339Nano), end.Format(time.RFC3339Nano))
		if err := s.db.SetARIResponse(c.Cert.SerialNumber, text); err != nil {
			panic(err) // Pebble has issued it
		}
	}
}

// settle makes sure that a certificate that is fetched can be replaced. Pebble
// hands it out a moment before it knows whose order it was of; and one of a few
// hundred it never finds again, since the serial numbers that clients send
// begin with a zero octet where the first one would be that of a negative
// number, and its own do not.
func (s *Server) settle(certificate string) {
	for range 1000 {
		order, err := s.db.GetOrderByIssuedSerial(certificate)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if certificate[0] >= '8' {
			s.findAs("00"+certificate, order)
		}
		return
	}
}

// findAs makes an order known by another serial number of its certificate.
func (s *Server) findAs(serial string, order *core.Order) {
	if _, err := s.db.GetOrderByIssuedSerial(serial); err == nil {
		return
	}
	order.RLock()
	defer order.RUnlock()
	err := s.db.AddOrderByIssuedSerial(&core.Order{
		ID: order.ID, AccountID: order.AccountID, Order: order.Order, CertificateObject: &core.Certificate{ID: serial},
	})
	if err != nil {
		panic(err) // it has a certificate
	}
}

// forget lets the authorizations of an order run out whose certificate has been
// fetched. Pebble's PEBBLE_AUTHZREUSE=0 still reuses one of a hundred, and a
// test of renewals would validate nothing then.
func (s *Server) forget(certificate string) {
	for _, order := range s.allOrders() {
		order.RLock()
		done := order.CertificateObject != nil && order.CertificateObject.ID == certificate
		authorizations := order.AuthorizationObjects
		order.RUnlock()
		if done {
			expire(authorizations, time.Now().Add(-time.Minute))
		}
	}
}
