package resolver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A response is what is used of a message from a server.
type response struct {
	rcode         int // with the upper bits of EDNS
	truncated     bool
	authentic     bool // the AD bit
	authoritative bool
	recursive     bool // the server asks others
	answers       []record
	soa           *dns.SOA // of the authority section
	referral      bool     // the authority section names other servers
	reasons       []string // RFC 8914: what the server says beside the code
}

// A record of the answer section.
type record struct {
	owner string // lower case, with final dot
	typ   uint16
	ttl   uint32
	rdata []byte
	name  string // the name in a CNAME, MX, NS or PTR record, in lower case; "" if it cannot be read
}

// What is wrong with a message that is not the answer to our question.
var (
	errShort    = errors.New("the answer ends too early")
	errMismatch = errors.New("the answer is to another question")
)

// maxRecords bounds the records of a message that are looked at. A message has
// room for 64 KiB, and a record takes 11 octets.
const maxRecords = 6000

// parse reads a message and checks that it answers q.
func parse(msg []byte, id uint16, q question) (response, error) {
	var r response
	if len(msg) < 12 {
		return r, errShort
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if binary.BigEndian.Uint16(msg) != id || flags>>15 == 0 || flags>>11&15 != dns.OpcodeQuery {
		return r, errMismatch
	}
	r.authoritative = flags&(1<<10) != 0
	r.truncated = flags&(1<<9) != 0
	r.recursive = flags&(1<<7) != 0
	r.authentic = flags&(1<<5) != 0
	r.rcode = int(flags & 15)
	off, err := checkQuestion(msg, q, r.rcode)
	if err != nil || r.truncated {
		return r, err // of what is cut off nothing is used: RFC 2181, section 9
	}
	return r, r.sections(msg, off, q)
}

// checkQuestion returns where the sections begin.
func checkQuestion(msg []byte, q question, rcode int) (int, error) {
	switch n := binary.BigEndian.Uint16(msg[4:]); {
	case n == 0 && (rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented):
		return 12, nil // a server that has not understood may not repeat the question
	case n != 1:
		return 0, errMismatch
	}
	name, off, err := dns.UnpackDomainName(msg, 12)
	if err != nil {
		return 0, errMismatch
	}
	if len(msg) < off+4 {
		return 0, errShort
	}
	typ, class := binary.BigEndian.Uint16(msg[off:]), binary.BigEndian.Uint16(msg[off+2:])
	if dns.CanonicalName(name) != q.name || typ != q.typ || class != dns.ClassINET {
		return 0, errMismatch
	}
	return off + 4, nil
}

// sections reads the records. Only those that can be of use are unpacked, so
// that one that cannot be read does no harm to the others.
func (r *response) sections(msg []byte, off int, q question) error {
	left := maxRecords
	for section := range 3 {
		for range binary.BigEndian.Uint16(msg[6+2*section:]) {
			if left--; left < 0 {
				return fmt.Errorf("the answer has more than %d records", maxRecords)
			}
			h, next, err := header(msg, off)
			if err != nil {
				return err
			}
			r.record(section, h, msg[:next], next-int(h.Rdlength), q)
			off = next
		}
	}
	return nil
}

// header reads the header of the record at off and returns where the next
// record begins.
func header(msg []byte, off int) (h dns.RR_Header, next int, err error) {
	h.Name, off, err = dns.UnpackDomainName(msg, off)
	if err != nil {
		return h, 0, fmt.Errorf("the answer cannot be read: %w", err)
	}
	if len(msg) < off+10 {
		return h, 0, errShort
	}
	h.Rrtype = binary.BigEndian.Uint16(msg[off:])
	h.Class = binary.BigEndian.Uint16(msg[off+2:])
	h.Ttl = binary.BigEndian.Uint32(msg[off+4:])
	h.Rdlength = binary.BigEndian.Uint16(msg[off+8:])
	if next = off + 10 + int(h.Rdlength); next > len(msg) {
		return h, 0, errShort
	}
	return h, next, nil
}

// The sections after the question.
const (
	answerSection = iota
	authoritySection
	additionalSection
)

// record takes from one record what is used of it. Its data end the message.
func (r *response) record(section int, h dns.RR_Header, msg []byte, off int, q question) {
	switch {
	case section == additionalSection && h.Rrtype == dns.TypeOPT:
		if rr, _, err := dns.UnpackRRWithHeader(h, msg, off); err == nil {
			r.extended(rr.(*dns.OPT))
		}
	case h.Class != dns.ClassINET:
	case section == answerSection && (h.Rrtype == q.typ || h.Rrtype == dns.TypeCNAME):
		r.answers = append(r.answers, record{dns.CanonicalName(h.Name), h.Rrtype, ttl(h), msg[off:], nameIn(h.Rrtype, msg, off)})
	case section == authoritySection && h.Rrtype == dns.TypeSOA && r.soa == nil:
		if rr, _, err := dns.UnpackRRWithHeader(h, msg, off); err == nil {
			r.soa, _ = rr.(*dns.SOA)
		}
	case section == authoritySection && h.Rrtype == dns.TypeNS:
		r.referral = true
	}
}

// nameIn reads the name in the data of a record, which has to end with them.
func nameIn(typ uint16, msg []byte, off int) string {
	switch typ {
	case dns.TypeMX:
		off += 2
	case dns.TypeCNAME, dns.TypeNS, dns.TypePTR:
	default:
		return ""
	}
	if off >= len(msg) {
		return ""
	}
	name, end, err := dns.UnpackDomainName(msg, off)
	if err != nil || end != len(msg) {
		return ""
	}
	return dns.CanonicalName(name)
}

// ttl is the time to live of a record. RFC 2181, section 8: "treat TTL values
// received with the most significant bit set as if the entire value received
// was zero".
func ttl(h dns.RR_Header) uint32 {
	if h.Ttl>>31 != 0 {
		return 0
	}
	return h.Ttl
}

// extended takes what EDNS adds: the upper bits of the code (RFC 6891, section
// 6.1.3) and words about it (RFC 8914).
func (r *response) extended(opt *dns.OPT) {
	r.rcode |= int(opt.Hdr.Ttl>>24) << 4
	for _, o := range opt.Option {
		ede, ok := o.(*dns.EDNS0_EDE)
		if !ok || len(r.reasons) == 3 {
			continue
		}
		reason := dns.ExtendedErrorCodeToString[ede.InfoCode]
		if reason == "" {
			reason = fmt.Sprintf("code %d", ede.InfoCode)
		}
		if ede.ExtraText != "" {
			reason += fmt.Sprintf(" (%.100q)", ede.ExtraText)
		}
		r.reasons = append(r.reasons, reason)
	}
}

// words say what the server answered: "SERVFAIL: DNSSEC Bogus".
func (r *response) words() string {
	code := dns.RcodeToString[r.rcode]
	if code == "" {
		code = fmt.Sprintf("code %d", r.rcode)
	}
	if len(r.reasons) == 0 {
		return code
	}
	return code + ": " + strings.Join(r.reasons, ", ")
}
