package resolver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of one answer.
const (
	maxAliases = 12  // RFC 1034, section 3.6.2: "CNAME chains should be followed and CNAME loops signalled as an error"
	maxUsed    = 256 // records; what is more is left out
)

// A chain is the way from the question to the answer.
type chain struct {
	settings
	q       question
	at      string // the name that has been reached
	aliases int
	ttl     uint32 // the smallest on the way
	secure  bool   // so far
}

var errAliases = errors.New("too many aliases")

// resolve asks until there is an answer.
func (r *Resolver) resolve(ctx context.Context, set settings, q question) result {
	c := &chain{settings: set, q: q, at: q.name, ttl: math.MaxUint32, secure: set.dnssec}
	for {
		resp, server, err := r.send(ctx, set, question{q.typ, c.at})
		if err != nil {
			return failed(server, err)
		}
		if set.dnssec {
			r.vouched(set, resp.authentic)
		}
		res, done, err := c.follow(resp)
		if err != nil {
			return failed(server, err)
		}
		if done {
			return res
		}
	}
}

// failed is the result of a question that has no answer. It names the server.
func failed(server string, err error) result {
	e := given(err)
	e.Server = server
	if e.IsTimeout {
		e.Err = "the server does not answer"
	}
	return result{err: e, keep: failureTime}
}

var errLame = errors.New("the server knows nothing of it and asks nobody else")

// follow goes as far as a message leads. If that is to a name the message
// says nothing of, done is false and the name has to be asked for.
func (c *chain) follow(m response) (res result, done bool, err error) {
	c.secure = c.secure && m.authentic
	from := c.at
	for {
		here, next, err := c.here(m)
		switch {
		case err != nil:
			return result{}, false, err
		case len(here) > 0:
			res, err := c.found(here)
			return res, err == nil, err
		case next == "":
			return c.end(m, c.at != from)
		}
		if c.aliases++; c.aliases > maxAliases {
			return result{}, false, errAliases
		}
		c.at = next
	}
}

// here are the records at the name that has been reached, or the name that it
// is an alias of, or nothing.
func (c *chain) here(m response) (here []record, next string, err error) {
	alias := record{typ: dns.TypeCNAME}
	for _, rr := range m.answers {
		switch {
		case rr.owner != c.at:
		case rr.typ == c.q.typ:
			here = append(here, rr)
		case alias.owner == "":
			alias = rr
		}
	}
	switch {
	case len(here) > 0 || alias.owner == "":
		return here, "", nil
	case !validAlias(c.q.typ, alias.name):
		return nil, "", errors.New("the name is an alias of something that is no name")
	}
	c.ttl = min(c.ttl, alias.ttl)
	return nil, alias.name, nil
}

// validAlias says whether a name can be what an alias stands for. RFC 2317,
// section 4, names zones of less than 256 addresses "0/25.2.0.192.in-addr.arpa".
func validAlias(typ uint16, name string) bool {
	if typ == dns.TypePTR {
		name = strings.ReplaceAll(name, "/", "-")
	}
	return validName(name)
}

// end is the result when there is no record at the end of the way, or done is
// false if the message does not say so. asked says that the message is about
// another name than the one that was asked for.
func (c *chain) end(m response, elsewhere bool) (result, bool, error) {
	switch {
	case m.rcode == dns.RcodeNameError:
		return c.nothing(m, "no such host"), true, nil
	case c.denied(m):
		return c.nothing(m, "no "+dns.TypeToString[c.q.typ]+" record"), true, nil
	case elsewhere:
		return result{}, false, nil
	case m.referral || !m.authoritative && !m.recursive:
		// RFC 2308, section 2.2: an empty answer with NS records and without
		// SOA is a referral. It says nothing of the name.
		return result{}, false, errLame
	}
	return c.nothing(m, "no "+dns.TypeToString[c.q.typ]+" record"), true, nil
}

// denied says that the message has the SOA record of a zone that the name can
// be in.
func (c *chain) denied(m response) bool {
	return m.soa != nil && dns.IsSubDomain(m.soa.Hdr.Name, c.at)
}

