package mx

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A guard knows where mail must not go. DNS belongs to strangers: an MX record
// can name a database behind our firewall, or ourselves.
type guard struct {
	allowed []netip.Prefix
	own     func() []netip.Addr
}

// Why an address is not used. Both are permanent: the domain's own records
// say so.
var (
	errSelf    = appliance.NewReply(554, 4, 6, "Mail loop: the mail exchanger of this domain is the server that should deliver to it")
	errSpecial = appliance.NewReply(550, 4, 4, "The mail exchanger of this domain has an address that cannot be reached over the Internet")
)

// special are the networks of the IANA special-purpose registries (RFC 6890)
// that no public mail exchanger has, beside those netip knows.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // shared by carriers (RFC 6598)
	"192.0.0.0/24",    // protocol assignments
	"192.88.99.0/24",  // relays of 6to4, withdrawn (RFC 7526)
	"198.18.0.0/15",   // benchmarks
	"240.0.0.0/4",     // reserved, and broadcast
	"::/96",           // IPv4-compatible
	"::ffff:0:0:0/96", // IPv4-translated (RFC 2765)
	"64:ff9b:1::/48",  // translation within a network (RFC 8215): leads to its IPv4 addresses
	"100::/64",        // discard (RFC 6666)
	"2001::/32",       // Teredo (RFC 4380): leads to any IPv4 address, behind NAT too
	"fec0::/10",       // site-local
)

// embedding are networks whose addresses carry an IPv4 address.
var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, in the last four octets
	sixTo = netip.MustParsePrefix("2002::/16")    // RFC 3056, after the prefix
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// check returns nil, errSelf or errSpecial.
func (g *guard) check(ip netip.Addr) *appliance.Reply {
	ip = ip.Unmap().WithZone("")
	if contains(g.allowed, ip) {
		return nil
	}
	if ip.IsLoopback() || ip.IsUnspecified() {
		return errSelf
	}
	for _, own := range g.own() {
		if own == ip {
			return errSelf
		}
	}
	if v4, ok := embedded(ip); ok {
		return g.check(v4)
	}
	if ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || contains(special, ip) {
		return errSpecial
	}
	return nil
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func embedded(ip netip.Addr) (netip.Addr, bool) {
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return ip, false
}

// control is for [net.Dialer]: it sees the address that the kernel will
// connect to, after every look-up.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if r := g.check(to.Addr()); r != nil {
		return r.With(fmt.Errorf("%s is not allowed; see allow_networks", to.Addr()))
	}
	return nil
}

// interfaceAddrs are the addresses of this machine. They are asked for each
// time, since interfaces come and go.
func interfaceAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all
}
