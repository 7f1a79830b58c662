package dnstest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An Authority asks a server about its first zone, as a resolver would ask the
// name servers of the world at port 53: it is an appliance.Authority, and a
// Resolver that knows no other zone.
type Authority struct{ server *Server }

var (
	_ appliance.Authority = Authority{}
	_ appliance.Resolver  = Authority{}
)

// Authority returns the server as the only one of its zone.
func (s *Server) Authority() Authority { return Authority{s} }

// AskAuthority implements appliance.Authority.
func (a Authority) AskAuthority(ctx context.Context, typ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	zone := strings.TrimSuffix(a.server.Zone, ".")
	if !dns.IsSubDomain(a.server.Zone, dns.Fqdn(name)) {
		return appliance.AuthorityAnswer{}, &net.DNSError{Err: "no zone has this name", Name: name, IsNotFound: true}
	}
	answer, err := a.ask(ctx, typ, name)
	return appliance.AuthorityAnswer{Zone: zone, Name: name, Servers: []appliance.ServerAnswer{
		{Server: "ns1." + zone, Addr: netip.MustParseAddrPort(a.server.Addr), Answer: answer, Err: err},
	}}, nil
}

// ask asks over TCP: a long key needs more than UDP has.
func (a Authority) ask(ctx context.Context, typ appliance.QueryType, name string) (answer appliance.DNSAnswer, _ error) {
	tcp := &dns.Client{Net: "tcp"}
	m, _, err := tcp.ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[string(typ)]), a.server.Addr)
	if err != nil {
		return answer, &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true}
	}
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			answer.Addrs = append(answer.Addrs, netip.MustParseAddr(rr.A.String()))
		case *dns.AAAA:
			answer.Addrs = append(answer.Addrs, netip.MustParseAddr(rr.AAAA.String()))
		case *dns.MX:
			answer.MX = append(answer.MX, &net.MX{Pref: rr.Preference, Host: rr.Mx})
		case *dns.TXT:
			answer.Texts = append(answer.Texts, strings.Join(rr.Txt, ""))
		}
	}
	if len(m.Answer) == 0 {
		return answer, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return answer, nil
}

// LookupTXT implements appliance.Resolver.
func (a Authority) LookupTXT(ctx context.Context, name string) ([]string, error) {
	answer, err := a.ask(ctx, appliance.QueryTXT, name)
	return answer.Texts, err
}

// LookupMX implements appliance.Resolver.
func (a Authority) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	answer, err := a.ask(ctx, appliance.QueryMX, name)
	return answer.MX, err
}

// LookupNetIP implements appliance.Resolver. It knows IPv4 only.
func (a Authority) LookupNetIP(ctx context.Context, _, name string) ([]netip.Addr, error) {
	answer, err := a.ask(ctx, appliance.QueryA, name)
	return answer.Addrs, err
}

// LookupAddr implements appliance.Resolver: no address has a name.
func (Authority) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return nil, &net.DNSError{Err: errors.ErrUnsupported.Error(), Name: addr, IsNotFound: true}
}
