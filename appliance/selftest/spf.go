package selftest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/spf"
)

// spfItems evaluate SPF for the envelope sender, from each address. A report
// has no sender, and SPF is about the name that the server gives itself
// (RFC 7208, section 2.4).
func (j *judge) spfItems(ctx context.Context) []Item {
	j.spf = NotKnown
	domain := j.Envelope.From.Domain
	switch {
	case j.Via != "":
		return j.includes(ctx, domain)
	case len(j.Sources) == 0:
		return []Item{unknown("SPF", "the addresses that mail leaves from are not known")}
	}
	var items []Item
	results := make([]spf.Result, len(j.Sources))
	state := Met
	for i, src := range j.Sources {
		results[i] = spf.Check(ctx, j.Resolver, spf.Query{IP: src.Addr, HELO: src.Name, From: j.Envelope.From})
		items = append(items, j.spfItem("SPF from "+src.Addr.String(), &results[i]))
		state = worst(state, spfState(&results[i]))
	}
	j.spf = state
	items = once(items)
	if !j.Envelope.From.IsNull() {
		items = append(items, once(j.heloItems(ctx))...)
	}
	return items
}

func spfState(r *spf.Result) State {
	switch r.Result {
	case spf.Pass:
		return Met
	case spf.TempError:
		return NotKnown
	}
	return NotMet
}

// spfItem is the result for one address, and how it came to that.
func (j *judge) spfItem(name string, r *spf.Result) Item {
	item := Item{Finding: appliance.Finding{Name: name, Text: fmt.Sprintf("%s: %s", r.Result, r.Problem), Fix: r.Fix, Domain: r.Domain, Record: "spf"}}
	for _, s := range r.Steps {
		item.Details = append(item.Details, strings.Repeat("  ", s.Depth)+strings.TrimSpace(s.Domain+" "+s.Term)+": "+s.Text)
	}
	switch r.Result {
	case spf.Pass:
		item.Status = appliance.FoundOK
		if r.Problem == "" {
			item.Text = fmt.Sprintf("pass: %s in the record of %s", r.Mechanism, cmp.Or(r.At, r.Domain))
		} else {
			item.Status, item.Lost = appliance.FoundWarn, 3
		}
	case spf.TempError:
		item.Status, item.Fix = appliance.FoundSkipped, ""
	case spf.Fail, spf.PermError:
		item.Status, item.Lost = appliance.FoundFail, 25
	default: // none, neutral, softfail
		item.Status, item.Lost = appliance.FoundWarn, 15
	}
	return item
}

// heloItems look at the name of the server, which receivers check too (RFC
// 7208, section 2.3). Without a record there is nothing to say.
func (j *judge) heloItems(ctx context.Context) (items []Item) {
	for _, src := range j.Sources {
		r := spf.Check(ctx, j.Resolver, spf.Query{IP: src.Addr, HELO: src.Name})
		if r.Result == spf.Fail || r.Result == spf.PermError {
			item := j.spfItem("SPF of the name "+src.Name, &r)
			item.Status, item.Lost = appliance.FoundWarn, 5
			items = append(items, item)
		}
	}
	return items
}

// includes looks whether the record allows the provider that takes the mail.
// Its addresses are not known here: only that can be said.
func (j *judge) includes(ctx context.Context, domain string) []Item {
	const name = "SPF"
	if domain == "" {
		return []Item{unknown(name, "the message has no envelope sender: it is about the name of the provider's server")}
	}
	texts, err := j.Resolver.LookupTXT(ctx, domain+".")
	if err != nil && !isNotFound(err) {
		return []Item{unknown(name, "the record of %s could not be looked up: %v", domain, err)}
	}
	i := slices.IndexFunc(texts, func(t string) bool {
		return strings.EqualFold(t, "v=spf1") || strings.HasPrefix(strings.ToLower(t), "v=spf1 ")
	})
	ask := "ask the provider for its SPF record"
	if len(j.Includes) > 0 {
		ask = "include:" + strings.Join(j.Includes, " include:")
	}
	if i < 0 {
		j.spf = NotMet
		return []Item{poor(name, 15, fmt.Sprintf("%s has no SPF record", domain), fmt.Sprintf("publish at %s, type TXT: v=spf1 %s ~all", domain, ask))}
	}
	terms := strings.Fields(strings.ToLower(texts[i]))
	for _, include := range j.Includes {
		if !slices.Contains(terms, "include:"+include) && !slices.Contains(terms, "+include:"+include) {
			return []Item{unknown(name, "the record of %s does not name include:%s, and whether something else in it allows the addresses of %s is not known from here: %s", domain, include, j.Via, texts[i])}
		}
	}
	if len(j.Includes) == 0 {
		return []Item{unknown(name, "whether the record of %s allows the addresses of %s is not known from here: %s", domain, j.Via, texts[i])}
	}
	j.spf = Met
	return []Item{good(name, "the record of %s includes that of the provider: %s", domain, join(j.Includes))}
}
