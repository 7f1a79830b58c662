package appliance

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A StubResolver is the Querier of an appliance: package resolver has the one
// of Waxwing.
type StubResolver interface {
	Querier
	// Configure takes new settings on a reload.
	Configure(s Settings)
	// Close ends what is being asked. Nothing can be asked afterwards.
	Close() error
}

// A ResolverContext is everything the appliance gives its StubResolver.
type ResolverContext struct {
	Settings Settings              // Resolver and DNSSEC matter
	Log      *zap.Logger           // nil logs nothing
	Metrics  prometheus.Registerer // nil counts for nobody
}

// DNSServers are the addresses of the DNS servers to ask, each as
// ParseDNSServer reads it. In the configuration they are a list, or one string.
type DNSServers []string

// maxDNSServers bounds DNSServers: with more, the last ones would be asked when
// nobody waits for the answer any more.
const maxDNSServers = 8

// UnmarshalText implements encoding.TextUnmarshaler: it is one server, or none,
// as in env("DNS_SERVER", "").
func (d *DNSServers) UnmarshalText(b []byte) error {
	*d = nil
	if len(b) > 0 {
		*d = DNSServers{string(b)}
	}
	return nil
}

// String lists the servers for people.
func (d DNSServers) String() string { return strings.Join(d, ", ") }

// Parse returns the servers in their order. Each is there once, and there are
// at most 8.
func (d DNSServers) Parse() ([]netip.AddrPort, error) {
	if len(d) > maxDNSServers {
		return nil, fmt.Errorf("there are %d DNS servers, at most %d are allowed", len(d), maxDNSServers)
	}
	all := make([]netip.AddrPort, 0, len(d))
	for _, address := range d {
		one, err := ParseDNSServer(address)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, one) {
			return nil, fmt.Errorf("the DNS server %q is there twice", address)
		}
		all = append(all, one)
	}
	return all, nil
}

// ParseDNSServer reads the address of a DNS server as it is written in the
// configuration: "10.0.0.53", or "127.0.0.1:5353" if its port is not 53.
func ParseDNSServer(address string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(address); err == nil {
		return netip.AddrPortFrom(ip, 53), nil
	}
	server, err := netip.ParseAddrPort(address)
	if err != nil || server.Port() == 0 {
		return server, fmt.Errorf(`%q is not the IP address of a DNS server; write "10.0.0.53", or "127.0.0.1:5353" if its port is not 53`, address)
	}
	return server, nil
}
