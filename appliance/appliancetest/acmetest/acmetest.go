// Package acmetest runs a certificate authority for tests: Pebble, the ACME
// server (RFC 8555) that Let's Encrypt makes for this purpose, inside the
// process of the test, on loopback only.
//
//	ca := acmetest.Start(t, acmetest.Options{Validity: 15 * time.Second})
//	// the client: directory ca.Directory(), which it trusts by ca.RootFile(),
//	// answers http-01 at ca.HTTPAddress() or tls-alpn-01 at ca.TLSAddress()
//	conn := tls.Client(c, &tls.Config{ServerName: "mx.example.com", RootCAs: ca.Roots()})
//
// The authority validates as a public one does: it looks names up and connects
// to what it finds. A small DNS server that belongs to it says that every name
// is 127.0.0.1, except those under invalid. (RFC 2606, section 2), which do not
// exist: the way to a name that cannot be validated. TXT records for dns-01
// come from [Server.SetTXT], or Options.Resolver names a real server.
//
// What goes wrong with authorities is part of the offer: nonces are rejected
// (Options.BadNonces), nobody is there ([Server.Down]), requests fail as the
// test likes ([Server.Inject]), orders expire before they are finalized
// ([Server.ExpireOrders]).
//
// Everything ends with the test but one goroutine of Pebble's validator, which
// waits for tasks on a channel that nobody closes: see [LeakedByPebble].
//
// Pebble reads its settings from the environment of the process; Start sets
// them while it makes a server and puts back what was there. Tests may run in
// parallel.
package acmetest

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// LeakedByPebble is the function of the goroutine that stays after a test, for
// goleak.IgnoreTopFunction or goleak.IgnoreAnyFunction.
const LeakedByPebble = "github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"

// Options of a Server. The zero value is an authority that always works and
// whose certificates are valid for 90 days.
type Options struct {
	// HTTPPort and TLSPort are where the authority expects the answers to
	// http-01 and tls-alpn-01, instead of 80 and 443. Default: ports that were
	// free a moment ago.
	HTTPPort, TLSPort int
	// Validity of the certificates in whole seconds. Default: 90 days.
	Validity time.Duration
	// Skew is how far the authority's clock is ahead of ours: its certificates
	// are not valid before that. Negative is behind.
	Skew time.Duration
	// BadNonces is how many in a hundred good nonces are rejected, at random,
	// but not more than five in a row: clients give up in the end.
	BadNonces int
	// EAB are the external accounts (RFC 8555, section 7.3.4), key identifier
	// to MAC key in base64url without padding. If there are any, nobody gets an
	// account without.
	EAB map[string]string
	// Resolver is the DNS server that validations ask, "127.0.0.1:40053", over
	// TCP. Default: one of the harness.
	Resolver string
}

const defaultValidity = 90 * 24 * time.Hour

// A Server is a running certificate authority. Its methods may be called from
// many goroutines.
type Server struct {
	http     *httptest.Server
	listener *listener
	pebble   http.Handler
	db       *db.MemoryStore
	dns      *dnsServer

	validity, skew       time.Duration
	directory            string
	rootFile, rootsFile  string
	roots                *x509.CertPool
	httpAddr, tlsAddress string

	badNonces int

	mu       sync.Mutex
	fault    Fault
	rejected int // nonces in a row
	requests map[Resource]int
	orders   []*core.Order
}

// Start starts an authority that stops with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{
		db:        db.NewMemoryStore(),
		dns:       startDNS(t),
		badNonces: o.BadNonces,
		validity:  cmp.Or(o.Validity, defaultValidity), skew: o.Skew,
		requests: make(map[Resource]int),
	}
	if o.HTTPPort != 0 && o.HTTPPort == o.TLSPort {
		t.Fatal("one port for both challenges")
	}
	for s.httpAddr == s.tlsAddress { // a port that was free a moment ago may be free again
		s.httpAddr, s.tlsAddress = loopback(t, o.HTTPPort), loopback(t, o.TLSPort)
	}
	for id, key := range o.EAB {
		if err := s.db.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	logger := log.New(newSink(t), "", 0)
	s.startPebble(t, o, logger)
	s.startHTTP(t, logger)
	return s
}

