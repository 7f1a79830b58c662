package records

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

func judgeMX(ctx context.Context, dns DNS, r *Record, there []*net.MX) verdict {
	v := verdict{state: Equal}
	for _, m := range there {
		v.there = append(v.there, fmt.Sprintf("%d %s", m.Pref, m.Host))
	}
	slices.Sort(v.there) // equals are in no order
	null := len(there) == 1 && there[0].Host == "."
	_, host, _ := strings.Cut(r.Value, " ")
	switch {
	case len(there) == 0 && r.Value == "":
		return implicitMX(ctx, dns, r)
	case len(there) == 0:
		return missing(r)
	case null:
		// RFC 7505, section 4.2: mail from such a domain may be refused (550 5.7.27).
		v.state = Other
		v.text = "The MX record says that the domain takes no mail (RFC 7505): bounces and answers are lost, and receivers may refuse mail from it. Name a server that takes its mail."
	case host != "" && !slices.ContainsFunc(there, func(m *net.MX) bool { return strings.EqualFold(bare(m.Host), bare(host)) }):
		v.state = Other
		v.text = fmt.Sprintf("This server takes the mail for %s, but it is sent elsewhere: %s is none of its mail exchangers.", r.Name, bare(host))
	default:
		if wrong := unreachable(ctx, dns, there); wrong != "" {
			v.state, v.byHand = Other, r.Value != ""
			v.text = fmt.Sprintf("Bounces and answers to %s may not arrive: %s.", r.Name, wrong)
		}
	}
	return v
}

// unreachable says what is wrong with mail exchangers, if it is so with all of
// them: one that is right is enough for bounces and answers.
func unreachable(ctx context.Context, dns DNS, there []*net.MX) string {
	var all []string
	for _, m := range there {
		wrong := badExchanger(ctx, dns, bare(m.Host))
		if wrong == "" {
			return ""
		}
		all = append(all, wrong)
	}
	return strings.Join(all, "; ")
}

// badExchanger says what keeps mail from a host. RFC 5321, section 5.1: "the
// domain name [...] MUST return at least one address record (e.g., A or AAAA
// RR) [...]. Any other response, specifically including a value that will
// return a CNAME record when queried, lies outside the scope of this Standard."
// What cannot be looked up is held against nobody.
func badExchanger(ctx context.Context, dns DNS, host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return fmt.Sprintf("the MX %s is an address, and has to be the name of a host", host)
	}
	if q, canAsk := dns.(appliance.Querier); canAsk {
		if a, err := q.Query(ctx, appliance.QueryCNAME, host); err == nil && len(a.Texts) > 0 {
			return fmt.Sprintf("the MX %s is an alias (CNAME) of %s, which RFC 2181, section 10.3 forbids: name that one in its place", host, bare(a.Texts[0]))
		}
	}
	if _, err := dns.LookupNetIP(ctx, "ip", host+"."); notFound(err) {
		return fmt.Sprintf("the MX %s has no A and no AAAA record", host)
	}
	return ""
}

// implicitMX is about a domain without MX records: its own address is where
// mail for it goes (RFC 5321, section 5.1).
func implicitMX(ctx context.Context, dns DNS, r *Record) verdict {
	ips, err := dns.LookupNetIP(ctx, "ip", r.Name)
	switch {
	case err != nil && !notFound(err):
		return verdict{state: Unknown, text: "there is no MX record, and whether " + r.Name + " has an address is not known: " + reason(err)}
	case len(ips) > 0:
		return verdict{state: Equal, text: fmt.Sprintf("There is no MX record, so that mail for %s goes to its own address, %s; check that a mail server answers there.", r.Name, ips[0].Unmap())}
	}
	v := missing(r)
	v.text = fmt.Sprintf("Nobody takes mail for %s: it has neither an MX record nor an address, so that bounces and answers are lost and some receivers refuse mail from it. Publish an MX record with the server of its mailboxes, such as: %s. IN MX 10 mx.example.net.", r.Name, r.Name)
	return v
}
