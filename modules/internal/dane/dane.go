// Package dane decides by the TLSA records of a mail server whether a
// certificate is its own (RFC 6698, RFC 7671, and RFC 7672 for SMTP).
//
// It looks nothing up. Whoever uses it has seen to it that DNSSEC vouches for
// the records and for the way to them; [New] then keeps those that can be used
// with SMTP, and [Set.Verify] holds a certificate against them:
//
//	DANE-EE(3)   the certificate, or its key, is one of the records; its
//	             names and dates mean nothing
//	DANE-TA(2)   an authority in the chain of the server is; the
//	             certificate has to be in order and for one of the names
//
// Records with another usage, selector or matching type, and records whose
// data cannot be what they say, are as if they were not there. One record
// that matches is enough, which is how keys are exchanged without a gap.
package dane

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The usages, selectors and matching types that mean something to SMTP, by
// the names of RFC 7218. RFC 7672, section 3.1.3: PKIX-TA(0) and PKIX-EE(1)
// are not used, as there are no authorities that everybody agrees on.
const (
	usageTA = 2 // DANE-TA
	usageEE = 3 // DANE-EE

	selectCert = 0 // the whole certificate
	selectKey  = 1 // its SubjectPublicKeyInfo

	matchFull   = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

// maxRecords bounds a Set. Nobody has as many, and each costs a comparison.
const maxRecords = 64

// A Set is the usable TLSA records of a server, with the names that its
// certificate may be for. It is comparable: sets of the same content are
// equal. The zero Set matches nothing.
type Set struct {
	records string // "3 1 1 hex" for each, sorted, one a line
	names   string // one a line; empty unless a record is of DANE-TA
}

// New makes a Set of the records that can be used. names are those that a
// certificate of an authority may be for: the TLSA base domain, the name of
// the mail exchanger and the domain of the recipient (RFC 7672, section
// 3.2.3); empty ones are left out. ok is false if no record can be used:
// then TLS is a must, and nobody knows with whose certificate (RFC 7672,
// section 2.2).
func New(records []appliance.TLSA, names ...string) (s Set, ok bool) {
	usable := strongest(slices.DeleteFunc(slices.Clone(records), func(r appliance.TLSA) bool { return !usable(r) }))
	lines := make([]string, len(usable))
	for i, r := range usable {
		lines[i] = format(r)
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	s.records = strings.Join(lines[:min(len(lines), maxRecords)], "\n")
	if slices.ContainsFunc(usable, func(r appliance.TLSA) bool { return r.Usage == usageTA }) {
		s.names = joinNames(names)
	}
	return s, len(lines) > 0
}

// Records are the records of the set in presentation format, "3 1 1 hex" (RFC
// 6698, section 2.2).
func (s Set) Records() []string {
	if s.records == "" {
		return nil
	}
	return strings.Split(s.records, "\n")
}

func joinNames(names []string) string {
	var all []string
	for _, n := range names {
		if n = strings.ToLower(strings.TrimSuffix(n, ".")); n != "" && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return strings.Join(all, "\n")
}

// usable says whether a record means something. Records come from strangers:
// an empty one, or one of three octets, is none.
func usable(r appliance.TLSA) bool {
	if r.Usage != usageTA && r.Usage != usageEE || r.Selector != selectCert && r.Selector != selectKey {
		return false
	}
	switch r.MatchingType {
	case matchFull:
		return isSequence(r.Data)
	case matchSHA256:
		return len(r.Data) == sha256.Size
	case matchSHA512:
		return len(r.Data) == sha512.Size
	}
	return false
}

// isSequence says whether data can be a certificate or a public key: one ASN.1
// SEQUENCE that begins with another, and nothing after it. More is not asked,
// because a record that is taken for unusable asks less of the server than one
// that does not match.
func isSequence(data []byte) bool {
	var outer, inner asn1.RawValue
	rest, err := asn1.Unmarshal(data, &outer)
	if err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence {
		return false
	}
	_, err = asn1.Unmarshal(outer.Bytes, &inner)
	return err == nil && inner.Tag == asn1.TagSequence
}

// strongest leaves out digests that there is a stronger one for. RFC 7671,
// section 9: of the records with the same usage and selector, a client uses
// those of the strongest digest, beside those without any.
func strongest(records []appliance.TLSA) []appliance.TLSA {
	best := make(map[[2]uint8]uint8)
	for _, r := range records {
		k := [2]uint8{r.Usage, r.Selector}
		best[k] = max(best[k], r.MatchingType)
	}
	return slices.DeleteFunc(records, func(r appliance.TLSA) bool {
		return r.MatchingType != matchFull && r.MatchingType < best[[2]uint8{r.Usage, r.Selector}]
	})
}

// IsZero says that there are no records.
func (s Set) IsZero() bool { return s == Set{} }

// String lists the records in presentation format, with long data cut short.
func (s Set) String() string {
	var all []string
	for r := range s.each() {
		line := format(r)
		all = append(all, line[:min(len(line), 6+2*sha256.Size)])
	}
	return strings.Join(all, ", ")
}

func format(r appliance.TLSA) string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
}

// each yields the records again that format has written.
func (s Set) each() func(yield func(appliance.TLSA) bool) {
	return func(yield func(appliance.TLSA) bool) {
		if s.records == "" {
			return
		}
		for line := range strings.SplitSeq(s.records, "\n") {
			data, err := hex.DecodeString(line[6:])
			if err != nil {
				panic("dane: " + err.Error()) // format wrote it
			}
			if !yield(appliance.TLSA{Usage: line[0] - '0', Selector: line[2] - '0', MatchingType: line[4] - '0', Data: data}) {
				return
			}
		}
	}
}

// Base returns the candidates for the TLSA base domain of a host, the best one
// first. RFC 7672, section 2.2.2: if the host is an alias, and DNSSEC vouches
// for every step to where its addresses were found, that is tried first, and
// then the name itself.
func Base(host, found string) []string {
	host, found = strings.ToLower(strings.TrimSuffix(host, ".")), strings.ToLower(strings.TrimSuffix(found, "."))
	return slices.Compact([]string{cmp.Or(found, host), host})
}

// RecordName is where the TLSA records of a base domain are (RFC 6698,
// section 3).
func RecordName(base string, port uint16) string { return fmt.Sprintf("_%d._tcp.%s", port, base) }
