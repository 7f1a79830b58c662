package records

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Wanted returns the records that follow from the facts: those of the hosts,
// then those of each domain.
func Wanted(f Facts) []Record {
	var all []Record
	for _, host := range f.hosts() {
		all = append(all, f.ofHost(host)...)
	}
	for _, domain := range f.Domains {
		all = append(all, f.ofDomain(domain)...)
	}
	return append(all, f.others()...)
}

// hosts are the names that receivers are told.
func (f *Facts) hosts() (names []string) {
	for _, s := range f.Sources {
		if s.Name != "" {
			names = add(names, s.Name)
		}
	}
	return names
}

// ofHost are the records of a name that receivers are told.
func (f *Facts) ofHost(host string) (all []Record) {
	var addrs []netip.Addr
	for _, s := range f.Sources {
		if s.Name == host {
			addrs = append(addrs, s.Addr)
		}
	}
	for _, ip := range addrs {
		all = append(all, Record{
			DNSRecord: appliance.DNSRecord{Name: host, Type: addressType(ip), Value: ip.String()},
			Kind:      KindAddress, Domain: host, Needed: true, Addresses: addrs,
			Why: "receivers look whether the name they are told leads to the address that the mail comes from",
		})
	}
	for _, ip := range addrs {
		all = append(all, ptr(ip, host))
	}
	if !slices.Contains(f.Domains, host) { // whose record is for both
		all = append(all, Record{
			DNSRecord: appliance.DNSRecord{Name: host, Type: "TXT", Value: composeSPF(addrs, nil, "-all")},
			Kind:      KindSPF, Domain: host, Addresses: addrs,
			// RFC 7208, section 2.3: "It is RECOMMENDED that SPF verifiers not
			// only check the "MAIL FROM" identity but also separately check the
			// "HELO" identity"; bounces have no other (section 2.4).
			Why: "bounces have no sender, so that receivers ask for the name they are told instead",
		})
	}
	if host == f.Exchanger && len(f.Receives) > 0 {
		all = append(all, f.tlsa(host)...)
	}
	return all
}

func addressType(ip netip.Addr) string {
	if ip.Is4() {
		return "A"
	}
	return "AAAA"
}

func ptr(ip netip.Addr, host string) Record {
	return Record{
		DNSRecord: appliance.DNSRecord{Name: ReverseName(ip), Type: "PTR", Value: host + "."},
		Kind:      KindPTR, Domain: host, Needed: true, Addresses: []netip.Addr{ip},
		Why: "many receivers refuse mail from an address without a name, or whose name does not lead back to it",
		By:  "the provider of the address",
	}
}

// ReverseName is where the PTR record of an address stands (RFC 1035, section
// 3.5; RFC 3596, section 2.5), without the final dot.
func ReverseName(ip netip.Addr) string {
	ip = ip.Unmap()
	var labels []string
	if ip.Is4() {
		for _, b := range ip.AsSlice() {
			labels = append(labels, fmt.Sprint(b))
		}
		slices.Reverse(labels)
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	for _, b := range ip.AsSlice() {
		labels = append(labels, fmt.Sprintf("%x", b>>4), fmt.Sprintf("%x", b&0xf))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".ip6.arpa"
}

func (f *Facts) tlsa(host string) (all []Record) {
	found, _ := TLSA(f.Served, host)
	for _, r := range found {
		all = append(all, Record{
			DNSRecord: r, Kind: KindTLSA, Domain: host,
			Why: "servers that send to this one know its certificate by it; it helps only in a zone that is signed with DNSSEC",
		})
	}
	return all
}

// ofDomain are the records of a domain that mail is sent from.
func (f *Facts) ofDomain(domain string) []Record {
	all := []Record{f.mx(domain)}
	all = append(all, f.spf(domain)...)
	all = append(all, f.dkim(domain)...)
	all = append(all, f.dmarc(domain)...)
	if slices.Contains(f.Receives, domain) && f.Exchanger != "" {
		all = append(all, f.inbound(domain)...)
	}
	return all
}

func (f *Facts) mx(domain string) Record {
	r := Record{
		DNSRecord: appliance.DNSRecord{Name: domain, Type: "MX"}, Kind: KindMX, Domain: domain, Needed: true,
		Why: "bounces and answers come back to the domain, and some receivers refuse mail from one that takes none; this server takes no mail for it, so that the record names the one that does",
		By:  "who runs the mailboxes of the domain",
	}
	if slices.Contains(f.Receives, domain) && f.Exchanger != "" {
		r.Value, r.By = "10 "+f.Exchanger+".", ""
		r.Why = "this server takes the mail for the domain"
	}
	return r
}

func (f *Facts) spf(domain string) []Record {
	r := Record{
		DNSRecord: appliance.DNSRecord{Name: domain, Type: "TXT"}, Kind: KindSPF, Domain: domain, Needed: true,
		Addresses: f.addresses(), Includes: f.Includes,
		Why: "says which addresses mail from the domain comes from",
	}
	switch {
	case f.Vague:
		r.By = "you, when it is known what has to be in it"
	case len(r.Addresses) == 0 && len(r.Includes) == 0:
		return nil // no mail leaves
	default:
		r.Value = composeSPF(r.Addresses, r.Includes, "~all")
		r.Next = "When the record has been right for some weeks, -all instead of ~all tells receivers to refuse what it does not allow."
	}
	return []Record{r}
}

func (f *Facts) addresses() (all []netip.Addr) {
	for _, s := range f.Sources {
		all = append(all, s.Addr)
	}
	return all
}

func (f *Facts) dkim(domain string) (all []Record) {
	for _, p := range f.Published {
		if strings.HasSuffix(p.Name, domainkey+domain) {
			r := Record{
				DNSRecord: p, Kind: KindDKIM, Domain: domain, Needed: true,
				Why: "receivers verify the signatures with it",
			}
			if slices.ContainsFunc(f.Published, func(o appliance.DNSRecord) bool { return clash(p, o) }) {
				r.By = "you, when no two signers want different keys at this name"
			}
			all = append(all, r)
		}
	}
	return all
}

// others are what modules want and what belongs to none of the domains.
func (f *Facts) others() (all []Record) {
	for _, p := range f.Published {
		if !slices.ContainsFunc(f.Domains, func(d string) bool { return strings.HasSuffix(p.Name, domainkey+d) }) {
			all = append(all, Record{DNSRecord: p, Kind: KindOther, Domain: p.Name, Needed: true, Why: "a module of the configuration wants it"})
		}
	}
	return all
}
