package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// suspendedName is the one way to write what is suspended: a domain, also that
// of a destination, is in lower case and A-labels, as the queue has it.
func suspendedName(name string) string {
	relay, hop, isDestination := strings.Cut(strings.TrimSpace(name), "/")
	if !isDestination {
		return domainName(relay)
	}
	return strings.ToLower(relay) + "/" + domainName(hop)
}

// domainName is the domain as the queue has it, or the text in lower case.
func domainName(text string) string {
	if d, err := appliance.ParseDomain(strings.TrimSuffix(text, ".")); err == nil {
		return d
	}
	return strings.ToLower(text)
}

// meant refuses what would make no mail wait, and says which mail for the same
// domain goes on: a person who suspends a domain means all of its mail.
func (s *Server) meant(k appliance.SiteKeeper, name string) ([]string, error) {
	relay, _, isDestination := strings.Cut(name, "/")
	switch {
	case isDestination:
		return nil, s.isRelay(relay)
	case hasSite(k, name):
		return nil, nil
	case !strings.Contains(name, "."):
		return []string{fmt.Sprintf("no site has the name %s now: this is for the mail that one of this name gets", name)}, nil
	}
	return s.meantDomain(name)
}

// isRelay refuses the name of a relay that does not exist.
func (s *Server) isRelay(name string) error {
	var all []string
	for _, n := range s.opts.Appliance.Graph().Nodes {
		if n.Addr.Kind != appliance.KindRelay {
			continue
		}
		if strings.EqualFold(n.Addr.Name, name) {
			return nil
		}
		all = append(all, n.Addr.Name)
	}
	return badRequest("there is no relay %q; before the slash stands one of %s", name, strings.Join(all, ", "))
}

func hasSite(k appliance.SiteKeeper, name string) bool {
	return slices.ContainsFunc(k.Sites(), func(x appliance.SiteState) bool {
		_, hop, _ := strings.Cut(x.Name, "/")
		return strings.EqualFold(hop, name)
	})
}

// meantDomain refuses a domain that is the next hop of no relay its mail may
// take: it goes with that of others, by a smarthost, and would not wait.
func (s *Server) meantDomain(domain string) (notes []string, err error) {
	own := false
	var others []string
	for _, w := range s.opts.Appliance.Graph().WaysTo(domain) {
		if w.IsTo(domain) {
			own = true
			continue
		}
		others = append(others, w.Destination)
		notes = append(notes, fmt.Sprintf("mail for %s that %s sends to %s goes on: that destination is not suspended", domain, w.Pipeline, w.Destination))
	}
	switch {
	case own:
		return notes, nil
	case others == nil:
		return nil, badRequest("no mail goes to %s: every pipeline refuses it", domain)
	}
	return nil, badRequest("mail for %s goes to %s, with that of others: suspend that, with all its mail, or hold what is queued for the domain", domain, strings.Join(others, " or "))
}
