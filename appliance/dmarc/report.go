package dmarc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Problem is why reports do not come, in words for the administrator.
type Problem struct {
	Text string // a sentence without its full stop
	Fix  string // what to do
	// Temporary says that it could not be looked up.
	Temporary bool
}

// ReportProblems says which of the addresses in rua= and ruf= of the record of
// a domain will get no reports: an address in a foreign domain gets some only
// if that domain agrees, with a record at <domain>._report._dmarc.<foreign>
// (RFC 9990, section 4). Addresses in the domain's own organization need none.
func ReportProblems(ctx context.Context, r appliance.Resolver, domain string, record Record) []Problem {
	domain, err := normal(domain)
	if err != nil {
		return []Problem{{Text: err.Error(), Fix: "ask about a domain"}}
	}
	var all []Problem
	var asked []string
	for _, uri := range slices.Concat(record.RUA, record.RUF) {
		to, ok := destination(uri)
		if !ok || slices.Contains(asked, to) {
			continue
		}
		asked = append(asked, to)
		if p := agreement(ctx, r, domain, to); p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// agreement says why a domain to which reports go will not get them.
func agreement(ctx context.Context, r appliance.Resolver, domain, to string) *Problem {
	own, err := Aligned(ctx, r, Relaxed, domain, to)
	if err != nil {
		return &Problem{Text: err.Error(), Fix: "try again later", Temporary: true}
	}
	if own {
		return nil
	}
	name := domain + "._report._dmarc." + to
	texts, err := r.LookupTXT(ctx, name+".")
	if err != nil && !notFound(err) {
		return &Problem{Text: unknown("TXT", name, err).Error(), Fix: "try again later", Temporary: true}
	}
	for _, text := range texts {
		if _, err := Parse(text); err == nil || strings.TrimSpace(text) == "v=DMARC1" {
			return nil
		}
	}
	return &Problem{
		Text: fmt.Sprintf("reports about %s do not go to %s, which has not agreed to get them: there is no record at %s", domain, to, name),
		Fix:  fmt.Sprintf("have whoever runs %s publish the TXT record %s with the value v=DMARC1, or let reports go to an address in %s", to, name, domain),
	}
}
