package appliance

import (
	"fmt"
	"net/netip"

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