// environment guards the variables that Pebble's constructors read.
var environment sync.Mutex

func (s *Server) startPebble(t testing.TB, o Options, logger *log.Logger) {
	environment.Lock()
	defer environment.Unlock()
	defer setenv(t, "PEBBLE_VA_NOSLEEP", "1")()
	defer setenv(t, "PEBBLE_AUTHZREUSE", "0")()
	defer setenv(t, "PEBBLE_WFE_NONCEREJECT", "0")() // here it would be without limit

	profile := ca.Profile{Description: "default", ValidityPeriod: uint64(s.validity / time.Second)}
	authority := ca.New(logger, s.db, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": profile})
	resolver := o.Resolver
	if resolver == "" {
		resolver = s.dns.address
	}
	validator := va.New(logger, port(s.httpAddr), port(s.tlsAddress), false, resolver, s.db)
	front := wfe.New(logger, s.db, validator, authority, []string{"acme.test"}, false, len(o.EAB) > 0, 0, 0)
	s.pebble = front.Handler()

	root := authority.GetRootCert(0).Cert
	s.roots = x509.NewCertPool()
	s.roots.AddCert(root)
	s.rootsFile = writeCertificate(t, "issued.pem", root)
}

// setenv sets a variable and returns what puts it back.
func setenv(t testing.TB, key, value string) (restore func()) {
	old, was := os.LookupEnv(key)
	if err := os.Setenv(key, value); err != nil {
		t.Fatal(err)
	}
	return func() {
		if was {
			os.Setenv(key, old) //nolint:errcheck // the same call has just worked
			return
		}
		os.Unsetenv(key) //nolint:errcheck // the same key has just been set
	}
}

func (s *Server) startHTTP(t testing.TB, logger *log.Logger) {
	certificate, root := directoryCertificate(t)
	s.rootFile = writeCertificate(t, "directory.pem", root)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = &listener{Listener: l}
	s.http = &httptest.Server{
		Listener: s.listener,
		TLS:      certificate,
		Config:   &http.Server{Handler: s, ErrorLog: logger, ReadHeaderTimeout: time.Minute},
	}
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	s.directory = s.http.URL + wfe.DirectoryPath
}

// Directory is the URL that ACME clients are given.
func (s *Server) Directory() string { return s.directory }

// RootFile is the PEM file with the root certificate of the directory's HTTPS.
func (s *Server) RootFile() string { return s.rootFile }

// Roots verify the certificates that the authority has issued.
func (s *Server) Roots() *x509.CertPool { return s.roots }

// RootsFile is a PEM file with Roots.
func (s *Server) RootsFile() string { return s.rootsFile }

// HTTPAddress is where http-01 is answered: "127.0.0.1:40080".
func (s *Server) HTTPAddress() string { return s.httpAddr }

// TLSAddress is where tls-alpn-01 is answered: "127.0.0.1:40443".
func (s *Server) TLSAddress() string { return s.tlsAddress }

// Resolver is the DNS server of the harness, on TCP and UDP:
// "127.0.0.1:40053".
func (s *Server) Resolver() string { return s.dns.address }

// SetTXT makes the DNS server of the harness answer a question for TXT records
// of name with values; without values there are none anymore.
func (s *Server) SetTXT(name string, values ...string) { s.dns.setTXT(name, values) }

// Down makes the authority unreachable: its connections are reset, open ones
// too. It keeps its address and all it knows.
func (s *Server) Down() {
	s.listener.down.Store(true)
	s.http.CloseClientConnections()
}

// Up ends Down.
func (s *Server) Up() { s.listener.down.Store(false) }

// loopback returns the address on loopback with the port, or with one that was
// free a moment ago.
func loopback(t testing.TB, port int) string {
	if port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func port(address string) int {
	_, p, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(p)
	return n
}

func writeCertificate(t testing.TB, name string, c *x509.Certificate) string {
	file := filepath.Join(t.TempDir(), name)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
