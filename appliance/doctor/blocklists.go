package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dnsbl"
)

// reputation is about what others say of the addresses.
func (s *Subject) reputation() Group {
	return Group{Name: "reputation", Examinations: []appliance.Examination{{Name: "blocklists", Run: s.blocklists}}}
}

// blocklists looks for the addresses that mail leaves from.
func (s *Subject) blocklists(ctx context.Context) []appliance.Finding {
	const name = "blocklists"
	sources := s.Sources(ctx)
	lists := dnsbl.Named(s.Settings.Deliverability.BlocklistZones())
	switch why := s.outside(); {
	case why != "":
		return []appliance.Finding{skipped(name, "%s", why)}
	case s.onlyThroughOthers():
		return []appliance.Finding{skipped(name, "all mail goes to a smarthost: receivers look for its address")}
	case len(sources) == 0:
		return []appliance.Finding{skipped(name, "the public address of this machine is not known")}
	case len(lists) == 0:
		return []appliance.Finding{skipped(name, "deliverability.blocklists names none")}
	}
	return each(sources, func(src Source) []appliance.Finding {
		return listings(src.Addr.String(), dnsbl.Check(ctx, s.Resolver, lists, src.Addr))
	})
}

// domainLists looks for a domain that mail is sent from.
func (s *Subject) domainLists(ctx context.Context, domain string) []appliance.Finding {
	lists := dnsbl.Named(s.Settings.Deliverability.BlocklistZones())
	return listings(domain, dnsbl.CheckDomain(ctx, s.Resolver, lists, domain))
}

// listings are the findings about what lists say of an address or a domain: one
// for all that do not list it, with a part for each, and one for each of the
// others. For the watch each list is a record of its own, so that one that does
// not answer takes nothing from what the others say.
func listings(subject string, all []dnsbl.Listing) (found []appliance.Finding) {
	clean := ok("blocklists", "")
	var names []string
	for _, l := range all {
		f := listing(fmt.Sprintf("%s on %s", subject, l.List), &l)
		f.Domain, f.Record = subject, "blocklist:"+l.List
		if f.Status == appliance.FoundOK {
			names, clean.Parts = append(names, l.List), append(clean.Parts, f)
			continue
		}
		found = append(found, f)
	}
	if names == nil {
		return silent(subject, found)
	}
	clean.Text = fmt.Sprintf("%s is not listed by %s", subject, strings.Join(names, ", "))
	return append([]appliance.Finding{clean}, found...)
}

// silent makes one finding of those of lists of which none says anything, which
// has one cause.
func silent(subject string, found []appliance.Finding) []appliance.Finding {
	if len(found) < 2 || slices.ContainsFunc(found, func(f appliance.Finding) bool { return f.Status != appliance.FoundSkipped }) {
		return found
	}
	all := skipped("blocklists", "none of %d lists says whether %s is listed; the first: %s", len(found), subject, found[0].Text)
	all.Parts = found
	return []appliance.Finding{all}
}

// listing is what one list says. An answer that is none is no listing.
func listing(name string, l *dnsbl.Listing) appliance.Finding {
	if l.Problem != "" {
		return skipped(name, "%s: %s", l.Text(), l.Fix)
	}
	if !l.Listed {
		return ok(name, "%s", l.Text())
	}
	fix := l.Fix
	if l.Delist != "" && !strings.Contains(fix, l.Delist) {
		fix += ": " + l.Delist
	}
	return fail(name, l.Text(), fix)
}
