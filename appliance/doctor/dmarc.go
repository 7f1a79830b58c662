package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dmarc"
	"github.com/waxwing-mail/waxwing/appliance/internal/taglist"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// dmarc looks at the policy that counts for a domain, whether our own signatures
// are aligned with it, and where the reports go.
func (s *Subject) dmarc(ctx context.Context, domain string) []appliance.Finding {
	all := s.wanted(ctx, domain, func(k records.Kind) bool { return k == records.KindDMARC })
	if len(all) > 0 && all[0].Fix != "" {
		return all // it says what to write
	}
	p, err := dmarc.Find(ctx, s.Resolver, domain)
	if err != nil {
		return about(domain, "dmarc", []appliance.Finding{skipped("DMARC of "+domain, "%v", err)})
	}
	all = []appliance.Finding{policy(domain, &p)}
	if p.Request != "" {
		all = append(all, s.aligned(ctx, domain))
		for _, r := range dmarc.ReportProblems(ctx, s.Resolver, p.Domain, p.Record) {
			f := warn("DMARC reports of "+p.Domain, r.Text, r.Fix)
			if r.Temporary {
				f = skipped("DMARC reports of "+p.Domain, "%s", r.Text)
			}
			all = append(all, f)
		}
	}
	return about(domain, "dmarc", all)
}

// policy is a finding of the policy that counts for a domain.
func policy(domain string, p *dmarc.Policy) appliance.Finding {
	name := "DMARC of " + domain
	fix := fmt.Sprintf("publish this record:\n%s", (&appliance.DNSRecord{Name: "_dmarc." + domain, Type: "TXT", Value: "v=DMARC1; p=none"}).Zone())
	at := "_dmarc." + p.Domain
	problems := strings.Join(p.Record.Problems, "; ")
	switch {
	case p.Domain == "" && p.Note != "":
		return fail(name, p.Note, fix)
	case p.Domain == "":
		return fail(name, fmt.Sprintf("there is no DMARC record at _dmarc.%s, and none above it: Gmail and Yahoo refuse mail in bulk without one", domain), fix)
	case p.Request == "":
		return fail(name, fmt.Sprintf("the record at %s has no effect: %s", at, problems), "write it anew, as in v=DMARC1; p=none")
	case problems != "":
		return warn(name, fmt.Sprintf("of the record at %s receivers ignore a part: %s", at, problems), "correct it, or leave that part out")
	}
	f := ok(name, "%s says %s: %s", at, p.Record.Text, meaning(p))
	if len(p.Record.RUA) == 0 {
		f.Details = append(f.Details, "nobody gets reports: rua=mailto:… would show who else sends mail from the domain")
	}
	return f
}

// meaning is what a policy asks for.
func meaning(p *dmarc.Policy) string {
	text := map[dmarc.Disposition]string{
		dmarc.None:       "mail that pretends to come from the domain is delivered all the same",
		dmarc.Quarantine: "mail that pretends to come from the domain is put with the spam",
		dmarc.Reject:     "mail that pretends to come from the domain is refused",
	}[p.Request]
	if p.Tag != "p" {
		text = fmt.Sprintf("by %s=, which counts for domains below, %s", p.Tag, text)
	}
	if p.Record.Testing {
		text += ", but for now (t=y) one step less is done"
	}
	return text
}

// aligned looks whether one of our signatures lets mail from a domain pass, as
// it has to where mail is forwarded, which SPF does not survive.
func (s *Subject) aligned(ctx context.Context, domain string) appliance.Finding {
	name := "DMARC alignment of " + domain
	in := dmarc.Input{From: domain}
	for _, d := range s.signing() {
		in.DKIM = append(in.DKIM, dmarc.Identifier{Domain: d, Result: "pass"})
	}
	if len(in.DKIM) == 0 && s.Healthy == nil {
		return skipped(name, "the keys are with the server, which is not running")
	}
	switch e := dmarc.Evaluate(ctx, s.Resolver, in); e.Result {
	case dmarc.ResultPass:
		return ok(name, "%s lets mail from %s pass", strings.Join(e.Aligned, ", "), domain)
	case dmarc.ResultTempError:
		return skipped(name, "%s", e.Why)
	default:
		return warn(name, fmt.Sprintf("no signature of this server counts for mail from %s: where it is forwarded, which SPF does not survive, DMARC fails", domain),
			fmt.Sprintf(`add %q to the domains of a signer "dkim"`, domain))
	}
}

// signing are the domains that there are keys for: d= of the signatures. At
// most 10 of a message count, and it is signed for its own domain.
func (s *Subject) signing() (all []string) {
	for _, r := range s.Records {
		_, of, isKey := strings.Cut(r.Name, "._domainkey.")
		if isKey && !slices.Contains(all, of) && s.KeyStates[r.Name] != appliance.KeyNext {
			all = append(all, of)
		}
	}
	return all
}

// bimi looks for the picture that some receivers show beside mail that DMARC
// protects. Nobody needs it.
func (s *Subject) bimi(ctx context.Context, domain string) []appliance.Finding {
	name, at := "BIMI of "+domain, "default._bimi."+domain
	looking, cancel := lookupContext(ctx)
	defer cancel()
	texts, err := s.Resolver.LookupTXT(looking, absolute(at))
	texts = slices.DeleteFunc(texts, func(t string) bool { return !strings.HasPrefix(t, "v=BIMI1") })
	switch {
	case err != nil && !isNotFound(err):
		return []appliance.Finding{unknown(name, err)}
	case len(texts) == 0:
		return []appliance.Finding{skipped(name, "there is none, and none is needed: with DMARC at quarantine or reject some receivers show a picture beside the mail")}
	}
	return []appliance.Finding{s.picture(ctx, name, domain, at, texts[0])}
}

// picture is about a record of BIMI.
func (s *Subject) picture(ctx context.Context, name, domain, at, text string) appliance.Finding {
	values := make(map[string]string)
	tags, err := taglist.Parse(text)
	for _, t := range tags {
		values[t.Name] = t.Value
	}
	if err == nil && !strings.HasPrefix(values["l"], "https://") {
		err = fmt.Errorf("l= has to be the https:// address of an SVG file")
	}
	if err != nil {
		return warn(name, fmt.Sprintf("the record at %s cannot be used: %v", at, err), "correct it, or delete it")
	}
	if p, err := dmarc.Find(ctx, s.Resolver, domain); err == nil && p.Request != dmarc.Quarantine && p.Request != dmarc.Reject {
		return warn(name, fmt.Sprintf("nobody shows the picture of %s: the DMARC policy is not quarantine or reject", at), "go on with DMARC first")
	}
	f := ok(name, "%s shows %s", at, values["l"])
	if values["a"] == "" {
		f.Details = []string{"it has no certificate (a=), which Gmail and Apple want"}
	}
	return f
}
