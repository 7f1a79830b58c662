package senders

import (
	"maps"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.SenderLister = (*Senders)(nil)

// SenderDomains implements [appliance.SenderLister]: those of the addresses
// that somebody may send as. What is below a domain, whatever it is called,
// counts as the domain itself, which receivers ask too.
func (s *Senders) SenderDomains() []string {
	var all []string
	for _, user := range slices.Sorted(maps.Keys(s.users)) {
		all = s.users[user].domains(all)
	}
	return s.trusted.domains(all)
}

// domains adds those of the patterns that are not there yet.
func (ps patterns) domains(all []string) []string {
	for _, p := range ps {
		if p.domain != "" && !slices.Contains(all, p.domain) {
			all = append(all, p.domain)
		}
	}
	return all
}
