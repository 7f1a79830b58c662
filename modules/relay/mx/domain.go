package mx

import (
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// Domain is a domain block.
type Domain struct {
	// The domain of recipients, as in their addresses: "example.org", or
	// "*.example.org" for every domain below it. Of several blocks that fit, the
	// longest name counts.
	Name string `hcl:"name,label"`
	// What TLS must be like for its mail exchangers, whatever DANE and MTA-STS
	// say: "none", "opportunistic", "required" and "verified" as for tls of the
	// relay, or "dane-only": TLS with a certificate that the TLSA records vouch
	// for, or no delivery.
	TLS string `hcl:"tls"`
}

// daneOnly is the value of Domain.TLS that tls of the relay cannot have: the
// world is not that far.
const daneOnly smtpconn.TLSMode = "dane-only"

// An override is what a domain block says.
type override struct {
	mode   smtpconn.TLSMode // "" is nothing
	number int              // of the block, from 1
}

// parseDomains checks the domain blocks and returns what they say by name.
func parseDomains(list []Domain) (map[string]override, error) {
	all := make(map[string]override, len(list))
	for i, d := range list {
		base, below := strings.CutPrefix(d.Name, "*.")
		name, err := appliance.ParseDomain(base)
		if err != nil || strings.HasPrefix(name, "[") {
			return nil, fmt.Errorf(`%q is not a domain; write "example.org", or "*.example.org" for those below it`, d.Name)
		}
		if below {
			name = "*." + name
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%q is there twice", d.Name)
		}
		mode, err := smtpconn.ParseTLSMode(d.TLS, smtpconn.TLSNone, smtpconn.TLSOpportunistic, smtpconn.TLSRequired, smtpconn.TLSVerified, daneOnly)
		if err != nil {
			return nil, fmt.Errorf("%s: tls: %w", d.Name, err)
		}
		all[name] = override{mode, i + 1}
	}
	return all, nil
}

// override is what the administrator wants for a domain, if anything.
func (m *MX) override(domain string) override {
	if found, ok := m.overrides[domain]; ok {
		return found
	}
	for rest := domain; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return override{}
		}
		if found, ok := m.overrides["*."+parent]; ok {
			return found
		}
		rest = parent
	}
}
