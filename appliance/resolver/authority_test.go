package resolver

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A world is a resolver and the name servers of some zones, all at one port of
// several addresses of loopback.
type world struct {
	port    uint16
	cache   map[string]string            // what the resolver says: "NS example.test." to records
	servers map[string]map[string]string // by address, likewise; with "lame" for nothing
}

// open starts the servers and returns the resolver.
func (w *world) open(t *testing.T) *Resolver {
	t.Helper()
	for _, address := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		w.serve(t, address)
	}
	r := resolverOf(t, fmt.Sprintf("127.0.0.1:%d", w.port))
	r.port = w.port
	return r
}

func (w *world) serve(t *testing.T, address string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", address, w.port))
	if err != nil {
		t.Fatal(err)
	}
	if w.port == 0 {
		w.port = netip.MustParseAddrPort(pc.LocalAddr().String()).Port()
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(out dns.ResponseWriter, q *dns.Msg) {
		_ = out.WriteMsg(w.answer(address, q))
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	t.Cleanup(func() { pc.Close(); <-done })
}

// answer is what a server says: the first one is the resolver if it is asked
// to ask others.
func (w *world) answer(address string, q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	zone, key := w.cache, dns.TypeToString[q.Question[0].Qtype]+" "+q.Question[0].Name
	if q.RecursionDesired {
		m.RecursionAvailable = true
	} else {
		zone = w.servers[address]
		m.Authoritative = zone["lame"] == ""
	}
	text, ok := zone[key]
	if !ok {
		m.Rcode = dns.RcodeNameError
		m.Ns = records(soa)
	}
	if m.Answer = records(text); ok && text == "" {
		m.Ns = records(soa)
	}
	return m
}

// said are the answers in short: "ns1 v=DKIM1; ns2 not found".
func said(a appliance.AuthorityAnswer) string {
	var all []string
	for _, s := range a.Servers {
		words := strings.Join(s.Answer.Texts, "+")
		if s.Err != nil {
			words = kind(s.Err)
		}
		all = append(all, s.Server+" "+words)
	}
	return strings.Join(all, ", ")
}

func TestAskAuthority(t *testing.T) {
	const (
		key = "k1._domainkey.example.test."
		ns  = "example.test. NS ns2.example.test.\nexample.test. NS ns1.example.test."
	)
	cache := map[string]string{
		"NS example.test.":    ns,
		"NS other.test.":      "other.test. NS ns3.other.test.",
		"A ns1.example.test.": "ns1.example.test. A 127.0.0.2",
		"A ns2.example.test.": "ns2.example.test. A 127.0.0.3",
		"A ns3.other.test.":   "ns3.other.test. A 127.0.0.1",
	}
	one := map[string]string{"TXT " + key: key + ` TXT "v=DKIM1; " "p=one"`}
	alias := map[string]string{"TXT " + key: key + ` CNAME k1.other.test.`}
	tests := []struct {
		name                 string
		first, second, third map[string]string
		zone, want           string
	}{
		{"both have it", one, one, nil, "example.test", "ns1.example.test v=DKIM1; p=one, ns2.example.test v=DKIM1; p=one"},
		{"one is late", one, map[string]string{}, nil, "example.test", "ns1.example.test v=DKIM1; p=one, ns2.example.test not found"},
		{"one has another type", one, map[string]string{"TXT " + key: ""}, nil, "example.test", "ns1.example.test v=DKIM1; p=one, ns2.example.test not found"},
		{"one serves nothing", one, map[string]string{"lame": "yes"}, nil, "example.test", "ns1.example.test v=DKIM1; p=one, ns2.example.test temporary"},
		{"alias", alias, alias, map[string]string{"TXT k1.other.test.": `k1.other.test. TXT "v=DKIM1; p=other"`}, "other.test", "ns3.other.test v=DKIM1; p=other"},
		{"alias to nothing", alias, alias, map[string]string{}, "other.test", "ns3.other.test not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{cache: cache, servers: map[string]map[string]string{"127.0.0.1": tt.third, "127.0.0.2": tt.first, "127.0.0.3": tt.second}}
			a, err := w.open(t).AskAuthority(t.Context(), appliance.QueryTXT, "K1._domainkey.Example.test")
			if err != nil || a.Zone != tt.zone || said(a) != tt.want {
				t.Errorf("%s: %s, %v; want %s: %s", a.Zone, said(a), err, tt.zone, tt.want)
			}
		})
	}
}

func TestAskAuthorityWithoutServers(t *testing.T) {
	w := &world{cache: map[string]string{"NS example.test.": "example.test. NS ns1.example.test."}}
	r := w.open(t)
	a, err := r.AskAuthority(t.Context(), appliance.QueryTXT, "example.test")
	if err != nil || said(a) != "ns1.example.test temporary" {
		t.Errorf("%s, %v; want a server without an address", said(a), err)
	}
	if _, err := r.AskAuthority(t.Context(), appliance.QueryTXT, "a.missing.test"); kind(err) != "not found" {
		t.Errorf("no zone: %v", err)
	}
	if _, err := r.AskAuthority(t.Context(), appliance.QueryTXT, "no name"); kind(err) != "not found" {
		t.Errorf("no name: %v", err)
	}
}

// TestAskAuthorityAliasOfZone: the servers of an alias's target are not those
// of the alias.
func TestAskAuthorityAliasOfZone(t *testing.T) {
	w := &world{
		cache: map[string]string{
			"NS www.example.test.": "www.example.test. CNAME other.test.\nother.test. NS ns3.other.test.",
			"NS example.test.":     "example.test. NS ns1.example.test.",
			"A ns1.example.test.":  "ns1.example.test. A 127.0.0.2",
		},
		servers: map[string]map[string]string{"127.0.0.2": {"CNAME www.example.test.": "www.example.test. CNAME other.test."}},
	}
	a, err := w.open(t).AskAuthority(t.Context(), appliance.QueryCNAME, "www.example.test")
	if err != nil || a.Zone != "example.test" || said(a) != "ns1.example.test other.test." {
		t.Errorf("%s: %s, %v", a.Zone, said(a), err)
	}
}
