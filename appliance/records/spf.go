package records

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const spfVersion = "v=spf1"

// isSPF: RFC 7208, section 4.5: the version section is terminated by either a
// SP character or the end of the record.
func isSPF(text string) bool {
	rest, ok := cutPrefixFold(text, spfVersion)
	return ok && (rest == "" || rest[0] == ' ')
}

// composeSPF is a record that lets the addresses and what is included pass.
func composeSPF(addrs []netip.Addr, includes []string, all string) string {
	return strings.Join(append(append([]string{spfVersion}, spfTerms(addrs, includes)...), all), " ")
}

func spfTerms(addrs []netip.Addr, includes []string) (terms []string) {
	for _, ip := range addrs {
		terms = append(terms, spfAddress(ip))
	}
	for _, name := range includes {
		terms = append(terms, "include:"+name)
	}
	return terms
}

func spfAddress(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4:" + ip.String()
	}
	return "ip6:" + ip.String()
}

// mergeSPF adds to a record what it does not allow yet.
func mergeSPF(there string, addrs []netip.Addr, includes []string) string {
	return insertSPF(there, spfTerms(addrs, includes))
}

// insertSPF adds terms before the one that decides about the rest: RFC 7208,
// section 5.1: "Mechanisms after "all" will never be tested."
func insertSPF(there string, more []string) string {
	terms := strings.Fields(there)
	end := slices.IndexFunc(terms, isLast)
	if end < 0 {
		end = len(terms)
	}
	return strings.Join(slices.Insert(terms, end, more...), " ")
}

// isLast says that a term decides about everything that no other matches.
func isLast(term string) bool {
	name := strings.ToLower(strings.TrimLeft(term, "+-~?"))
	return name == "all" || strings.HasPrefix(name, "redirect=")
}

// uniteSPF makes one record of several. The last word is that of the first.
func uniteSPF(there []string, r *Record) string {
	one := there[0]
	for _, other := range there[1:] {
		var more []string
		for t := range strings.FieldsSeq(other) {
			if !isLast(t) && !isSPF(t) && !hasTerm(one, t) {
				more = append(more, t)
			}
		}
		one = insertSPF(one, more)
	}
	addrs, includes := lacking(one, r)
	return mergeSPF(one, addrs, includes)
}

// judgeSPF looks whether the one SPF record that there may be lets our mail
// pass.
func judgeSPF(_ context.Context, _ DNS, r *Record, texts []string) verdict {
	v := verdict{state: Other, there: filtered(texts, isSPF)}
	switch len(v.there) {
	case 0:
		v = missing(r)
		v.text = "There is no SPF record at " + r.Name + "."
		return v
	case 1:
	default:
		// RFC 7208, section 4.5: more than one record is a permerror.
		v.want = uniteSPF(v.there, r)
		v.text = fmt.Sprintf("There are %d SPF records at %s, and receivers take none of them then. Make one of them by hand.", len(v.there), r.Name)
		return v
	}
	addrs, includes := lacking(v.there[0], r)
	if len(addrs) == 0 && len(includes) == 0 {
		v.state = Equal
		return v
	}
	v.want = mergeSPF(v.there[0], addrs, includes)
	v.text = "The SPF record does not let all of our mail pass: it lacks " + strings.Join(spfTerms(addrs, includes), " and ") + "."
	return v
}

// lacking is what a record does not name.
func lacking(there string, r *Record) (addrs []netip.Addr, includes []string) {
	for _, ip := range r.Addresses {
		if !names(there, ip) {
			addrs = append(addrs, ip)
		}
	}
	for _, name := range r.Includes {
		if !hasTerm(there, "include:"+name) {
			includes = append(includes, name)
		}
	}
	return addrs, includes
}

func hasTerm(record, term string) bool {
	for t := range strings.FieldsSeq(record) {
		if strings.EqualFold(strings.TrimPrefix(t, "+"), term) {
			return true
		}
	}
	return false
}

// names says whether an ip4: or ip6: mechanism of a record has the address.
func names(record string, ip netip.Addr) bool {
	for t := range strings.FieldsSeq(record) {
		rest, ok := cutPrefixFold(strings.TrimPrefix(t, "+"), spfAddress(ip)[:4])
		if !ok {
			continue
		}
		if p, err := netip.ParsePrefix(rest); err == nil && p.Contains(ip) {
			return true
		}
		if a, err := netip.ParseAddr(rest); err == nil && a == ip {
			return true
		}
	}
	return false
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// filtered are the texts of a kind, sorted.
func filtered(texts []string, is func(string) bool) (all []string) {
	for _, t := range sorted(texts) {
		if is(t) {
			all = append(all, t)
		}
	}
	return all
}
