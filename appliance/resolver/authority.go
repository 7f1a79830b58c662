package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a question to the servers of a zone.
const (
	maxNameServers = 13              // as many as the root has; a zone with more is asked at these
	maxHops        = 4               // from alias to alias, each in a zone of others
	authorityTry   = 3 * time.Second // for one server
)

var (
	errNotServed = errors.New("the server does not serve the zone")
	errNoAddress = errors.New("the name server has no address")
)

// AskAuthority implements appliance.Authority.
func (r *Resolver) AskAuthority(ctx context.Context, typ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	q, bad := newQuestion(typ, name)
	if bad != nil {
		return appliance.AuthorityAnswer{}, bad
	}
	for range maxHops {
		a, next, err := r.askZone(ctx, q)
		if err != nil || next == "" {
			return a, result{err: err}.failure(name)
		}
		q.name = next
	}
	return appliance.AuthorityAnswer{}, &net.DNSError{Err: errAliases.Error(), Name: name, IsTemporary: true}
}

// askZone asks the servers of the zone that a name is in. If it is an alias
// of a name elsewhere, for one of them at least, that is next.
func (r *Resolver) askZone(ctx context.Context, q question) (a appliance.AuthorityAnswer, next string, err *net.DNSError) {
	zone, hosts, err := r.zoneOf(ctx, q.name)
	if err != nil {
		return a, "", err
	}
	a = appliance.AuthorityAnswer{Zone: strings.TrimSuffix(zone, "."), Name: strings.TrimSuffix(q.name, ".")}
	told := make([]told, min(len(hosts), maxNameServers))
	var all sync.WaitGroup
	for i := range told {
		all.Go(func() { told[i] = r.askServer(ctx, hosts[i], q) })
	}
	all.Wait()
	for _, t := range told {
		a.Servers = append(a.Servers, t.ServerAnswer)
		if t.err == nil && t.Answer.Name != "" {
			a.Name = t.Answer.Name
		}
		next = cmp.Or(next, t.next)
	}
	return a, next, nil
}

// zoneOf finds the zone that a name is in and the names of its servers: those
// of the nearest name, upwards, that has any (RFC 1034, section 4.2.1).
func (r *Resolver) zoneOf(ctx context.Context, name string) (zone string, hosts []string, err *net.DNSError) {
	for at := name; ; {
		res := r.query(ctx, appliance.QueryNS, at)
		// An alias has no servers of its own, but its target may (RFC 1034,
		// section 3.6.2).
		if res.err == nil && res.answer.Name == strings.TrimSuffix(at, ".") {
			hosts = slices.Clone(res.answer.Texts)
			slices.Sort(hosts)
			return at, hosts, nil
		}
		if res.err != nil && !res.err.IsNotFound {
			e := *res.err
			e.Err = "the name servers of " + strings.TrimSuffix(at, ".") + " could not be found: " + e.Err
			return "", nil, &e
		}
		_, up, more := strings.Cut(at, ".")
		if !more || up == "" {
			return "", nil, &net.DNSError{Err: "no zone has this name", IsNotFound: true}
		}
		at = up
	}
}

// told is what a server said, and which name elsewhere the answer is at.
type told struct {
	appliance.ServerAnswer
	next string
	err  *net.DNSError
}

// askServer asks one name server, at the first of its addresses that answers.
func (r *Resolver) askServer(ctx context.Context, host string, q question) told {
	t := told{ServerAnswer: appliance.ServerAnswer{Server: strings.TrimSuffix(host, ".")}}
	addrs, err := r.addresses(ctx, []appliance.QueryType{appliance.QueryA, appliance.QueryAAAA}, host)
	if len(addrs) == 0 {
		t.fail(fmt.Errorf("%w: %w", errNoAddress, err))
		return t
	}
	for _, ip := range firstOfEach(addrs) {
		t.Addr = netip.AddrPortFrom(ip, r.port)
		var answer result
		if answer, t.next, t.err = r.askAt(ctx, t.Addr, q); t.err == nil || t.err.IsNotFound {
			t.Answer = answer.answer
			break
		}
	}
	t.Err = result{err: t.err}.failure(strings.TrimSuffix(q.name, "."))
	return t
}

func (t *told) fail(err error) {
	t.err = failed(t.Server, err).err
	t.Err = t.err
}

// firstOfEach are the first address of IPv4 and the first of IPv6.
func firstOfEach(addrs []netip.Addr) (all []netip.Addr) {
	for _, four := range []bool{true, false} {
		if i := slices.IndexFunc(addrs, func(ip netip.Addr) bool { return ip.Unmap().Is4() == four }); i >= 0 {
			all = append(all, addrs[i])
		}
	}
	return all
}

// askAt asks at an address. What a server says of zones that it does not serve
// counts for nothing (RFC 1034, section 4.3.1: the AA bit).
func (r *Resolver) askAt(ctx context.Context, server netip.AddrPort, q question) (res result, next string, _ *net.DNSError) {
	m, err := r.once(ctx, server, options{edns: true, direct: true}, q, authorityTry)
	if err == nil && !m.authoritative {
		err = errNotServed
	}
	if err != nil {
		return res, "", failed(server.String(), err).err
	}
	c := &chain{q: q, at: q.name, ttl: math.MaxUint32}
	res, done, err := c.follow(m)
	switch {
	case err != nil:
		return res, "", failed(server.String(), err).err
	case !done:
		return res, c.at, nil
	}
	return res, "", res.err
}
