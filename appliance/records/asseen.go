package records

import (
	"context"
	"net"
	"strings"
)

// asSeen is the DNS as it is where one name server has these TXT records at a
// name: what it says is evaluated, and not what a cache remembers.
type asSeen struct {
	DNS
	name  string
	texts []string
}

// LookupTXT implements appliance.Resolver.
func (s asSeen) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if !strings.EqualFold(bare(name), s.name) {
		return s.DNS.LookupTXT(ctx, name)
	}
	if len(s.texts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return s.texts, nil
}
