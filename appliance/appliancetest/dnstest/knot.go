// Package dnstest gives tests a real authoritative name server: Knot DNS, in
// Debian's package knot, on a port of loopback, with zones of the test's own
// and a key that may change them (RFC 2136, RFC 8945). It runs as whoever runs
// the test, in a directory that is removed afterwards.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// DefaultZone is the zone of a server that was not given others.
const DefaultZone = "example.test."

// A Zone is a zone to serve.
type Zone struct {
	Name    string // with the final dot
	Records string // lines of a zone file besides those of SOA and NS
}

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

	resolver net.Resolver
}

// Knot starts a server with the zones, or with an empty [DefaultZone], and
// stops it when the test ends. Without knotd the test is skipped, and fails
// in CI.
func Knot(t testing.TB, zones ...Zone) *Server {
	t.Helper()
	program := need(t, "knotd")
	if len(zones) == 0 {
		zones = []Zone{{Name: DefaultZone}}
	}
	var err error
	for range 5 { // another process may take the port first
		var s *Server
		if s, err = start(t, program, zones); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func need(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: .ci/run should have seen to it", name)
	}
	t.Skipf("%s is not installed (Debian: apt install knot)", name)
	return ""
}

func start(t testing.TB, program string, zones []Zone) (*Server, error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Zone: zones[0].Name,
		KeyName: "waxwing-test.", Key: "c2VjcmV0LW9mLXRoZS10ZXN0cy0xMjM0NTY3ODkwMTI=",
		SmallKeyName: "waxwing-small.", SmallKey: "YW5vdGhlci1zZWNyZXQtb2YtdGhlLXRlc3RzLTEyMzQ=",
	}
	s.resolver = net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr)
	}}
	dir, err := s.files(t, port, zones)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-c", filepath.Join(dir, "knot.conf"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	if err := s.ready(ended); err != nil {
		stop()
		return nil, fmt.Errorf("knotd: %w\n%s", err, out.String())
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("knotd:\n%s", out.String())
		}
	})
	return s, nil
}

// freePort finds a port that is free for UDP and TCP.
func freePort() (int, error) {
	for range 20 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return port, nil
	}
	return 0, errors.New("no port is free for UDP and TCP")
}

// files writes the configuration and the zones. The directory is not one of
// t.TempDir: its path must be short enough for a control socket.
func (s *Server) files(t testing.TB, port int, zones []Zone) (string, error) {
	dir, err := os.MkdirTemp("", "knot")
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf := fmt.Sprintf(config, dir, port, s.KeyName, s.Key, s.SmallKeyName, s.SmallKey)
	for _, z := range zones {
		conf += fmt.Sprintf("  - domain: %q\n", z.Name)
		text := fmt.Sprintf(zoneFile, z.Name) + z.Records + "\n"
		if err := os.WriteFile(filepath.Join(dir, strings.TrimSuffix(z.Name, ".")+".zone"), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "knot.conf"), []byte(conf), 0o600)
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
template:
  - id: default
    storage: %[1]q
    file: "%%s.zone"
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
func (s *Server) ready(ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := s.resolver.LookupNS(ctx, s.Zone); err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it ended at the start")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
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
