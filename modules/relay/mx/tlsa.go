package mx

import (
	"context"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/dane"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
	"github.com/waxwing-mail/waxwing/modules/internal/tlsrpt"
)

// byDANE is what the TLSA records of a host demand.
func (m *MX) byDANE(ctx context.Context, d *destination, h host) (demand, *smtpconn.Failure) {
	f := m.tlsa(ctx, d.domain, h)
	switch f.state {
	case tlsaLost:
		// RFC 7672, section 2.1.2: an answer that cannot be had, or is bogus,
		// may be an attack: "the SMTP client MUST NOT" go on without.
		m.count(string(smtpconn.PolicyDANE), tlsrpt.DNSSECInvalid)
		m.reportFailure(d, tlsrpt.Policy{Type: tlsrpt.TypeTLSA, Domain: f.base}, tlsrpt.DNSSECInvalid, h.name)
		return demand{}, smtpconn.NewFailure(h.name, appliance.Replyf(451, 7, 5, textTLSA, h.name).With(f.err))
	case tlsaUsable:
		return demand{mode: smtpconn.TLSDANE, policy: smtpconn.PolicyDANE, set: f.set, base: f.base, known: true}, nil
	case tlsaUnusable:
		m.count(string(smtpconn.PolicyDANE), tlsrpt.TLSAInvalid)
		return demand{mode: stricter(m.mode, smtpconn.TLSRequired), policy: smtpconn.PolicyDANE, known: true}, nil
	}
	return demand{}, nil
}

// A tlsaState is what the TLSA records of a host come to.
type tlsaState int

const (
	tlsaNone     tlsaState = iota // there are none that DNSSEC vouches for
	tlsaLost                      // they cannot be had, or are bogus
	tlsaUsable                    //
	tlsaUnusable                  // there are some, and none means anything
)

// A tlsaFinding is what a look for TLSA records has found.
type tlsaFinding struct {
	state tlsaState
	base  string   // TLSA base domain
	set   dane.Set // if usable
	err   error    // if lost
}

// tlsa looks for TLSA records of a host. RFC 7672, section 2.2: they count
// if DNSSEC vouches for the MX records, for the addresses and for themselves.
// If a resolver cannot be relied on to say so, nothing is vouched for,
// whatever bits it sets.
func (m *MX) tlsa(ctx context.Context, domain string, h host) tlsaFinding {
	if !h.known || !h.secure {
		return tlsaFinding{}
	}
	for _, base := range dane.Base(h.name, h.found) {
		a, err := m.resolver.Query(ctx, appliance.QueryTLSA, dane.RecordName(base, uint16(m.Port))+".")
		switch {
		case notFound(err) || err == nil && !m.vouched(a):
			continue
		case err != nil:
			return tlsaFinding{state: tlsaLost, base: base, err: err}
		}
		if set, usable := dane.New(a.TLSA, base, h.name, domain); usable {
			return tlsaFinding{state: tlsaUsable, base: base, set: set}
		}
		if len(a.TLSA) > 0 {
			return tlsaFinding{state: tlsaUnusable, base: base}
		}
	}
	return tlsaFinding{}
}
