package mx

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// maxHosts bounds the mail exchangers of one attempt.
const maxHosts = 20

// A host is a mail exchanger with the addresses that may be used.
type host struct {
	name    string
	addrs   []netip.Addr
	literal bool   // the name is an address
	found   string // where the addresses were, if the name is an alias
	secure  bool   // DNSSEC vouches for the addresses
	known   bool   // DNSSEC vouches for the name: it is a mail exchanger of the domain
}

// An exchanger is an MX record that makes sense.
type exchanger struct {
	name string // lower case, no final dot
	pref uint16
}

// What a look-up can find out about a domain.
var (
	// RFC 7505, section 4.
	errNullMX   = appliance.NewReply(556, 1, 10, "The recipient's domain accepts no mail")
	errNoDomain = appliance.NewReply(550, 1, 2, "The recipient's domain does not exist or has no mail server; check the address for a typing error")
	errNoHost   = appliance.NewReply(550, 4, 4, "The mail exchanger of the recipient's domain does not exist")
	errFamily   = appliance.NewReply(451, 4, 4, "The mail exchanger of the recipient's domain has no address of the IP version that is used here")
	errDNS      = appliance.NewReply(451, 4, 3, "The recipient's domain cannot be looked up at the moment")
)

// hosts are the mail exchangers of a mailbox in the order to be tried, or why
// one cannot be. Hosts of the same preference are looked up together, because
// one of them may be us: RFC 5321, section 5.1: "it MUST NOT deliver to …
// any of the higher-numbered (less preferred) MX hosts".
func (m *MX) hosts(ctx context.Context, to appliance.Mailbox) iter.Seq2[host, *smtpconn.Failure] {
	return func(yield func(host, *smtpconn.Failure) bool) {
		if ip, ok := to.Literal(); ok {
			m.yieldLiteral(to.Domain, ip, yield)
			return
		}
		set, failure := m.lookup(ctx, to.Domain)
		if failure != nil {
			yield(host{}, failure)
			return
		}
		for group := range groups(set.list) {
			hosts := make([]found, len(group))
			for i, x := range group {
				if hosts[i] = m.resolve(ctx, x.name, set.implicit); hosts[i].self {
					yield(host{}, stop(x.name))
					return
				}
				hosts[i].host.known = set.secure
			}
			for _, f := range hosts {
				if !yield(f.host, f.failure) {
					return
				}
			}
		}
	}
}

func stop(name string) *smtpconn.Failure {
	f := smtpconn.NewFailure(name, errSelf)
	f.Stop = true
	return f
}

// yieldLiteral is the one host of an address literal (RFC 5321, section 5.1
// has no look-up for it).
func (m *MX) yieldLiteral(name string, ip netip.Addr, yield func(host, *smtpconn.Failure) bool) {
	if r := m.guard.check(ip); r != nil {
		yield(host{}, smtpconn.NewFailure(name, r))
		return
	}
	yield(host{name: name, addrs: []netip.Addr{ip}, literal: true}, nil)
}

// An exchangerSet is the mail exchangers of a domain by preference, equals in
// random order.
type exchangerSet struct {
	list []exchanger
	// implicit says that the domain has no MX record and stands for itself
	// (RFC 5321, section 5.1).
	implicit bool
	secure   bool // DNSSEC vouches for it, and can be relied on
}

// lookup returns the mail exchangers of a domain.
func (m *MX) lookup(ctx context.Context, domain string) (exchangerSet, *smtpconn.Failure) {
	if domain == "" {
		return exchangerSet{}, smtpconn.NewFailure("", errNoDomain)
	}
	a, err := m.resolver.Query(ctx, appliance.QueryMX, domain+".")
	// The resolver can give records and an error at once: some of the records
	// were malformed. The good ones are used.
	if len(a.MX) == 0 {
		if err == nil || notFound(err) {
			return exchangerSet{list: []exchanger{{name: domain}}, implicit: true, secure: m.vouched(a)}, nil
		}
		return exchangerSet{}, smtpconn.NewFailure("", errDNS.With(err))
	}
	list, null := exchangers(a.MX)
	switch {
	case len(list) > 0:
		return exchangerSet{list: list, secure: m.vouched(a) && err == nil}, nil
	case null && len(a.MX) == 1:
		return exchangerSet{}, smtpconn.NewFailure("", errNullMX)
	}
	return exchangerSet{}, smtpconn.NewFailure("", errNoHost)
}

