// Package alignment tells an appliance before it takes a message what DMARC
// will say of it (RFC 9989, section 4.4).
//
// A receiver looks at the domain of the From field, and wants it vouched for:
// by a signature whose d= has the same organizational domain, or by SPF that
// passes for an envelope sender of the same. The pipeline knows the first from
// its signers. For the rest there is the DNS, and this package asks it: for the
// organizational domain, by walking the tree (RFC 9989, section 4.10), and for
// SPF, by evaluating it (RFC 7208) for the addresses that mail leaves from.
//
// What the DNS does not tell is an error, and never a reason to refuse mail.
package alignment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dmarc"
	"github.com/waxwing-mail/waxwing/appliance/spf"
)

// maxAddresses bounds the evaluations for one message: as many as the
// deliverability block can name.
const maxAddresses = 32

type aligner struct{ appliance.AlignerContext }

// New returns the Aligner of an appliance.
func New(c appliance.AlignerContext) appliance.Aligner { return aligner{c} }

// OrganizationalDomain implements [appliance.Aligner].
func (a aligner) OrganizationalDomain(ctx context.Context, domain string) (string, error) {
	org, found, err := dmarc.Organization(ctx, a.Resolver, domain)
	if !found {
		return "", err
	}
	return org, err
}

// MayPassSPF implements [appliance.Aligner]: it passes if it does for one of
// the addresses. If they are not known, it may pass if the domain has a
// policy that can be evaluated at all.
func (a aligner) MayPassSPF(ctx context.Context, domain string, from []netip.Addr) (bool, error) {
	known := len(from) > 0
	if !known {
		// Nobody has this address (RFC 5737): what matters is whether there is a
		// record that could name another.
		from = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})}
	}
	var failed error
	for _, ip := range from[:min(len(from), maxAddresses)] {
		r := spf.Check(ctx, a.Resolver, spf.Query{IP: ip, HELO: a.Hostname, From: appliance.Mailbox{Local: "postmaster", Domain: domain}})
		switch {
		case r.Result == spf.Pass:
			return true, nil
		case r.Result == spf.TempError:
			failed = errors.Join(failed, fmt.Errorf("%s: %s", ip, r.Problem))
		case !known && r.Result != spf.None && r.Result != spf.PermError:
			return true, nil
		}
	}
	if len(from) > maxAddresses {
		failed = errors.Join(failed, fmt.Errorf("mail leaves from %d addresses, and %d are looked at", len(from), maxAddresses))
	}
	return false, failed
}
