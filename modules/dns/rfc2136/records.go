package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

// wire makes a record of the protocol. The values of all types but TXT are
// those of a zone file, in which names are complete with or without the final
// dot.
func wire(r provider.Record) (dns.RR, error) {
	header := dns.RR_Header{Name: r.FQDN, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(r.TTL / time.Second)}
	if r.Type == "TXT" {
		txt := &dns.TXT{Hdr: header}
		for _, s := range provider.Strings(r.Data) {
			txt.Txt = append(txt.Txt, provider.Escape(s))
		}
		return txt, nil
	}
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", r.FQDN, header.Ttl, r.Type, r.Data))
	if err != nil || rr == nil || dns.TypeToString[rr.Header().Rrtype] != r.Type {
		return nil, fmt.Errorf("%q is not the value of a record of type %s", provider.Said(r.Data), r.Type)
	}
	return rr, nil
}

// read makes a record of the zone of what the server sent.
func read(rr dns.RR, zone string) provider.Record {
	h := rr.Header()
	r := provider.Record{FQDN: strings.ToLower(h.Name), RR: libdns.RR{
		Type: dns.TypeToString[h.Rrtype],
		TTL:  time.Duration(h.Ttl) * time.Second,
		Data: strings.TrimPrefix(rr.String(), h.String()),
	}}
	r.Name = libdns.RelativeName(r.FQDN, zone)
	if txt, ok := rr.(*dns.TXT); ok {
		r.Data = provider.Unescape(strings.Join(txt.Txt, ""))
	}
	return r
}

// matching returns the records of the zone that are to be deleted.
func (p *RFC2136) matching(ctx context.Context, zone string, wanted []provider.Record) ([]provider.Record, error) {
	var gone []provider.Record
	for _, w := range wanted {
		there, err := p.look(ctx, zone, w)
		if no, ok := errors.AsType[*rcodeError](err); ok && no.rcode == dns.RcodeRefused && w.Type != "" && w.Data != "" {
			there, err = []provider.Record{w}, nil
		}
		if err != nil {
			return nil, err
		}
		for _, r := range there {
			if w.Matches(r) && !slices.ContainsFunc(gone, r.Equal) {
				gone = append(gone, r)
			}
		}
	}
	return gone, nil
}

// everything are the types that a record to delete may have which does not
// say its type. Servers do not answer that question themselves (RFC 8482), and
// what a zone cannot do without is deleted only by its type.
var everything = []string{"A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "SRV", "SVCB", "TLSA", "TXT"}

// look asks the server for the records at the name of w, of its type or of
// any.
func (p *RFC2136) look(ctx context.Context, zone string, w provider.Record) ([]provider.Record, error) {
	types := everything
	if w.Type != "" {
		types = []string{w.Type}
	}
	var all []provider.Record
	for _, t := range types {
		there, err := p.lookType(ctx, zone, w.FQDN, t)
		if err != nil {
			return nil, err
		}
		all = append(all, there...)
	}
	return all, nil
}

func (p *RFC2136) lookType(ctx context.Context, zone, name, typ string) ([]provider.Record, error) {
	kind, ok := dns.StringToType[typ]
	if !ok {
		return nil, fmt.Errorf("record %s of unknown type %s", name, typ)
	}
	q := new(dns.Msg).SetQuestion(name, kind)
	q.RecursionDesired = false
	answer, err := p.exchange(ctx, q)
	if no, ok := errors.AsType[*rcodeError](err); ok && no.rcode == dns.RcodeNameError {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []provider.Record
	for _, rr := range answer.Answer {
		// What a server has followed a CNAME to has another name.
		if h := rr.Header(); strings.EqualFold(h.Name, name) && h.Class == dns.ClassINET && h.Rrtype == kind {
			all = append(all, read(rr, zone))
		}
	}
	return all, nil
}