// nothing is the answer that there is no such name or record. RFC 2308,
// section 5: it is kept for the smaller of the TTL of the SOA record and its
// minimum field; without SOA record it "SHOULD NOT be cached".
func (c *chain) nothing(m response, why string) result {
	res := result{err: &net.DNSError{Err: why, IsNotFound: true}}
	if c.denied(m) {
		res.keep = min(seconds(min(c.ttl, ttl(m.soa.Hdr), m.soa.Minttl)), maxNegative)
	}
	res.answer = c.answer(res.keep)
	return res
}

// found is the answer with records.
func (c *chain) found(here []record) (result, error) {
	res := result{}
	if c.q.typ == dns.TypeMX {
		slices.SortStableFunc(here, byPreference)
	}
	a := &res.answer
	used := 0
	for _, rr := range here {
		c.ttl = min(c.ttl, rr.ttl)
		switch {
		case used == maxUsed:
		case take(a, rr):
			used++
		default:
			res.bad = true
		}
	}
	if used == 0 {
		return result{}, errUnreadable
	}
	res.keep = min(seconds(c.ttl), maxPositive)
	head := c.answer(res.keep)
	a.Name, a.Secure, a.Expires = head.Name, head.Secure, head.Expires
	return res, nil
}

var errUnreadable = errors.New("the records cannot be read")

// byPreference keeps the best mail exchangers if there are too many.
func byPreference(a, b record) int {
	pref := func(r record) int {
		if len(r.rdata) < 2 {
			return math.MaxInt
		}
		return int(binary.BigEndian.Uint16(r.rdata))
	}
	return cmp.Compare(pref(a), pref(b))
}

func (c *chain) answer(keep time.Duration) appliance.DNSAnswer {
	return appliance.DNSAnswer{Name: strings.TrimSuffix(c.at, "."), Secure: c.secure, Expires: time.Now().Add(keep)}
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// take adds a record to an answer, if it can be read.
func take(a *appliance.DNSAnswer, rr record) bool {
	switch rr.typ {
	case dns.TypeA, dns.TypeAAAA:
		ip, ok := netip.AddrFromSlice(rr.rdata)
		if !ok || ip.Is4() != (rr.typ == dns.TypeA) {
			return false
		}
		a.Addrs = append(a.Addrs, ip)
	case dns.TypeMX:
		if rr.name != "." && !validName(rr.name) {
			return false
		}
		a.MX = append(a.MX, &net.MX{Host: rr.name, Pref: binary.BigEndian.Uint16(rr.rdata)})
	case dns.TypePTR, dns.TypeNS, dns.TypeCNAME:
		if !validName(rr.name) {
			return false
		}
		a.Texts = append(a.Texts, rr.name)
	case dns.TypeTXT:
		text, ok := text(rr.rdata)
		if !ok {
			return false
		}
		a.Texts = append(a.Texts, text)
	case dns.TypeTLSA:
		a.TLSA = append(a.TLSA, tlsa(rr.rdata))
	}
	return true
}

// text puts the strings of a TXT record together (RFC 1035, section 3.3.14).
func text(rdata []byte) (string, bool) {
	var b strings.Builder
	for len(rdata) > 0 {
		n := int(rdata[0]) + 1
		if n > len(rdata) {
			return "", false
		}
		b.Write(rdata[1:n])
		rdata = rdata[n:]
	}
	return b.String(), true
}

// tlsa reads a TLSA record (RFC 6698, section 2.1). One that is too short is
// kept as one that cannot be used: RFC 7671, section 10.1, and RFC 7672,
// section 2.2, make a difference between that and no record.
func tlsa(rdata []byte) appliance.TLSA {
	if len(rdata) < 3 {
		return appliance.TLSA{Usage: 255, Selector: 255, MatchingType: 255}
	}
	return appliance.TLSA{Usage: rdata[0], Selector: rdata[1], MatchingType: rdata[2], Data: slices.Clone(rdata[3:])}
}
