package appliance

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseNetwork parses a network, "10.0.0.0/24", or a single address,
// "2001:db8::1", of a list that decides whom to trust: who may relay, and where
// mail may go. What could be read in two ways, and so trust more than was
// meant, is refused: a network with the address of a host in it, IPv4 in the
// form of IPv6, an address with a zone. The error says what to write instead.
func ParseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Is4In6() || ip.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q: write the address without a zone and IPv4 as IPv4, such as %q", s, ip.Unmap().WithZone(""))
		}
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return p, fmt.Errorf(`%q is not a network; write "10.0.0.0/24" or "2001:db8::/48"`, s)
	case err != nil:
		return p, fmt.Errorf(`%q is not an IP address or a network; write "10.0.0.5" or "10.0.0.0/24"`, s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q: write an IPv4 network as IPv4", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q names a host within a network; write %q for the network or %q for the host", s, p.Masked(), p.Addr())
	}
	return p, nil
}
