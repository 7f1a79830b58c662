package records

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// A verdict is what the records at a name are worth.
type verdict struct {
	state State
	there []string // those of the kind that was asked for
	want  string   // what should be there, if it is not the value that was wanted
	text  string   // sentences
	// Somebody has to think first: others may depend on what is there.
	byHand bool
}

// judge compares what a server has with what is wanted. An answer without
// records is that there are none.
func judge(ctx context.Context, dns DNS, r *Record, a appliance.DNSAnswer) verdict {
	switch r.Kind {
	case KindAddress:
		return judgeAddress(r, a.Addrs)
	case KindPTR:
		return judgePTR(r, a.Texts)
	case KindTLSA:
		return judgeTLSA(r, a.TLSA)
	case KindMX:
		return judgeMX(ctx, dns, r, a.MX)
	case KindSPF:
		return judgeSPF(ctx, dns, r, a.Texts)
	case KindDKIM:
		return judgeDKIM(r, a.Texts)
	case KindDMARC:
		return judgeDMARC(ctx, dns, r, a.Texts)
	case KindConsent, KindTLSRPT, KindMTASTS:
		return judgePolicy(r, a.Texts)
	}
	return judgeText(r, a.Texts)
}

// missing is a verdict on nothing.
func missing(r *Record) verdict {
	return verdict{state: Missing, text: fmt.Sprintf("There is no %s record at %s.", r.Type, r.Name)}
}

func judgeAddress(r *Record, there []netip.Addr) verdict {
	v := verdict{state: Equal}
	foreign := false
	for _, ip := range there {
		v.there = append(v.there, ip.Unmap().String())
		foreign = foreign || !slices.Contains(r.Addresses, ip.Unmap())
	}
	slices.Sort(v.there)
	switch {
	case slices.Contains(v.there, r.Value):
	case len(there) == 0:
		return missing(r)
	case !foreign:
		v.state = Missing
		v.text = fmt.Sprintf("The name %s does not lead to %s, which mail leaves from, but only to %s.", r.Name, r.Value, strings.Join(v.there, ", "))
	default:
		v.state = Other
		v.text = fmt.Sprintf("The name %s leads to %s and not to %s, which mail leaves from. If the address was changed, put it right; if %s is another machine, give this one a name of its own.",
			r.Name, strings.Join(v.there, ", "), r.Value, r.Name)
	}
	return v
}

func judgePTR(r *Record, there []string) verdict {
	v := verdict{state: Equal, there: sorted(there)}
	ip := r.Addresses[0]
	switch {
	case len(there) == 0:
		v = missing(r)
		v.text = fmt.Sprintf("The address %s has no name. Ask its provider to set the PTR record, or reverse DNS, of %s to %s.", ip, ip, r.Domain)
	case !slices.ContainsFunc(there, func(n string) bool { return strings.EqualFold(bare(n), r.Domain) }):
		v.state = Other
		v.text = fmt.Sprintf("The address %s is called %s, but receivers are told %s. Ask its provider to set the PTR record, or reverse DNS, of %s to %s.",
			ip, bare(v.there[0]), r.Domain, ip, r.Domain)
	}
	return v
}

func judgeTLSA(r *Record, there []appliance.TLSA) verdict {
	v := verdict{state: Equal}
	for _, t := range there {
		v.there = append(v.there, fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.MatchingType, t.Data))
	}
	slices.Sort(v.there)
	switch {
	case len(there) == 0:
		v = missing(r)
		v.text += " It is of use only in a zone that is signed with DNSSEC."
	case !slices.Contains(v.there, strings.ToLower(r.Value)):
		v.state = Other
		v.text = "None of the TLSA records is that of the certificate that is served: servers that use DANE do not deliver. Publish the record, and remove the others when their keys are no longer used."
	}
	return v
}

func judgeDKIM(r *Record, there []string) verdict {
	if len(there) == 0 {
		return missing(r)
	}
	v := verdict{state: Other, there: sorted(there)}
	ours, err := dkimkey.Parse(r.Value)
	if err != nil {
		return judgeText(r, there) // a record that is no key, such as that of one that has been withdrawn
	}
	found, err := dkimkey.Choose(there)
	if err != nil {
		v.text = sentence(err.Error())
		return v
	}
	v.state = Equal
	for _, p := range found.Compare(ours.Key) {
		if p.Severity == dkimkey.Fail {
			v.state = Other
		}
		// The value stands beside it.
		fix := strings.Replace(p.Fix, "this value: "+r.Value, "the record", 1)
		v.text = strings.TrimSpace(v.text + " " + sentence(p.Text) + " " + sentence(fix))
	}
	return v
}

func judgeText(r *Record, there []string) verdict {
	switch {
	case len(there) == 0:
		return missing(r)
	case slices.Contains(there, r.Value):
		return verdict{state: Equal, there: sorted(there)}
	}
	return verdict{state: Other, there: sorted(there), text: "What is there is not what is wanted."}
}

func sorted(texts []string) []string { return slices.Sorted(slices.Values(texts)) }

func bare(name string) string { return strings.TrimSuffix(name, ".") }
