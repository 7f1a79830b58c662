package acme

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	acmeproto "github.com/mholt/acmez/v3/acme"
)

var errNoChallenge = errors.New("no challenge for this name")

// serveALPN answers tls-alpn-01 (RFC 8737) for the names that are kept. A visit
// is over after patience.
func serveALPN(keeps func(name string) bool, patience time.Duration) func(net.Listener) (stop func()) {
	config := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{acmez.ACMETLS1Protocol},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return answerALPN(hello, keeps)
		},
	}
	return func(l net.Listener) (stop func()) {
		s := &alpnServer{config: config, patience: patience, open: make(map[net.Conn]struct{})}
		s.visits.Go(func() { s.accept(l) })
		return func() {
			l.Close()
			s.hurry(time.Now().Add(partingTime))
			s.visits.Wait()
		}
	}
}

// answerALPN is the certificate that proves the challenge. RFC 8737, section 3:
// the authority offers the single protocol "acme-tls/1", and the name as SNI.
func answerALPN(hello *tls.ClientHelloInfo, keeps func(name string) bool) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil, errors.New("this port is for acme-tls/1 alone")
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	c, ok := certmagic.GetACMEChallenge(name)
	if !ok || !keeps(name) || c.Type != acmeproto.ChallengeTypeTLSALPN01 {
		return nil, errNoChallenge
	}
	return acmez.TLSALPN01ChallengeCert(c.Challenge)
}

// alpnServer makes handshakes and closes.
type alpnServer struct {
	config   *tls.Config
	patience time.Duration
	visits   sync.WaitGroup

	mu      sync.Mutex
	open    map[net.Conn]struct{}
	parting time.Time // when those who are still here are sent away
}

// acceptPause keeps accept errors, such as too many open files, from being a
// busy loop.
const acceptPause = 50 * time.Millisecond

func (s *alpnServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(acceptPause)
			continue
		}
		s.visits.Go(func() { s.visit(c) })
	}
}

func (s *alpnServer) visit(c net.Conn) {
	defer c.Close()
	defer s.leave(c)
	if err := c.SetDeadline(s.enter(c)); err == nil {
		_ = tls.Server(c, s.config).Handshake() // the authority sees for itself
	}
}

// enter returns when the visit must end.
func (s *alpnServer) enter(c net.Conn) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	if !s.parting.IsZero() {
		return s.parting
	}
	return time.Now().Add(s.patience)
}

func (s *alpnServer) leave(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// hurry ends all visits at a time.
func (s *alpnServer) hurry(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parting = until
	for c := range s.open {
		c.SetDeadline(until) //nolint:errcheck // what has no deadline is closed already
	}
}
