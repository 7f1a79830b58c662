package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// judgedElsewhere are the kinds of records that have examinations of their own,
// which look further than at the record.
var judgedElsewhere = []records.Kind{records.KindAddress, records.KindPTR, records.KindMX, records.KindDKIM}

// recordKinds are the kinds whose examinations are called after them.
var recordKinds = []records.Kind{records.KindSPF, records.KindDMARC}

// wanted compares the records of some kinds that a domain, or a host, needs with
// what all name servers show.
func (s *Subject) wanted(ctx context.Context, domain string, is func(records.Kind) bool) (all []appliance.Finding) {
	dns, canAsk := s.Resolver.(records.DNS)
	if s.Wanted == nil || !canAsk {
		return nil
	}
	var addrs []netip.Addr
	for _, src := range s.Sources(ctx) {
		addrs = append(addrs, src.Addr)
	}
	chosen := slices.DeleteFunc(s.Wanted(addrs), func(r records.Record) bool {
		return r.Domain != domain || !is(r.Kind) || slices.Contains(judgedElsewhere, r.Kind)
	})
	for _, d := range records.Compare(ctx, dns, chosen) {
		f := difference(&d)
		f.Domain, f.Record = domain, string(d.Kind)
		all = append(all, f)
	}
	return all
}

// otherKinds are those that are not in recordKinds.
func otherKinds(k records.Kind) bool { return !slices.Contains(recordKinds, k) }

// difference is a finding of a comparison.
func difference(d *records.Difference) appliance.Finding {
	name := d.Title()
	text := d.Text
	if text == "" {
		text = d.Name + " holds " + strings.Join(d.There, ", ")
	}
	text = lowered(strings.TrimSuffix(text, "."))
	switch {
	case d.OK():
		return ok(name, "%s", text)
	case d.State == records.Unknown:
		return skipped(name, "%s", text)
	case d.State == records.Missing && !d.Needed:
		return skipped(name, "%s; it is not needed, and good to have: %s", text, d.Why)
	case d.State == records.Disagree:
		return warn(name, text, fmt.Sprintf(`see that all name servers of %s get what is changed; "waxwing dns check" shows what each of them says`, d.Zone))
	case !d.Needed:
		return warn(name, text, howToPublish(d))
	}
	return fail(name, text, howToPublish(d))
}

// lowered is a sentence as it follows a colon. A first word that is more than
// one capital, such as DKIM, stays.
func lowered(text string) string {
	if len(text) > 1 && 'A' <= text[0] && text[0] <= 'Z' && 'a' <= text[1] && text[1] <= 'z' {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// howToPublish says what to do about a record that is not there, or not right.
func howToPublish(d *records.Difference) string {
	how := "publish this record"
	switch {
	case d.Want == "":
		return `"waxwing dns check" shows what each name server says, and what is wanted`
	case len(d.There) == 1:
		how = "put this record in the place of the one that is there"
	case len(d.There) > 1:
		how = "put this one record in the place of those that are there"
	}
	r := appliance.DNSRecord{Name: d.Name, Type: d.Type, Value: d.Want}
	return how + "; \"waxwing dns publish\" can do it through a dns block:\n" + r.Zone()
}
