package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dmarc"
)

// dmarcItems evaluate the policy of the From domain with what SPF and DKIM have
// proved.
func (j *judge) dmarcItems(ctx context.Context, signatures []*signature) []Item {
	const name = "DMARC"
	from := j.authorDomain()
	if from == "" {
		j.dmarc, j.aligned, j.policy = NotMet, NotMet, NotMet
		return []Item{bad(name, 10, "there is no one domain in the From field: receivers cannot evaluate DMARC, and refuse the message", "write one From field with one address")}
	}
	return j.judgePolicy(ctx, from, signatures)
}

// proved is what DMARC is evaluated with. SPF counts if it passes from each
// address: a receiver sees one of them, and nobody knows which.
func (j *judge) proved(from string, signatures []*signature) dmarc.Input {
	in := dmarc.Input{From: from}
	in.SPF.Domain, in.SPF.Result = j.spfDomain(), "none"
	switch j.spf {
	case Met:
		in.SPF.Result = "pass"
	case NotKnown:
		in.SPF.Result = "temperror"
	}
	for _, s := range signatures {
		result := "fail"
		switch {
		case s.pass:
			result = "pass"
		case s.item.Status == appliance.FoundSkipped:
			result = "temperror"
		}
		in.DKIM = append(in.DKIM, dmarc.Identifier{Domain: s.domain, Result: result})
	}
	return in
}

// spfDomain is what SPF has been evaluated for: RFC 7208, section 2.4.
func (j *judge) spfDomain() string {
	if j.Envelope.From.IsNull() && len(j.Sources) > 0 {
		return j.Sources[0].Name
	}
	return j.Envelope.From.Domain
}

// judgePolicy is what a receiver makes of it.
func (j *judge) judgePolicy(ctx context.Context, from string, signatures []*signature) []Item {
	const name = "DMARC"
	in := j.proved(from, signatures)
	e := dmarc.Evaluate(ctx, j.Resolver, in)
	j.dmarc, j.policy = Met, Met
	var items []Item
	switch e.Result {
	case dmarc.ResultPass:
		j.aligned = Met
		items = append(items, good(name, "pass: %s; %s=%s at _dmarc.%s", e.Why, e.Policy.Tag, e.Policy.Request, e.Policy.Domain))
	case dmarc.ResultFail:
		j.aligned = NotMet
		items = append(items, j.failing(from, &e))
	case dmarc.ResultNone:
		j.dmarc = NotMet
		items = append(items, poor(name, 10, "none: "+e.Why, begin(from, &e.Policy)), j.alignment(ctx, from, in))
	default:
		if e.Policy.Domain == "" {
			j.dmarc = NotKnown
		}
		j.aligned, j.policy = NotKnown, NotKnown
		items = append(items, unknown(name, "%s: %s", e.Result, e.Why))
	}
	for _, p := range e.Policy.Record.Problems {
		if e.Policy.Request != "" {
			items = append(items, poor("DMARC record", 2, fmt.Sprintf("at _dmarc.%s: %s", e.Policy.Domain, p), "mend the record: "+e.Policy.Record.Text))
		}
	}
	for i := range items {
		items[i].Domain, items[i].Record = from, "dmarc"
	}
	return items
}

// begin says how to get a policy, in place of what is there to no effect.
func begin(from string, p *dmarc.Policy) string {
	do := "publish at _dmarc." + from
	if p.Domain != "" || p.Note != "" {
		do = fmt.Sprintf("have one record, in place of what is there, at _dmarc.%s", cmp.Or(p.Domain, from))
	}
	return do + ", type TXT: v=DMARC1; p=none; when all that you send passes, p=quarantine and then p=reject"
}

// failing is a message that fails. Whatever the policy asks for, Gmail and
// Yahoo want mail of those who send much to pass.
func (j *judge) failing(from string, e *dmarc.Evaluation) Item {
	lost := 20
	if e.Disposition != dmarc.None {
		lost, j.policy = 30, NotMet
	}
	return bad("DMARC", lost, "fail: "+e.Why,
		fmt.Sprintf("let the signer of the pipeline sign for %s, and publish its key; or use a From address of a domain that is signed for", from))
}

// alignment says what DMARC would, if there were a record.
func (j *judge) alignment(ctx context.Context, from string, in dmarc.Input) Item {
	const name = "alignment"
	j.aligned = NotMet
	var failed error
	for _, id := range append([]dmarc.Identifier{in.SPF}, in.DKIM...) {
		if id.Result != "pass" {
			continue
		}
		ok, err := dmarc.Aligned(ctx, j.Resolver, dmarc.Relaxed, from, id.Domain)
		if ok {
			j.aligned = Met
			return good(name, "%s, which has proved itself, is aligned with %s", id.Domain, from)
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil || in.SPF.Result == "temperror" {
		j.aligned = NotKnown
		return unknown(name, "whether anything proves that the message is from %s is not known", from)
	}
	return bad(name, 20, fmt.Sprintf("nothing proves that the message is from %s", from), fmt.Sprintf("let the signer of the pipeline sign for %s, and publish its key", from))
}
