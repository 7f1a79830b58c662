package records

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/spf"
)

const spfVersion = "v=spf1"

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

// mergeSPF adds to a record what it does not allow yet: addresses in front,
// where they decide before anything else and cost no look-up, and includes
// before the term that decides about the rest (RFC 7208, section 5.1:
// "Mechanisms after "all" will never be tested").
func mergeSPF(there string, addrs []netip.Addr, includes []string) string {
	terms := slices.Insert(strings.Fields(there), 1, spfTerms(addrs, nil)...)
	end := slices.IndexFunc(terms, isLast)
	if end < 0 {
		end = len(terms)
	}
	return strings.Join(slices.Insert(terms, end, spfTerms(nil, includes)...), " ")
}

// isLast says that a term decides about everything that no other matches.
func isLast(term string) bool {
	name := strings.ToLower(strings.TrimLeft(term, "+-~?"))
	return name == "all" || strings.HasPrefix(name, "redirect=")
}

// judgeSPF looks whether the one SPF record that there may be lets our mail
// pass.
func judgeSPF(ctx context.Context, dns DNS, r *Record, texts []string) verdict {
	v := verdict{state: Other, there: filtered(texts, spf.Is)}
	switch {
	case len(v.there) == 0:
		v = missing(r)
		v.text = "There is no SPF record at " + r.Name + "."
		return v
	case len(v.there) > 1:
		// RFC 7208, section 4.5: more than one record is a permerror.
		v.byHand = true
		v.text = fmt.Sprintf("There are %d SPF records at %s, and receivers take none of them then: make one of them, which has the terms of all.", len(v.there), r.Name)
		return v
	case r.Value == "":
		v.state, v.text = Equal, "Whether it allows what it has to is not known here."
		return v
	}
	e := spfEvaluation{ctx, asSeen{dns, r.Name, v.there}, r}
	return e.judge(v)
}

// An spfEvaluation is that of the record at one name server.
type spfEvaluation struct {
	ctx context.Context
	dns asSeen
	r   *Record
}

func (e *spfEvaluation) check(ip netip.Addr) spf.Result {
	return spf.Check(e.ctx, e.dns, spf.Query{IP: ip, HELO: e.r.Domain, From: appliance.Mailbox{Local: "postmaster", Domain: e.r.Domain}})
}

// nobody is an address that no mail comes from (RFC 5737): for it a record is
// read to its end.
var nobody = netip.MustParseAddr("192.0.2.0")

func (e *spfEvaluation) judge(v verdict) verdict {
	whole := e.check(nobody)
	switch whole.Result {
	case spf.TempError:
		v.state, v.text = Unknown, whole.Problem
		return v
	case spf.PermError:
		v.byHand, v.text = true, strings.TrimSpace(sentence(whole.Problem)+" "+sentence(whole.Fix))
		return v
	}
	var lacking []netip.Addr
	for _, ip := range e.r.Addresses {
		switch res := e.check(ip); res.Result {
		case spf.Pass:
		case spf.TempError: // of a term that asks about the address
			v.state, v.text = Unknown, res.Problem
			return v
		default:
			lacking = append(lacking, ip)
		}
	}
	includes := e.lacksIncludes(&whole)
	switch {
	case len(lacking) == 0 && len(includes) == 0:
		v.state = Equal
		if whole.Result == spf.Pass {
			v.text = "It lets everybody pass, so that it protects nobody: end it with ~all or -all."
		}
		return v
	case whole.All+len(includes) > spf.MaxLookups:
		v.byHand = true
	}
	v.want = mergeSPF(v.there[0], lacking, includes)
	v.text = "The SPF record does not let all of our mail pass: it lacks " + strings.Join(spfTerms(lacking, includes), ", ") + "."
	if v.byHand {
		v.text += fmt.Sprintf(" With that it would need more than %d look-ups, and receivers take no such record: take out what is no longer used.", spf.MaxLookups)
	}
	return v
}

// lacksIncludes are the records of others that are reached from nowhere in this
// one.
func (e *spfEvaluation) lacksIncludes(whole *spf.Result) (lacking []string) {
	for _, name := range e.r.Includes {
		if !slices.ContainsFunc(whole.Steps, func(s spf.Step) bool { return strings.EqualFold(s.Domain, name) }) {
			lacking = append(lacking, name)
		}
	}
	return lacking
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
