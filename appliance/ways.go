package appliance

import (
	"slices"
	"strings"
)

// A DomainCondition is a [Condition] that can be evaluated where nothing of a
// message is known but the domain of its recipient.
type DomainCondition interface {
	Condition
	// MatchDomain is pure. known is false if the rest of the message decides.
	MatchDomain(domain string) (match, known bool)
}

// A Way is where the mail for a domain may go: what it depends on besides is
// not known.
type Way struct {
	Pipeline    Addr
	Destination string // relay and next hop
}

// WaysTo lists where mail for a domain may go by the pipelines and their
// routes: each destination once, with the first pipeline that leads there, in
// the order of the file. It is empty if every message for it is refused.
func (g *Graph) WaysTo(domain string) []Way {
	to := Mailbox{Local: "postmaster", Domain: domain}
	var all []Way
	for _, n := range g.Pipelines() {
		for _, relay := range n.Pipeline.relaysTo(domain) {
			d, err := n.Pipeline.Towards(relay, to)
			if err != nil || slices.ContainsFunc(all, func(w Way) bool { return w.Destination == d.Destination }) {
				continue // a relay that fails takes no mail either
			}
			all = append(all, Way{n.Addr, d.Destination})
		}
	}
	return all
}

// relaysTo are the relays that the pipeline may take for a domain.
func (p *Pipeline) relaysTo(domain string) []Ref[Relay] {
	var all []Ref[Relay]
	for _, r := range p.Routes {
		match, known := false, false
		if c, ok := r.When.(DomainCondition); ok {
			match, known = c.MatchDomain(domain)
		}
		if known && !match {
			continue
		}
		if r.Reject == nil {
			all = append(all, r.Relay)
		}
		if known {
			return all // nothing gets past it
		}
	}
	return append(all, p.Relay)
}

// IsTo says whether the way is to the servers of the domain itself, and not
// to some that take the mail for others too.
func (w Way) IsTo(domain string) bool {
	_, hop, _ := strings.Cut(w.Destination, "/")
	return strings.EqualFold(hop, domain)
}
