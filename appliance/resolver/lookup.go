package resolver

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// search asks for what a name may stand for, until there is an answer. As in
// net.Resolver, that a name certainly does not exist is only said if that is
// known of all of them.
func (r *Resolver) search(ctx context.Context, typ appliance.QueryType, name string) result {
	res := result{err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	for _, full := range r.system.get().names(name) {
		next := r.query(ctx, typ, full)
		if next.err == nil {
			return next
		}
		if res.err.IsNotFound {
			res = next
		}
		if ctx.Err() != nil || final(name, full, next.err) {
			break
		}
	}
	return res
}

// final says that nothing else is to be asked for in place of full, which a
// name may stand for: it is the name as it is written, and could not be looked
// up. Else whoever serves a domain of the search list would get what is for
// another server, such as mail and a password, while the DNS fails.
func final(name, full string, err *net.DNSError) bool {
	return full == name+"." && !err.IsNotFound
}

// LookupMX implements appliance.Resolver. If some of the records could not be
// used, there are the others and an error.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	res := r.search(ctx, appliance.QueryMX, name)
	a, err := res.clone(name)
	if err != nil {
		return nil, err
	}
	// RFC 5321, section 5.1: those of the same preference in any order.
	rand.Shuffle(len(a.MX), func(i, j int) { a.MX[i], a.MX[j] = a.MX[j], a.MX[i] })
	slices.SortStableFunc(a.MX, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	return a.MX, res.partial(name)
}

// LookupTXT implements appliance.Resolver.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := r.search(ctx, appliance.QueryTXT, name).clone(name)
	return a.Texts, err
}

// partial is the error of a result of which some records could not be used.
func (r result) partial(name string) error {
	if !r.bad {
		return nil
	}
	return &net.DNSError{Err: "some of the records are no names of hosts and were left out", Name: name, IsTemporary: true}
}

// LookupAddr implements appliance.Resolver: the names of an address, those of
// the hosts file first. They end in a dot.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "no address", Name: addr, IsNotFound: true}
	}
	if names := r.hosts.get().names[ip.Unmap().WithZone("")]; len(names) > 0 {
		return slices.Clone(names), nil
	}
	reverse, err := dns.ReverseAddr(ip.Unmap().WithZone("").String())
	if err != nil {
		return nil, &net.DNSError{Err: "no address", Name: addr, IsNotFound: true}
	}
	res := r.query(ctx, appliance.QueryPTR, reverse)
	a, err := res.clone(addr)
	if err != nil {
		return nil, err
	}
	return a.Texts, res.partial(addr)
}

// LookupNetIP implements appliance.Resolver. network is "ip4", "ip6" or "ip",
// for which IPv4 addresses come first. If one family fails and the other does
// not, there are addresses and no error.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	types := map[string][]appliance.QueryType{
		"ip":  {appliance.QueryA, appliance.QueryAAAA},
		"ip4": {appliance.QueryA},
		"ip6": {appliance.QueryAAAA},
	}[network]
	if types == nil {
		return nil, net.UnknownNetworkError(network)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return literal(ip, network, host)
	}
	var last *net.DNSError
	for _, full := range r.system.get().names(host) {
		ips, err := r.addresses(ctx, types, full)
		if len(ips) > 0 {
			return ips, nil
		}
		if last == nil || last.IsNotFound {
			last = err
		}
		if ctx.Err() != nil || final(host, full, err) {
			break
		}
	}
	return nil, result{err: last}.failure(host)
}

func literal(ip netip.Addr, network, host string) ([]netip.Addr, error) {
	if network == "ip" || ip.Unmap().Is4() == (network == "ip4") {
		return []netip.Addr{ip}, nil
	}
	return nil, &net.DNSError{Err: "an address of the other family", Name: host, IsNotFound: true}
}

// addresses asks for all types at once. The error says that a name certainly
// has no address only if that is known of all of them.
func (r *Resolver) addresses(ctx context.Context, types []appliance.QueryType, name string) (all []netip.Addr, err *net.DNSError) {
	results := make([]chan result, len(types))
	for i, typ := range types {
		results[i] = make(chan result, 1)
		go func() { results[i] <- r.query(ctx, typ, name) }()
	}
	for _, c := range results {
		res := <-c
		all = append(all, res.answer.Addrs...)
		if err == nil || err.IsNotFound && res.err != nil {
			err = res.err
		}
	}
	return slices.Clone(all), err
}
