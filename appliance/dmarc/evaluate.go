package dmarc

import (
	"context"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Result is that of DMARC (RFC 9989, section 4.3; RFC 8601, section 2.7).
type Result string

// The results.
const (
	ResultNone      Result = "none" // there is no policy
	ResultPass      Result = "pass"
	ResultFail      Result = "fail"
	ResultTempError Result = "temperror" // cannot be known now
	ResultPermError Result = "permerror" // From names no domain
)

// maxIdentifiers bounds the signatures that are looked at: each costs up to 8
// questions.
const maxIdentifiers = 10

// An Identifier is a domain, and what SPF or DKIM said of it: "pass", "fail",
// "temperror" or another result of RFC 8601.
type Identifier struct{ Domain, Result string }

// An Input is what is known of a message.
type Input struct {
	From string       // the domain of the only address in the From field
	SPF  Identifier   // of MAIL FROM, or of HELO if that is empty
	DKIM []Identifier // d= of each signature; the first 10 count
}

// An Evaluation is what a receiver makes of a message.
type Evaluation struct {
	Result      Result
	Policy      Policy      // which counted; with ResultNone and errors there may be none
	Disposition Disposition // what the domain asks to do with this message
	Aligned     []string    // what passed and is aligned: "SPF of example.com"
	Why         string      // in words
}

// Aligned says whether an identifier that SPF or DKIM has proved is aligned
// with the domain in the From field (RFC 9989, section 4.4). The error means
// that it cannot be known now.
func Aligned(ctx context.Context, r appliance.Resolver, mode Mode, from, identifier string) (bool, error) {
	a, err := normal(from)
	if err != nil {
		return false, err
	}
	b, err := normal(identifier)
	switch {
	case err != nil:
		return false, nil // nothing is aligned with what is no domain
	case a == b:
		return true, nil
	case mode == Strict || !related(a, b):
		return false, nil
	}
	orgA, err := OrganizationalDomain(ctx, r, a)
	if err != nil {
		return false, err
	}
	orgB, err := OrganizationalDomain(ctx, r, b)
	return err == nil && orgA == orgB, err
}

// Evaluate says what a receiver makes of a message. It asks the DNS at most 8
// times for each domain in the input.
func Evaluate(ctx context.Context, r appliance.Resolver, in Input) Evaluation {
	if _, err := normal(in.From); err != nil {
		return Evaluation{Result: ResultPermError, Disposition: None, Why: "the From field names no domain: " + err.Error()}
	}
	p, err := Find(ctx, r, in.From)
	e := Evaluation{Policy: p, Disposition: None}
	switch {
	case err != nil:
		e.Result, e.Why = ResultTempError, err.Error()
	case p.Request == "":
		e.Result, e.Why = ResultNone, p.whyNone(in.From)
	default:
		e.judge(ctx, r, in)
	}
	return e
}

// whyNone says why no policy counts for a domain.
func (p *Policy) whyNone(from string) string {
	switch {
	case p.Domain != "":
		return fmt.Sprintf("the record at _dmarc.%s has no effect: %s", p.Domain, strings.Join(p.Record.Problems, "; "))
	case p.Note != "":
		return p.Note
	}
	return fmt.Sprintf("there is no DMARC record at _dmarc.%s, and none above it", from)
}

// judge looks for an identifier that passed and is aligned.
func (e *Evaluation) judge(ctx context.Context, r appliance.Resolver, in Input) {
	var not []string
	var open error
	try := func(what string, mode Mode, id Identifier) {
		name := what + " of " + id.Domain
		if id.Result != "pass" && id.Result != "temperror" {
			if id.Domain != "" {
				not = append(not, fmt.Sprintf("%s is %s", name, id.Result))
			}
			return
		}
		ok, err := Aligned(ctx, r, mode, in.From, id.Domain)
		switch {
		case err != nil:
			open = err
		case !ok:
			not = append(not, fmt.Sprintf("%s is not aligned (%s)", name, mode.words()))
		case id.Result == "temperror":
			open = fmt.Errorf("%s could not be checked", name)
		default:
			e.Aligned = append(e.Aligned, name)
		}
	}
	try("SPF", e.Policy.Record.ASPF, in.SPF)
	for _, id := range in.DKIM[:min(len(in.DKIM), maxIdentifiers)] {
		try("DKIM", e.Policy.Record.ADKIM, id)
	}
	e.conclude(in.From, not, open)
}

func (m Mode) words() string {
	if m == Strict {
		return "strict: it has to be the same domain"
	}
	return "relaxed: it has to have the same organizational domain"
}

func (e *Evaluation) conclude(from string, not []string, open error) {
	p := &e.Policy
	switch {
	case len(e.Aligned) > 0:
		e.Result = ResultPass
		are := "is"
		if len(e.Aligned) > 1 {
			are = "are"
		}
		e.Why = fmt.Sprintf("%s passed and %s aligned with %s", strings.Join(e.Aligned, " and "), are, from)
		return
	case open != nil:
		e.Result, e.Why = ResultTempError, open.Error()
		return
	}
	if len(not) == 0 {
		not = []string{"there is neither SPF nor DKIM"}
	}
	e.Result, e.Disposition = ResultFail, p.Request
	e.Why = fmt.Sprintf("nothing proves that the message is from %s: %s; %s=%s of _dmarc.%s counts",
		from, strings.Join(not, ", "), p.Tag, p.Request, p.Domain)
	if p.Record.Testing && p.Request != None {
		e.Disposition = p.Request.milder()
		e.Why += ", of which t=y makes " + string(e.Disposition)
	}
}
