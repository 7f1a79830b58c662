package records

import (
	"context"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance/dmarc"
)

// judgeDMARC takes any policy: one that is stricter is what the road leads to.
// A domain without a record has that of one above it.
func judgeDMARC(ctx context.Context, dns DNS, r *Record, texts []string) verdict {
	v := verdict{state: Other, there: filtered(texts, func(t string) bool { _, err := dmarc.Parse(t); return err == nil })}
	switch len(v.there) {
	case 0:
		return inheritedDMARC(ctx, dns, r)
	case 1:
	default:
		v.byHand = true
		v.text = fmt.Sprintf("There are %d DMARC records at %s, so that none of them counts: leave one.", len(v.there), r.Name)
		return v
	}
	there, _ := dmarc.Parse(v.there[0]) // it was read before
	for _, p := range there.Problems {
		v.text = strings.TrimSpace(v.text + " " + sentence(p))
	}
	if there.Policy == "" {
		v.text = strings.TrimSpace("The record asks for nothing that receivers know, so that there is no policy. " + v.text)
		return v
	}
	v.state = Equal
	if _, wanted, ok := strings.Cut(r.Value, "rua="); ok && len(there.RUA) == 0 {
		v.text = strings.TrimSpace(v.text + " Nobody gets its reports: add rua=" + wanted + ".")
	}
	return v
}

// inheritedDMARC is about a domain without a record, as one server has it.
// While those above it cannot be asked nothing is known: a record of its own
// would be in the way of a stricter one of theirs.
func inheritedDMARC(ctx context.Context, dns DNS, r *Record) verdict {
	p, err := dmarc.Find(ctx, asSeen{dns, r.Name, nil}, r.Domain)
	switch {
	case err != nil:
		return verdict{state: Unknown, text: err.Error()}
	case p.Request == "":
		return missing(r)
	}
	return verdict{state: Equal, text: fmt.Sprintf("There is no record at %s; that of %s counts: %s.", r.Name, p.Domain, p.Record.Text)}
}
