// Package hostaddr finds the addresses of a server that the configuration names,
// for relays that have one.
package hostaddr

import (
	"context"
	"errors"
	"net/netip"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxAddresses bounds the addresses of one host name that are tried.
const maxAddresses = 10

// Lookup returns the addresses of a host, ten at most: of an address itself, of
// "localhost", or of a name by the DNS. No address is an error.
func Lookup(ctx context.Context, r appliance.Resolver, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "localhost" { // RFC 6761, section 6.3: not a matter for DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = errors.New("no address")
	}
	if len(ips) > maxAddresses {
		ips = ips[:maxAddresses]
	}
	return ips, err
}
