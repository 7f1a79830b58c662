package appliance

import (
	"context"
	"errors"
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
	return &oneServer{net.Resolver{PreferGo: true, Dial: dial}, server.String()}, nil
}

// oneServer is a resolver whose errors name the server that was asked. Those of
// net.Resolver name the one of the system, whatever Dial connects to.
type oneServer struct {
	net.Resolver
	address string
}

// named changes a copy: look-ups of the same name at the same time share
// their error.
func (s *oneServer) named(err error) error {
	shared, ok := errors.AsType[*net.DNSError](err)
	if !ok || shared.Server == "" {
		return err
	}
	own := *shared
	own.Server = s.address
	return &own
}

// LookupAddr implements Resolver.
func (s *oneServer) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	names, err := s.Resolver.LookupAddr(ctx, addr)
	return names, s.named(err)
}

// LookupMX implements Resolver.
func (s *oneServer) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	mx, err := s.Resolver.LookupMX(ctx, name)
	return mx, s.named(err)
}

// LookupNetIP implements Resolver.
func (s *oneServer) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	ips, err := s.Resolver.LookupNetIP(ctx, network, host)
	return ips, s.named(err)
}

// LookupTXT implements Resolver.
func (s *oneServer) LookupTXT(ctx context.Context, name string) ([]string, error) {
	texts, err := s.Resolver.LookupTXT(ctx, name)
	return texts, s.named(err)
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
