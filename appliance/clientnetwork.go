package appliance

import "net/netip"

// ClientNetwork is what counts as one client where clients are counted: an IPv4
// address, or the /64 that one IPv6 customer commonly has. It is false for a
// unix socket, which has none.
func ClientNetwork(ip netip.Addr) (netip.Prefix, bool) {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil && ip.IsValid()
}

var (
	loopback6   = netip.MustParsePrefix("::/64")         // the client network of ::1
	carrierNets = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, section 7
)

// SharedNetwork says whether many clients can come from a [ClientNetwork]: a unix
// socket, loopback, link-local addresses and networks of one's own (RFC 1918,
// RFC 4193, RFC 6598), in which it may be that of a gateway, of a node, or of a
// proxy. What one client does is not held against all of them.
func SharedNetwork(p netip.Prefix) bool {
	ip := p.Addr()
	return !p.IsValid() || ip.IsLoopback() || p == loopback6 || ip.IsPrivate() || ip.IsLinkLocalUnicast() ||
		carrierNets.Contains(ip)
}
