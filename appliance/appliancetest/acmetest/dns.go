package acmetest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A dnsServer answers for every name: A is 127.0.0.1, TXT is what has been
// set, everything else has no data. Names under invalid. do not exist. The last
// two labels of a name are its zone.
type dnsServer struct {
	address string

	mu  sync.Mutex
	txt map[string][]string
}

// startDNS starts a server on the same port of TCP and UDP of loopback.
func startDNS(t testing.TB) *dnsServer {
	t.Helper()
	s := &dnsServer{txt: make(map[string][]string)}
	stream, packets := listenBoth(t)
	s.address = stream.Addr().String()
	s.serve(t, &dns.Server{Listener: stream, Handler: s})
	s.serve(t, &dns.Server{PacketConn: packets, Handler: s})
	return s
}

// listenBoth takes a port of TCP that is free with UDP as well.
func listenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	var err error
	for range 20 {
		var stream net.Listener
		if stream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			break
		}
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", stream.Addr().String()); err == nil {
			return stream, packets
		}
		stream.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func (*dnsServer) serve(t testing.TB, server *dns.Server) {
	started, stopped := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { stopped <- server.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-stopped:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Errorf("DNS server of the test authority: %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("DNS server of the test authority: %v", err)
		}
	})
}

func (s *dnsServer) setTXT(name string, values []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.txt[dns.CanonicalName(name)] = values
}

// ServeDNS implements dns.Handler.
func (s *dnsServer) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(request.Question) == 1 {
		s.answer(reply, request.Question[0])
	} else {
		reply.Rcode = dns.RcodeFormatError
	}
	_ = w.WriteMsg(reply) // who does not wait for it does not need it
}

func (s *dnsServer) answer(reply *dns.Msg, q dns.Question) {
	name := dns.CanonicalName(q.Name)
	zone := zoneOf(name)
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 0}
	switch {
	case dns.IsSubDomain("invalid.", name):
		reply.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeA:
		reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case q.Qtype == dns.TypeSOA && name == zone:
		reply.Answer = append(reply.Answer, soa(zone))
	case q.Qtype == dns.TypeTXT:
		s.mu.Lock()
		values := s.txt[name]
		s.mu.Unlock()
		for _, v := range values {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: header, Txt: []string{v}})
		}
	}
	if len(reply.Answer) == 0 {
		// RFC 2308, section 2.2: the SOA record tells NODATA from a referral.
		reply.Ns = append(reply.Ns, soa(zone))
	}
}

// zoneOf returns the last two labels of a name.
func zoneOf(name string) string {
	labels := dns.SplitDomainName(name)
	return dns.Fqdn(strings.Join(labels[max(0, len(labels)-2):], "."))
}

func soa(zone string) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 0},
		Ns:  "ns." + zone, Mbox: "hostmaster." + zone, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 0,
	}
}
