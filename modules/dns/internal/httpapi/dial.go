package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The limits of one connection.
const (
	maxAddresses   = 8
	connectTimeout = 10 * time.Second
)

// A dialer connects to names as the resolver of the appliance has them.
type dialer struct{ resolver appliance.Resolver }

// dial tries the addresses of a host in the order of the resolver.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ips, err := d.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	plain := &net.Dialer{Timeout: connectTimeout}
	var all []error
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		c, err := plain.DialContext(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return c, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

func (d dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "localhost" { // RFC 6761, section 6.3: not a matter for DNS
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	resolver := d.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = fmt.Errorf("%s has none", host)
	}
	return ips, err
}