// vouched says that DNSSEC vouches for an answer. What a resolver says of that
// counts only if it can be relied on.
func (m *MX) vouched(a appliance.DNSAnswer) bool { return a.Secure && m.resolver.DNSSEC() == nil }

// exchangers sorts the records and leaves out what is no host. null says that
// one of them was the null MX, which means something only if it is alone
// (RFC 7505, section 3).
func exchangers(records []*net.MX) (list []exchanger, null bool) {
	for _, r := range records {
		name := strings.ToLower(strings.TrimSuffix(r.Host, "."))
		if name == "" {
			null = true
			continue
		}
		if _, err := netip.ParseAddr(name); err == nil {
			continue // RFC 1035, section 3.3.9: it must be a name
		}
		list = append(list, exchanger{name, r.Pref})
	}
	// RFC 5321, section 5.1: "the sender-SMTP MUST randomize them to spread
	// the load across multiple mail exchangers".
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b exchanger) int { return cmp.Compare(a.pref, b.pref) })
	return list[:min(len(list), maxHosts)], null
}

// groups cuts a sorted list into runs of equal preference.
func groups(list []exchanger) iter.Seq[[]exchanger] {
	return func(yield func([]exchanger) bool) {
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].pref == list[0].pref {
				n++
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// found is what became of looking up a host.
type found struct {
	host    host
	failure *smtpconn.Failure
	self    bool // it is us
}

// resolve looks up the addresses of a host and keeps those that may be used.
func (m *MX) resolve(ctx context.Context, name string, implicit bool) found {
	// RFC 6761, section 6.3: localhost is always this machine.
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || m.isOwnName(name) {
		return found{self: true}
	}
	at, err := m.addresses(ctx, name, m.families)
	if len(at.addrs) == 0 && err != nil {
		return found{failure: smtpconn.NewFailure(name, errDNS.With(err))}
	}
	if len(at.addrs) == 0 {
		return found{failure: m.nowhere(ctx, name, implicit)}
	}
	f := found{host: host{name: name, found: at.name, secure: at.secure}}
	for _, ip := range at.addrs {
		switch m.guard.check(ip) {
		case nil:
			f.host.addrs = append(f.host.addrs, ip)
		case errSelf:
			f.self = true
		}
	}
	if len(f.host.addrs) == 0 {
		f.failure = smtpconn.NewFailure(name, errSpecial)
	}
	return f
}

// A location is the addresses of a host.
type location struct {
	addrs  []netip.Addr
	name   string // where they were found, after aliases
	secure bool   // DNSSEC vouches for all of them
}

// queries are the records that hold the addresses of a family.
var queries = map[string]appliance.QueryType{"ip4": appliance.QueryA, "ip6": appliance.QueryAAAA}

// addresses looks up a host in the given families. Each is asked for by
// itself: one answer for both would hide that one of them failed, and a
// failure must never look like "no such host". There may be both addresses
// and an error; neither means that the host certainly has no address.
func (m *MX) addresses(ctx context.Context, name string, families []string) (at location, failed error) {
	at.secure = true
	for _, family := range families {
		a, err := m.resolver.Query(ctx, queries[family], name+".")
		if err != nil && !notFound(err) {
			failed = errors.Join(failed, err)
		}
		for _, ip := range a.Addrs {
			at.addrs = append(at.addrs, ip.Unmap().WithZone(""))
			at.name, at.secure = a.Name, at.secure && a.Secure && (at.name == "" || at.name == a.Name)
		}
	}
	return at, failed
}

// nowhere says why a host has no address in the families that are used.
func (m *MX) nowhere(ctx context.Context, name string, implicit bool) *smtpconn.Failure {
	others, err := m.addresses(ctx, name, m.unused)
	switch {
	case len(others.addrs) > 0:
		return smtpconn.NewFailure(name, errFamily)
	case err != nil:
		return smtpconn.NewFailure(name, errDNS.With(err))
	case implicit:
		return smtpconn.NewFailure("", errNoDomain)
	}
	return smtpconn.NewFailure(name, errNoHost)
}

// notFound says that the answer is certain: there is no such name, or no such
// record of it.
func notFound(err error) bool {
	de, ok := errors.AsType[*net.DNSError](err)
	return ok && de.IsNotFound && !de.IsTimeout && !de.IsTemporary
}
