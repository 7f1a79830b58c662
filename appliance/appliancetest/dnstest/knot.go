// Package dnstest gives tests real name servers on ports of loopback, with
// zones of the test's own. They run as whoever runs the test, in directories
// that are removed afterwards.
//
// [Knot] is an authoritative server (Knot DNS, in Debian's package knot) and a
// key that may change its zones (RFC 2136, RFC 8945). [Unbound] is a resolver
// that validates (Debian's package unbound) in front of such a server: zones
// can be signed, signed with signatures that have expired, or not signed.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DefaultZone is the zone of a server that was not given others.
const DefaultZone = "example.test."

// A Zone is a zone to serve.
type Zone struct {
	Name    string // with the final dot
	Records string // lines of a zone file besides those of SOA and NS
	DNSSEC  Signing
}

// Signing says what DNSSEC finds in a zone.
type Signing int

// The kinds of zones.
const (
	Unsigned Signing = iota // nothing
	Signed                  // signatures, which follow when the zone changes
	Expired                 // signatures of the day before yesterday: all of it is bogus
)

// A Server is a running name server.
type Server struct {
	Addr string // "127.0.0.1:5353", UDP and TCP
	Zone string // the first of its zones

	// The key that may change and transfer the zones. Its algorithm is
	// hmac-sha256.
	KeyName string
	Key     string // base64

	// A key that the server knows and that may change nothing but TXT records
	// at "allowed" in each zone and below.
	SmallKeyName string
	SmallKey     string // base64

	dir      string
	anchors  map[string]string // the DS record of each zone with signatures
	resolver net.Resolver
}

// Knot starts a server with the zones, or with an empty [DefaultZone], and
// stops it when the test ends. Without knotd the test is skipped, and fails
// in CI.
func Knot(t testing.TB, zones ...Zone) *Server {
	t.Helper()
	program := need(t, "knotd", "knot")
	if len(zones) == 0 {
		zones = []Zone{{Name: DefaultZone}}
	}
	var err error
	for range attempts {
		var s *Server
		if s, err = start(t, program, zones); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func start(t testing.TB, program string, zones []Zone) (*Server, error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr: loopback(port), Zone: zones[0].Name,
		KeyName: "waxwing-test.", Key: "c2VjcmV0LW9mLXRoZS10ZXN0cy0xMjM0NTY3ODkwMTI=",
		SmallKeyName: "waxwing-small.", SmallKey: "YW5vdGhlci1zZWNyZXQtb2YtdGhlLXRlc3RzLTEyMzQ=",
		anchors: make(map[string]string),
	}
	s.resolver = net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr)
	}}
	if s.dir, err = tempDir(t, "knot"); err != nil {
		return nil, err
	}
	if err := s.configure(port, zones); err != nil {
		return nil, err
	}
	if err := s.zones(t, zones); err != nil {
		return nil, err
	}
	return s, run(t, s.ready, program, "-c", s.conf())
}

func (s *Server) conf() string { return filepath.Join(s.dir, "knot.conf") }

func (s *Server) zoneFile(z Zone) string { return filepath.Join(s.dir, "zone."+z.Name+"txt") }

func (s *Server) configure(port int, zones []Zone) error {
	conf := fmt.Sprintf(config, s.dir, port, s.KeyName, s.Key, s.SmallKeyName, s.SmallKey)
	for _, z := range zones {
		conf += fmt.Sprintf("  - domain: %q\n    file: %q\n", z.Name, s.zoneFile(z))
		if z.DNSSEC == Signed {
			conf += "    dnssec-signing: on\n    dnssec-policy: test\n"
		}
	}
	return os.WriteFile(s.conf(), []byte(conf), 0o600)
}

// zones writes the zone files. A zone inside another is delegated there, with
// a DS record if it has signatures.
func (s *Server) zones(t testing.TB, zones []Zone) error {
	inner := slices.SortedFunc(slices.Values(zones), func(a, b Zone) int {
		return dns.CountLabel(b.Name) - dns.CountLabel(a.Name)
	})
	delegated := make(map[string]bool)
	for i, z := range inner {
		text := fmt.Sprintf(zoneFile, z.Name) + z.Records + "\n"
		for _, sub := range inner[:i] {
			if !delegated[sub.Name] && dns.IsSubDomain(z.Name, sub.Name) {
				delegated[sub.Name] = true
				text += fmt.Sprintf("%[1]s NS ns1.%[1]s\nns1.%[1]s A 127.0.0.1\n%[2]s\n", sub.Name, s.anchors[sub.Name])
			}
		}
		text, err := s.sign(t, z, text)
		if err != nil {
			return fmt.Errorf("zone %s: %w", z.Name, err)
		}
		if err := os.WriteFile(s.zoneFile(z), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const config = `
server:
    rundir: %[1]q
    listen: 127.0.0.1@%[2]d
    udp-workers: 1
    tcp-workers: 2
    background-workers: 1
database:
    storage: %[1]q
    journal-db-max-size: 64M
    kasp-db-max-size: 8M
    timer-db-max-size: 8M
    catalog-db-max-size: 8M
log:
  - target: stderr
    any: info
key:
  - id: %[3]q
    algorithm: hmac-sha256
    secret: %[4]q
  - id: %[5]q
    algorithm: hmac-sha256
    secret: %[6]q
acl:
  - id: all
    key: %[3]q
    action: [update, transfer]
  - id: some
    key: %[5]q
    action: update
    update-type: [TXT]
    update-owner: name
    update-owner-match: sub-or-equal
    update-owner-name: [allowed]
policy:
  - id: test
    manual: on
    single-type-signing: on
    algorithm: ecdsap256sha256
template:
  - id: default
    storage: %[1]q
    acl: [all, some]
    zonefile-sync: -1
    zonefile-load: whole
zone:
`

// The refresh of the SOA is how long some clients believe where a zone
// begins.
const zoneFile = `$ORIGIN %[1]s
$TTL 5
@ SOA ns1 hostmaster 1 5 5 3600 1
@ NS ns1
ns1 A 127.0.0.1
`

// ready waits until the server answers for its zone.
func (s *Server) ready(ctx context.Context) error {
	return poll(ctx, func(ctx context.Context) error {
		_, err := s.resolver.LookupNS(ctx, s.Zone)
		return err
	})
}

// TXT returns the values of the TXT records at a complete name, in any order.
func (s *Server) TXT(t testing.TB, fqdn string) []string {
	t.Helper()
	if !strings.HasSuffix(fqdn, ".") {
		fqdn += "."
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	values, err := s.resolver.LookupTXT(ctx, fqdn)
	if none, ok := errors.AsType[*net.DNSError](err); ok && none.IsNotFound {
		return nil
	}
	if err != nil {
		t.Fatalf("TXT of %s: %v", fqdn, err)
	}
	return values
}
