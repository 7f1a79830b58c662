package resolver

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxHostsFile bounds what is read of the hosts file, in octets.
const maxHostsFile = 4 << 20

// hosts is the hosts file.
type hosts struct {
	addrs map[string][]netip.Addr // by name: lower case, final dot
	names map[netip.Addr][]string // as they are written, with final dot
}

// parseHosts reads hosts(5).
func parseHosts(text string) *hosts {
	h := &hosts{make(map[string][]netip.Addr), make(map[netip.Addr][]string)}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		ip = ip.Unmap()
		for _, name := range words[1:] {
			name = strings.TrimSuffix(name, ".") + "."
			key := strings.ToLower(name)
			if !slices.Contains(h.addrs[key], ip) {
				h.addrs[key] = append(h.addrs[key], ip)
			}
			h.names[ip] = append(h.names[ip], name)
		}
	}
	return h
}

// local answers what is not a matter for the DNS: names in the hosts file, and
// localhost (RFC 6761, section 6.3: "Name resolution APIs and libraries SHOULD
// recognize localhost names as special and SHOULD always return the IP
// loopback address").
func (r *Resolver) local(q question) (result, bool) {
	if q.typ != dns.TypeA && q.typ != dns.TypeAAAA {
		return result{}, false
	}
	addrs := r.hosts.get().addrs[q.name]
	if len(addrs) == 0 && isLocalhost(q.name) {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	if len(addrs) == 0 {
		return result{}, false
	}
	res := result{answer: appliance.DNSAnswer{
		Name: strings.TrimSuffix(q.name, "."), Expires: time.Now().Add(lookAgain),
	}}
	for _, ip := range addrs {
		if ip.Is4() == (q.typ == dns.TypeA) {
			res.answer.Addrs = append(res.answer.Addrs, ip)
		}
	}
	if len(res.answer.Addrs) == 0 {
		res.err = &net.DNSError{Err: "the hosts file has no such address", IsNotFound: true}
	}
	return res, true
}

func isLocalhost(name string) bool {
	return name == "localhost." || strings.HasSuffix(name, ".localhost.")
}
