package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
)

// A zone is a DNS server of a test: all the DNS there is. A name with the TXT
// record "SERVFAIL" cannot be asked about.
type zone struct {
	mu      sync.Mutex
	records []dns.RR
}

// authoritative is a resolver of the zone whose name servers are ns1, which
// has it, too, and ns2, which may have another.
type authoritative struct {
	appliance.StubResolver
	one, two *zone
}

// AskAuthority implements appliance.Authority.
func (r *authoritative) AskAuthority(_ context.Context, typ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	a := appliance.AuthorityAnswer{Zone: "example.com", Name: name}
	for i, z := range []*zone{r.one, r.two} {
		s := appliance.ServerAnswer{Server: fmt.Sprintf("ns%d.example.com", i+1)}
		m := new(dns.Msg)
		z.answer(m, dns.Question{Name: dns.Fqdn(name), Qtype: dns.StringToType[string(typ)]})
		for _, rr := range m.Answer {
			switch rr := rr.(type) {
			case *dns.TXT:
				s.Answer.Texts = append(s.Answer.Texts, strings.Join(rr.Txt, ""))
			case *dns.A:
				ip, _ := netip.AddrFromSlice(rr.A)
				s.Answer.Addrs = append(s.Answer.Addrs, ip)
			case *dns.AAAA:
				ip, _ := netip.AddrFromSlice(rr.AAAA)
				s.Answer.Addrs = append(s.Answer.Addrs, ip)
			case *dns.TLSA:
				data, _ := hex.DecodeString(rr.Certificate)
				s.Answer.TLSA = append(s.Answer.TLSA, appliance.TLSA{Usage: rr.Usage, Selector: rr.Selector, MatchingType: rr.MatchingType, Data: data})
			}
		}
		switch {
		case m.Rcode == dns.RcodeServerFailure:
			s.Err = &net.DNSError{Err: "the server answers SERVFAIL", Name: name, IsTemporary: true}
		case len(m.Answer) == 0:
			s.Err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		a.Servers = append(a.Servers, s)
	}
	return a, nil
}

// serve starts a server for the lines of a zone file, and a resolver that asks
// it.
func serve(t *testing.T, lines string) (*zone, *authoritative) {
	t.Helper()
	z := new(zone)
	z.load(t, lines)
	pc, l := listenBoth(t)
	var running sync.WaitGroup
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: z}, {Listener: l, Handler: z}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		running.Go(func() { _ = s.ActivateAndServe() })
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	r := resolver.New(appliance.ResolverContext{Settings: appliance.Settings{Resolver: appliance.DNSServers{pc.LocalAddr().String()}}})
	t.Cleanup(func() { r.Close() })
	return z, &authoritative{r, z, z}
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal("no port")
	return nil, nil
}

// load replaces what the zone holds.
func (z *zone) load(t *testing.T, lines string) {
	t.Helper()
	p := dns.NewZoneParser(strings.NewReader(lines), ".", "")
	p.SetDefaultTTL(0)
	var all []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		all = append(all, rr)
	}
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	z.mu.Lock()
	z.records = all
	z.mu.Unlock()
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable, m.Authoritative = true, true
	z.answer(m, q.Question[0])
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, false)
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

func (z *zone) answer(m *dns.Msg, q dns.Question) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, known := strings.ToLower(q.Name), q.Name == "."
	for range 8 {
		next := ""
		for _, rr := range z.records {
			h := rr.Header()
			if txt, ok := rr.(*dns.TXT); ok && strings.EqualFold(h.Name, name) && txt.Txt[0] == "SERVFAIL" {
				m.Answer, m.Rcode = nil, dns.RcodeServerFailure
				return
			}
			known = known || dns.IsSubDomain(name, strings.ToLower(h.Name))
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			if h.Rrtype == q.Qtype {
				m.Answer = append(m.Answer, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				m.Answer, next = append(m.Answer, rr), strings.ToLower(c.Target)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	if !slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == q.Qtype }) {
		soa, _ := dns.NewRR(". 0 SOA ns.test. hostmaster.test. 1 60 60 60 0")
		m.Ns = []dns.RR{soa}
	}
}
