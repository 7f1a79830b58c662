package appliance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// NewResolver returns a resolver that asks the DNS server at address, such as
// "10.0.0.53" or "127.0.0.1:5353", and nobody else; "" is what the system is
// set up for. Where the system has a hosts file, that still comes first.
func NewResolver(address string) (Resolver, error) {
	if address == "" {
		return net.DefaultResolver, nil
	}
	server, err := parseDNSServer(address)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.String())
	}
	return &net.Resolver{PreferGo: true, Dial: dial}, nil
}

func parseDNSServer(address string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(address); err == nil {
		return netip.AddrPortFrom(ip, 53), nil
	}
	server, err := netip.ParseAddrPort(address)
	if err != nil || server.Port() == 0 {
		return server, fmt.Errorf(`%q is not the IP address of a DNS server; write "10.0.0.53", or "127.0.0.1:5353" if its port is not 53`, address)
	}
	return server, nil
}
