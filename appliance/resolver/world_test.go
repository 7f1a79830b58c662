package resolver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script is a DNS server on loopback that answers as a test says.
type script struct {
	addr string

	mu   sync.Mutex
	udp  func(q *dns.Msg) [][]byte // the packets to send back
	tcp  func(q *dns.Msg) []byte   // nil: the connection is closed
	seen []string                  // "udp MX example.test."
}

// serve starts the server. Without tcp nobody listens there.
func serve(t *testing.T, udp func(*dns.Msg) [][]byte, tcp func(*dns.Msg) []byte) *script {
	t.Helper()
	s := &script{udp: udp, tcp: tcp}
	var l net.Listener
	var pc net.PacketConn
	for range 20 { // the port has to be free for both
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		l.Close()
	}
	if pc == nil {
		t.Fatal("no port")
	}
	s.addr = l.Addr().String()
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); pc.Close(); wg.Wait() })
	wg.Go(func() { s.serveUDP(pc) })
	if tcp == nil {
		l.Close()
		return s
	}
	wg.Go(func() { s.serveTCP(l) })
	return s
}

func (s *script) serveUDP(pc net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(buf[:n]) != nil {
			continue
		}
		s.saw("udp", q)
		for _, b := range s.udp(q) {
			pc.WriteTo(b, from)
		}
	}
}

func (s *script) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		io.ReadFull(c, size[:])
		buf := make([]byte, binary.BigEndian.Uint16(size[:]))
		io.ReadFull(c, buf)
		q := new(dns.Msg)
		if q.Unpack(buf) == nil {
			s.saw("tcp", q)
			if b := s.tcp(q); b != nil {
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			}
		}
		c.Close()
	}
}

func (s *script) saw(network string, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, network+" "+dns.TypeToString[q.Question[0].Qtype]+" "+q.Question[0].Name)
}

// asked is what the server was asked since the last time.
func (s *script) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.seen, ", ")
	s.seen = nil
	return all
}

// reply packs the answer to a question. The sections are lines of a zone file.
func reply(q *dns.Msg, change func(*dns.Msg), answer, authority, additional string) []byte {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.Answer, m.Ns, m.Extra = records(answer), records(authority), records(additional)
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func records(text string) (all []dns.RR) {
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		all = append(all, rr)
	}
	if p.Err() != nil {
		panic(p.Err())
	}
	return all
}

func rcode(code int) func(*dns.Msg) { return func(m *dns.Msg) { m.Rcode = code } }

func authentic(m *dns.Msg) { m.AuthenticatedData = true }

// soa is the authority section of an answer that there is nothing.
const soa = "test. 60 SOA ns.test. hostmaster.test. 1 60 60 60 30"

// resolverOf returns a resolver that asks the server, on a machine without
// hosts file and search list, and is closed when the test ends.
func resolverOf(t *testing.T, server string, change ...func(*appliance.ResolverContext)) *Resolver {
	t.Helper()
	c := appliance.ResolverContext{}
	c.Settings.Resolver = appliance.DNSServers{server}
	for _, f := range change {
		f(&c)
	}
	return onMachine(t, c, "options timeout:1", "")
}

// onMachine returns a resolver on a machine with these files.
func onMachine(t *testing.T, c appliance.ResolverContext, conf, hosts string) *Resolver {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "resolv.conf"), conf)
	write(t, filepath.Join(dir, "hosts"), hosts)
	r := open(c, filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts"))
	t.Cleanup(func() { r.Close() })
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func believe(c *appliance.ResolverContext) { c.Settings.DNSSEC = true }

// kind says what an error means to those who ask: "", "not found", "time-out",
// "temporary".
func kind(err error) string {
	if err == nil {
		return ""
	}
	de, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return "no DNSError: " + err.Error()
	case de.IsNotFound && !de.IsTemporary && !de.IsTimeout:
		return "not found"
	case de.IsNotFound || !de.IsTemporary:
		return "contradictory: " + err.Error()
	case de.IsTimeout:
		return "time-out"
	}
	return "temporary"
}
