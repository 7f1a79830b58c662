package dnsbl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// A verdict is why an answer says nothing about the subject, and what to do;
// the zero value is that it does.
type verdict struct{ problem, fix string }

const ownResolver = `set resolver to a DNS server of your own that asks the name servers itself, such as unbound on "127.0.0.1"`

var (
	// codes is where the answers of lists are. RFC 5782, section 2.1: "The A
	// record contents conventionally have the value 127.0.0.2, but MAY have
	// other values as described below in Section 2.3." No list has any outside
	// of this network.
	codes = netip.MustParsePrefix("127.0.0.0/8")
	// refusals is where Spamhaus and those who do as it does refuse.
	refusals = netip.MustParsePrefix("127.255.255.0/24")
)

// read takes an answer apart: into the codes of a listing, or why it is none.
// One address that is no code spoils the others.
func (l *List) read(answer []netip.Addr) (all []Code, v verdict) {
	answer = slices.Clone(answer[:min(len(answer), maxCodes)])
	for i, ip := range answer {
		answer[i] = ip.Unmap()
	}
	slices.SortFunc(answer, netip.Addr.Compare)
	for _, ip := range slices.Compact(answer) {
		if v = l.refused(ip); v != (verdict{}) {
			return nil, v
		}
		all = append(all, Code{Addr: ip.String(), Meaning: l.meaning(ip)})
	}
	return all, v
}

// meaning is what an answer means, "" if that is not known. RFC 5782, section
// 2.3: lists of several kinds have an address for each, or a bit.
func (l *List) meaning(code netip.Addr) string {
	if m, ok := l.Codes[code.String()]; ok {
		return m.Text
	}
	var words []string
	last := code.As4()[3]
	for bit := byte(1); bit != 0; bit <<= 1 {
		if text := l.Bits[bit]; text != "" && last&bit != 0 {
			words = append(words, text)
		}
	}
	return strings.Join(words, ", ")
}

// refused says why an address is no code of a listing.
func (l *List) refused(ip netip.Addr) verdict {
	if !codes.Contains(ip) {
		return verdict{
			fmt.Sprintf("it answers %s, which is not in 127.0.0.0/8: its domain has another owner, or the DNS server answers for names that do not exist", ip),
			fmt.Sprintf("take %s out of deliverability.blocklists if it is closed; otherwise %s", l, ownResolver),
		}
	}
	if why, ok := l.Refusals[ip.String()]; ok {
		return verdict{fmt.Sprintf("it answers %s: %s", ip, why), l.terms(ownResolver)}
	}
	switch ip.String() {
	case "127.255.255.252": // https://www.spamhaus.org/faqs/dnsbl-usage/
		return verdict{"it answers 127.255.255.252: there is no list of this name", fmt.Sprintf("correct %s in deliverability.blocklists", l)}
	case "127.255.255.254":
		return verdict{"it answers 127.255.255.254: it does not answer public resolvers, nor those whose address has a generic name", l.terms(ownResolver)}
	case "127.255.255.255":
		return verdict{"it answers 127.255.255.255: too much is asked by way of this DNS server", l.terms(ownResolver)}
	case "127.0.0.1": // what many lists answer to those whom they refuse
		return verdict{"it answers 127.0.0.1: it refuses to answer this DNS server, or it is closed", l.terms(ownResolver)}
	}
	if refusals.Contains(ip) {
		return verdict{fmt.Sprintf("it answers %s, which is in 127.255.255.0/24: it refuses to answer", ip), l.terms(ownResolver)}
	}
	return verdict{}
}

// terms adds where a list says whom it answers.
func (l *List) terms(fix string) string {
	if l.Terms != "" {
		fix += ", or register as " + l.Terms + " says"
	}
	return fix
}

// silent is that the DNS has failed. The words of the error alone are shown:
// the name that was asked for may hold the key of an account.
func (l *List) silent(err error) verdict {
	why := "the DNS fails"
	e, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || isDNS && e.IsTimeout:
		why = "there is no answer in time"
	case errors.Is(err, context.Canceled):
		return verdict{"it was not asked to the end", "try again"}
	case isDNS:
		why += ": " + e.Err
	}
	return verdict{why + "; some lists are silent to DNS servers that they do not like",
		fmt.Sprintf("if the DNS works otherwise, %s; if the list is closed, take it out of deliverability.blocklists", l.terms(ownResolver))}
}

// listsAll is that an entry is there that must not be.
func (l *List) listsAll(entry string) verdict {
	return verdict{fmt.Sprintf("it lists %s, which no list has that works: it is closed, and lists everything", entry),
		fmt.Sprintf("take %s out of deliverability.blocklists", l)}
}

// listsNothing is that an entry is not there that must be.
func (l *List) listsNothing(entry string) verdict {
	return verdict{fmt.Sprintf("it does not list %s, which every list has that works: it is closed, or silent to this DNS server, or the DNS server drops answers in 127.0.0.0/8", entry),
		fmt.Sprintf("if it is closed, take %s out of deliverability.blocklists; otherwise %s, and without protection against rebinding for the list", l, l.terms(ownResolver))}
}

// fix is what to do about a listing, each thing once.
func (l *List) fix(listing []Code) string {
	var all []string
	spam := "find out what has sent spam and end it, then ask " + l.String() + " to remove the entry"
	if l.Removal != "" {
		spam = "find out what has sent spam and end it; " + l.Removal
	}
	for _, c := range listing {
		fix := cmp.Or(l.Codes[c.Addr].Fix, spam)
		if !slices.Contains(all, fix) {
			all = append(all, fix)
		}
	}
	return strings.Join(all, "; ")
}
