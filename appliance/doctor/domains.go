package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// domains is a group for each domain that mail is sent from.
func (s *Subject) domains() (all []Group) {
	for _, d := range s.Domains {
		g := Group{Name: "domain " + d, Domain: d}
		add := func(name string, look func(ctx context.Context, domain string) []appliance.Finding) {
			g.Examinations = append(g.Examinations, appliance.Examination{Name: name, Run: func(ctx context.Context) []appliance.Finding {
				if why := s.outside(); why != "" {
					return []appliance.Finding{skipped(name, "%s", why)}
				}
				return look(ctx, d)
			}})
		}
		add("MX", func(ctx context.Context, d string) []appliance.Finding { return about(d, "mx", s.mx(ctx, d)) })
		add("SPF", s.spf)
		add("DKIM", func(ctx context.Context, d string) []appliance.Finding { return about(d, "dkim", s.dkim(ctx, d)) })
		add("DMARC", s.dmarc)
		add("BIMI", s.bimi)
		add("other records", func(ctx context.Context, d string) []appliance.Finding { return s.wanted(ctx, d, otherKinds) })
		add("blocklists", s.domainLists)
		all = append(all, g)
	}
	return all
}

// mx looks at where answers and bounces go. RFC 5321, section 5.1: an MX must
// lead to a host with an address, not to an alias and not to an address.
func (s *Subject) mx(ctx context.Context, domain string) []appliance.Finding {
	const name = "MX"
	looking, cancel := lookupContext(ctx)
	defer cancel()
	hosts, err := s.Resolver.LookupMX(looking, absolute(domain))
	switch {
	case isNotFound(err) || err == nil && len(hosts) == 0:
		return []appliance.Finding{s.withoutMX(ctx, domain)}
	case err != nil:
		return []appliance.Finding{unknown(name, err)}
	}
	var all []appliance.Finding
	good := 0
	var texts []string
	for _, h := range hosts {
		host := strings.ToLower(strings.TrimSuffix(h.Host, "."))
		if host == "" {
			// RFC 7505, section 4.2: "Mail systems SHOULD NOT publish a null MX
			// record for domains that they use in RFC5321.MailFrom".
			return []appliance.Finding{fail(name, fmt.Sprintf("%s has the null MX (MX 0 .): it says that it takes no mail, and many receivers refuse mail from such a domain", domain),
				"publish an MX that leads to a mailbox for answers and bounces, or do not send from "+domain)}
		}
		texts = append(texts, fmt.Sprintf("%s (%d)", host, h.Pref))
		if f, usable := s.mxHost(ctx, domain, host); usable {
			good++
		} else if f.Status != appliance.FoundSkipped {
			all = append(all, f)
		} else {
			good++ // nothing is known against it
		}
	}
	if good == 0 {
		return all
	}
	for i := range all { // mail comes by the others
		all[i].Status = appliance.FoundWarn
	}
	return append([]appliance.Finding{ok(name, "%s is served by %s", domain, strings.Join(texts, ", "))}, all...)
}

// withoutMX is about a domain whose mail would go to its own address.
func (s *Subject) withoutMX(ctx context.Context, domain string) appliance.Finding {
	const name = "MX"
	fix := fmt.Sprintf("publish an MX record for %s that leads to the server with its mailboxes, such as %s. MX 10 mx.%s.", domain, domain, domain)
	all, err := s.published(ctx, domain)
	switch {
	case isNotFound(err):
		return fail(name, fmt.Sprintf("%s has no MX and no address: answers and bounces cannot come back, and many receivers refuse mail from such a domain", domain), fix)
	case err != nil:
		return unknown(name, err)
	}
	return warn(name, fmt.Sprintf("%s has no MX: answers and bounces go to its address %s (RFC 5321, section 5.1)", domain, join(all)), fix)
}

// mxHost looks at one mail exchanger.
func (s *Subject) mxHost(ctx context.Context, domain, host string) (f appliance.Finding, usable bool) {
	name := "MX " + host
	if ip, err := netip.ParseAddr(host); err == nil {
		return fail(name, fmt.Sprintf("the MX of %s is the address %s: it has to be the name of a host", domain, ip),
			fmt.Sprintf("give the host a name, such as %s, and publish %s. MX 10 mx.%s.", addressRecord("mx."+domain, ip), domain, domain)), false
	}
	if target := s.alias(ctx, host); target != "" {
		return fail(name, fmt.Sprintf("the MX of %s is %s, which is an alias (CNAME) of %s: RFC 2181, section 10.3 forbids it, and some servers do not deliver there", domain, host, target),
			fmt.Sprintf("publish %s. MX 10 %s. in its place", domain, target)), false
	}
	all, err := s.published(ctx, host)
	switch {
	case isNotFound(err):
		return fail(name, fmt.Sprintf("the MX of %s is %s, which has no A and no AAAA record: mail does not arrive there", domain, host),
			fmt.Sprintf("publish an A record for %s, or delete the MX", host)), false
	case err != nil:
		return unknown(name, err), false
	}
	for _, ip := range all {
		if records.Public(ip) {
			return appliance.Finding{}, true
		}
	}
	return fail(name, fmt.Sprintf("the MX of %s is %s, which has the address %s: nobody outside can reach it", domain, host, join(all)),
		fmt.Sprintf("publish the public address of %s, or delete the MX", host)), false
}

// alias is what a name is an alias of, or "".
func (s *Subject) alias(ctx context.Context, host string) string {
	q, isQuerier := s.Resolver.(appliance.Querier)
	if !isQuerier {
		return ""
	}
	ctx, cancel := lookupContext(ctx)
	defer cancel()
	answer, err := q.Query(ctx, appliance.QueryCNAME, host)
	if err != nil || len(answer.Texts) == 0 {
		return ""
	}
	return strings.TrimSuffix(answer.Texts[0], ".")
}
