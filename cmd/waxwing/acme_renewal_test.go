package main

import (
	"flag"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// renewalValidity is how long the certificates of TestACMERenewalUnderTraffic
// are valid. 15 s stand for the shortest that anybody has tried, 90 s: what
// counts is that clients handshake all the time while certificates come and
// run out. "-renewal-validity 90s" takes a good minute.
var renewalValidity = flag.Duration("renewal-validity", 15*time.Second, "validity of the certificates in the test of renewals under traffic")

// Certificates that live for seconds are renewed, twice because somebody asks
// for it and then because it is due, while clients that verify everything do
// handshakes, log in and send on all listeners. Not one handshake fails, no
// session is dropped, and what was answered 250 has arrived (X7, P18, P1).
func TestACMERenewalUnderTraffic_X7_P18(t *testing.T) {
	if testing.Short() {
		t.Skip("takes fifteen seconds; the plain go test ./... runs it")
	}
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, book.got)
	a := newACME(t, acmetest.Options{Validity: *renewalValidity}, smarthost(sink.Addr()))
	a.start()
	a.trusted()
	first := a.mx.served(t)

	traffic := &traffic{a: a, book: book, stop: make(chan struct{}), serials: make(map[string]bool)}
	traffic.start(2)
	for n := range 2 {
		until(t, 20*time.Second, "there is traffic", func() bool { return traffic.handshakes.Load() > int64(20*(n+1)) })
		a.run("tls", "renew", "mail.example.com")
		traffic.sees(a.mx.served(t).SerialNumber)
	}
	forced := a.ca.Issued()
	if forced != 3 {
		t.Errorf("%d certificates were issued, want the first and two for tls renew", forced)
	}
	until(t, *renewalValidity, "a renewal that nobody asked for", func() bool { return a.ca.Issued() > forced })
	until(t, 10*time.Second, "clients are shown the new certificate", func() bool { return traffic.certificates() > forced })
	until(t, *renewalValidity, "the first certificate has run out", func() bool { return time.Now().After(first.NotAfter) })
	beyond := traffic.handshakes.Load() + 20
	until(t, 20*time.Second, "there is traffic after that", func() bool { return traffic.handshakes.Load() > beyond })
	traffic.finish()

	t.Logf("%d handshakes, %d certificates seen", traffic.handshakes.Load(), traffic.certificates())
	until(t, time.Minute, "everything answered 250 has arrived", func() bool { return book.missing() == 0 })
	report(t, book, 0)
}

// traffic is clients that handshake and send on all doors until they are
// stopped. All of them verify name, chain and time.
type traffic struct {
	a          *acmeProcess
	book       *ledger
	stop       chan struct{}
	clients    sync.WaitGroup
	handshakes atomic.Int64

	mu      sync.Mutex
	serials map[string]bool // of the certificates that were shown
}

// start starts clients for each door, one of them with one session for all its
// messages.
func (r *traffic) start(each int) {
	client := 0
	for _, d := range r.a.doors() {
		session := dial(r.a.t, r.a.verified(d))
		first := client
		r.clients.Go(func() { r.stay(session, d, first) })
		for n := range each {
			r.clients.Go(func() { r.comeAndGo(d, first+1+n) })
		}
		client += 1 + each
	}
}

func (r *traffic) finish() {
	close(r.stop)
	r.clients.Wait()
}

func (r *traffic) stopped() bool {
	select {
	case <-r.stop:
		return true
	case <-time.After(50 * time.Millisecond): // the machine has other tests to run
		return false
	}
}

// comeAndGo makes a session for each message.
func (r *traffic) comeAndGo(d door, client int) {
	for n := 1; !r.stopped(); n++ {
		state, err := d.handshake(r.a.ca.Roots())
		if err != nil {
			r.a.t.Errorf("%s: handshake %d of client %d: %v", d.name, n, client, err)
			continue
		}
		r.saw(state.PeerCertificates[0].SerialNumber)
		s, err := appliancetest.DialSubmitter(r.a.verified(d))
		if err != nil {
			r.a.t.Errorf("%s: session %d of client %d: %v", d.name, n, client, err)
			continue
		}
		r.handshakes.Add(2)
		r.send(s, d, client, n)
		s.Close()
	}
}

// stay sends all its messages over one session, which is older than any
// renewal.
func (r *traffic) stay(s *appliancetest.Submitter, d door, client int) {
	for n := 1; !r.stopped(); n++ {
		if !r.send(s, d, client, n) {
			return
		}
	}
}

func (r *traffic) send(s *appliancetest.Submitter, d door, client, n int) bool {
	subject := fmt.Sprintf("ledger %d %d", client, n)
	_, err := s.Submit("app@example.com", []string{"someone@example.net"},
		appliancetest.Message("app@example.com", "someone@example.net", subject, 1000))
	if err != nil {
		r.a.t.Errorf("%s: message %d of client %d: %v", d.name, n, client, err)
		return false
	}
	r.book.ack(subject)
	return true
}

func (r *traffic) saw(serial *big.Int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serials[serial.String()] = true
}

// certificates is how many different ones were shown.
func (r *traffic) certificates() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.serials)
}

// sees waits until a client of the traffic has been shown a certificate.
func (r *traffic) sees(serial *big.Int) {
	r.a.t.Helper()
	until(r.a.t, 10*time.Second, "clients are shown the new certificate", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.serials[serial.String()]
	})
}
