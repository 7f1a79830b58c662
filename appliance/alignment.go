package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The values of Pipeline.Alignment.
const (
	AlignmentOff    = "off"
	AlignmentWarn   = "warn"
	AlignmentReject = "reject"
)

// An Aligner knows from the DNS what DMARC will say of mail that has not left
// yet: package alignment has the one of Waxwing. Errors mean that the DNS did
// not say.
type Aligner interface {
	// OrganizationalDomain is that of a domain (RFC 9989, section 4.10.2): two
	// domains that have the same one are aligned, unless a policy is strict. It
	// is "" if neither the domain nor one above it has a record that could say.
	OrganizationalDomain(ctx context.Context, domain string) (string, error)
	// MayPassSPF says whether SPF can pass for a reverse-path of the domain, for
	// mail that leaves from one of the addresses. Without addresses they are not
	// known, and it says whether the domain has a policy at all.
	MayPassSPF(ctx context.Context, domain string, from []netip.Addr) (bool, error)
}

// AlignerContext is everything the appliance gives its Aligner.
type AlignerContext struct {
	Hostname string
	Resolver Resolver
}

// align is the guard of alignment, after the signers: a message whose From
// domain neither a signature nor the reverse-path can vouch for fails DMARC at
// whoever gets it (RFC 9989, section 4.4). Only mail that users hand in is
// judged, and no reports, which have no reverse-path.
func (p *Pipeline) align(ctx context.Context, tx *Transaction) error {
	if p.Alignment == "" || p.Alignment == AlignmentOff || tx.Envelope.From.IsNull() || !tx.Session.MayRelay() {
		return nil
	}
	if t := p.house.Limits.CheckTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	from, err := p.unaligned(ctx, tx)
	if from == "" {
		return nil
	}
	reply := p.errUnaligned(tx, from).With(err)
	if p.Alignment == AlignmentReject && err == nil {
		return reply
	}
	e := p.event(EventUnaligned, tx)
	e.SignedBy, e.Reply = tx.SignedBy, NewReply(250, 7, 1, reply.Text).With(err)
	p.emit(e)
	return nil
}

// errUnaligned says what is wrong with a From domain, and what to do.
func (p *Pipeline) errUnaligned(tx *Transaction, from string) *Reply {
	signed := "it is not signed"
	if len(tx.SignedBy) > 0 {
		signed = "it is signed for " + strings.Join(tx.SignedBy, ", ")
	}
	return Replyf(550, 7, 1, "Nothing proves that this message is from %s: %s, and SPF cannot pass for its envelope sender as %s; "+
		"use a From address of a domain that this server signs for", from, signed, from)
}

// unaligned returns the first domain of the From field that nothing can vouch
// for, or "". The error says that the DNS did not tell whether something can.
func (p *Pipeline) unaligned(ctx context.Context, tx *Transaction) (from string, err error) {
	authors, err := tx.Message.Header.From()
	if err != nil {
		return "nobody in particular", nil //nolint:nilerr // it is the finding: DMARC has no domain to look at
	}
	for _, m := range authors {
		ok, asked := p.aligned(ctx, tx, m.Domain)
		switch {
		case ok:
		case asked == nil:
			return m.Domain, nil
		case from == "":
			from, err = m.Domain, asked
		}
	}
	return from, err
}

// aligned says whether a signature or the reverse-path can vouch for a domain.
func (p *Pipeline) aligned(ctx context.Context, tx *Transaction, from string) (bool, error) {
	var failed error
	for _, d := range tx.SignedBy {
		ok, err := p.sameOrganization(ctx, from, d)
		if ok {
			return true, nil
		}
		failed = errors.Join(failed, err)
	}
	sender := tx.Envelope.From.Domain
	ok, err := p.sameOrganization(ctx, from, sender)
	if ok && p.house.Aligner != nil {
		if ok, err = p.house.Aligner.MayPassSPF(ctx, sender, p.outward()); err != nil {
			ok, err = false, fmt.Errorf("SPF of %s: %w", sender, err)
		}
	}
	if ok {
		return true, nil
	}
	return false, errors.Join(failed, err)
}

// sameOrganization says whether two domains are aligned in relaxed mode
// (RFC 9989, section 3.2.10). If the DNS does not say, one that is below the
// other is: without a record there is no policy that it could fail, and
// receivers that find organizations in a list of public suffixes agree.
func (p *Pipeline) sameOrganization(ctx context.Context, a, b string) (bool, error) {
	switch {
	case a == b:
		return true, nil
	case strings.HasPrefix(a, "["), strings.HasPrefix(b, "["):
		return false, nil // an address is of no organization
	}
	below := strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
	if p.house.Aligner == nil {
		return below, nil
	}
	oa, err := p.house.Aligner.OrganizationalDomain(ctx, a)
	if err != nil {
		return below, unless(below, err)
	}
	ob, err := p.house.Aligner.OrganizationalDomain(ctx, b)
	if err != nil {
		return below, unless(below, err)
	}
	if oa == "" && ob == "" {
		return below, nil
	}
	return strings.EqualFold(cmp.Or(oa, a), cmp.Or(ob, b)), nil
}

// unless is err, if it matters.
func unless(known bool, err error) error {
	if known {
		return nil
	}
	return err
}

// outward are the addresses from which mail of this pipeline leaves, or nil if
// they are not known, as behind the server of a provider.
func (p *Pipeline) outward() []netip.Addr {
	var all []netip.Addr
	known := true
	for _, r := range p.relays() {
		o, ok := r.To().(OutboundRelay)
		if !ok {
			return nil
		}
		out := o.Outbound()
		if out.Via != "" {
			return nil
		}
		known = known && out.seen()
		all = append(all, out.Addresses...)
	}
	if p.house.Outward != nil {
		if world := p.house.Outward(); len(world) > 0 {
			return world
		}
	}
	if !known {
		return nil
	}
	return all
}

// seen says whether Addresses are those that receivers see: there is one for each
// of Families, and none is private or of a carrier's NAT.
func (o *Outbound) seen() bool {
	unused := func(family string) bool { return len(o.Families) > 0 && !slices.Contains(o.Families, family) }
	ip4, ip6 := unused("ip4"), unused("ip6")
	for _, ip := range o.Addresses {
		if !ip.IsGlobalUnicast() || ip.IsPrivate() || carrierNets.Contains(ip.Unmap()) {
			return false
		}
		ip4, ip6 = ip4 || ip.Unmap().Is4(), ip6 || !ip.Unmap().Is4()
	}
	return ip4 && ip6
}

// relays are those that mail of this pipeline can take, each once.
func (p *Pipeline) relays() []Ref[Relay] {
	all := []Ref[Relay]{p.Relay}
	for _, r := range p.Routes {
		if r.Relay.IsSet() && !slices.ContainsFunc(all, func(o Ref[Relay]) bool { return o.Addr() == r.Relay.Addr() }) {
			all = append(all, r.Relay)
		}
	}
	return all
}

// alignment says in words what [Pipeline.Alignment] means here.
func (p *Pipeline) alignment() string {
	switch p.Alignment {
	case AlignmentWarn:
		return "sent, with a warning in the log"
	case AlignmentReject:
		return "refused with 550"
	}
	return "sent: not looked at"
}
