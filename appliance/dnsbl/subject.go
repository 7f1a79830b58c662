package dnsbl

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A subject is what a list can be asked about, as the lists write it.
type subject struct {
	text  string // for people
	label string // in front of the zone
	in    func(*List) bool

	// The entries to try a list with (RFC 5782, section 5).
	always    func(*List) (labels []string, text string) // that are listed, one of them at least
	never     string                                     // the label of the one that is not
	neverText string
}

// Addresses to try a list with: "IPv6-based DNSxLs MUST contain an entry for
// ::FFFF:7F00:2, and MUST NOT contain an entry for ::FFFF:7F00:1".
var (
	always4 = netip.AddrFrom4([4]byte{127, 0, 0, 2})
	never4  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	always6 = netip.AddrFrom16(always4.As16())
	never6  = netip.AddrFrom16(never4.As16())
)

func subjectOf(ip netip.Addr) subject {
	s := subject{text: ip.String(), label: reversed(ip)}
	if ip.Is4() {
		s.in = func(l *List) bool { return l.IPv4 }
		s.always = func(*List) ([]string, string) { return []string{reversed(always4)}, always4.String() }
		s.never, s.neverText = reversed(never4), never4.String()
		return s
	}
	s.in = func(l *List) bool { return l.IPv6 && ip.IsValid() }
	s.always = func(l *List) ([]string, string) {
		labels := []string{reversed(always6)}
		if l.IPv4 {
			labels = append(labels, reversed(always4))
		}
		return labels, always6.String()
	}
	s.never, s.neverText = reversed(never6), never6.String()
	return s
}

// subjectOfDomain: "Domain-name-based DNSxLs MUST contain an entry for the
// reserved domain name "TEST" … MUST NOT contain an entry for the reserved
// domain name "INVALID"". Some have another one instead of "TEST".
func subjectOfDomain(domain string) subject {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	return subject{
		text: domain, label: domain, in: func(l *List) bool { return l.Domains && domain != "" },
		always: func(l *List) ([]string, string) {
			test := cmp.Or(l.Test, "test")
			return []string{test}, fmt.Sprintf("the domain %q", test)
		},
		never: "invalid", neverText: `the domain "invalid"`,
	}
}

// reversed is an address as lists write it. RFC 5782, section 2.1: the octets
// of an IPv4 address from the last to the first; section 2.4: the nibbles of an
// IPv6 address likewise.
func reversed(ip netip.Addr) string {
	labels := make([]string, 0, 32)
	for _, octet := range ip.AsSlice() {
		if ip.Is4() {
			labels = append(labels, strconv.Itoa(int(octet)))
			continue
		}
		labels = append(labels, strconv.FormatUint(uint64(octet>>4), 16), strconv.FormatUint(uint64(octet&15), 16))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}
