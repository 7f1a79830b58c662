package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
	"github.com/waxwing-mail/waxwing/appliance/spf"
)

// spf evaluates the record of a domain for each address that mail leaves from,
// as receivers do, and compares it with what the configuration needs. Where
// both find something wrong, the one says what it does and the other what to
// write.
func (s *Subject) spf(ctx context.Context, domain string) []appliance.Finding {
	record := s.wanted(ctx, domain, func(k records.Kind) bool { return k == records.KindSPF })
	if s.onlyThroughOthers() {
		return record
	}
	all := about(domain, "spf", each(s.Sources(ctx), func(src Source) []appliance.Finding {
		return []appliance.Finding{evaluated(spf.Check(ctx, s.Resolver, spf.Query{
			IP: src.Addr, HELO: src.Name, From: appliance.Mailbox{Local: "postmaster", Domain: domain},
		}), src)}
	}))
	bad := slices.ContainsFunc(all, func(f appliance.Finding) bool { return f.Fix != "" })
	switch {
	case len(all) == 0 || len(record) == 0:
		return append(record, all...)
	case record[0].Status == appliance.FoundOK, record[0].Status == appliance.FoundSkipped:
		return all // which say more
	case record[0].Fix == "" || !bad:
		return append(record, all...)
	}
	for i := range all {
		if all[i].Fix != "" && strings.Contains(record[0].Fix, "\n") { // there is a record to write
			all[i].Fix = record[0].Fix
		}
	}
	return all
}

// evaluated is a finding of an evaluation.
func evaluated(r spf.Result, src Source) appliance.Finding {
	name := fmt.Sprintf("SPF from %s", src.Addr)
	f := ok(name, "%s may send for %s: %s; %d of %d look-ups", src.Addr, r.Domain, r.Mechanism, r.Lookups, spf.MaxLookups)
	switch r.Result {
	case spf.TempError:
		return skipped(name, "%s", r.Problem)
	case spf.Pass:
		if r.All > spf.MaxLookups {
			f = warn(name, fmt.Sprintf("%s may send for %s, but the record needs %d look-ups for who is found at its end, and receivers stop at %d (RFC 7208, section 4.6.4)",
				src.Addr, r.Domain, r.All, spf.MaxLookups), "write the networks of an include: as ip4: and ip6:, or leave out what is not used any more")
		}
	case spf.SoftFail, spf.Neutral:
		f = warn(name, r.Problem, r.Fix)
	default:
		f = fail(name, r.Problem, r.Fix)
	}
	f.Details = steps(r)
	if f.Status != appliance.FoundOK && r.Record != "" && r.Lookups <= spf.MaxLookups { // else the text has said it
		f.Details = append(f.Details, fmt.Sprintf("%d of %d look-ups for %s", r.Lookups, spf.MaxLookups, src.Addr))
	}
	return f
}

// steps are how an evaluation came to its result.
func steps(r spf.Result) (all []string) {
	if r.Record != "" {
		all = append(all, r.Domain+": "+r.Record)
	}
	for _, st := range r.Steps {
		if st.Term != "" {
			all = append(all, fmt.Sprintf("%s%s: %s", strings.Repeat("  ", st.Depth), st.Term, st.Text))
		}
	}
	return all
}
