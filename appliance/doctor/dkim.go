package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
)

// dkim compares the keys that sign for a domain with what the DNS says.
func (s *Subject) dkim(ctx context.Context, domain string) (all []appliance.Finding) {
	for _, r := range s.Records {
		selector, of, isKey := strings.Cut(r.Name, "._domainkey.")
		if isKey && r.Type == "TXT" && strings.EqualFold(of, domain) {
			f := s.key(ctx, "DKIM key "+selector, r)
			all = append(all, lived(f, r.Name, s.KeyStates[r.Name]))
		}
	}
	switch {
	case all == nil && s.Healthy == nil:
		return []appliance.Finding{skipped("DKIM", "the keys are with the server, which is not running")}
	case all == nil:
		return []appliance.Finding{warn("DKIM", fmt.Sprintf("nothing signs mail from %s: Gmail and others refuse or suspect mail without a signature", domain),
			fmt.Sprintf(`add a signer "dkim" with domains = [%q], and name it in the pipeline`, domain))}
	}
	return all
}

// key looks at one key. wanted is the record that it needs.
func (s *Subject) key(ctx context.Context, name string, wanted appliance.DNSRecord) appliance.Finding {
	ours, err := dkimkey.Parse(wanted.Value)
	if err != nil {
		return skipped(name, "the record that the signer wants cannot be read: %v", err)
	}
	answers, err := s.texts(ctx, wanted.Name)
	if err != nil {
		return unknown(name, err)
	}
	publish := "publish this record:\n" + wanted.Zone()
	f := ok(name, "%s holds the key that signs: %s", wanted.Name, ours.Describe())
	for _, a := range answers {
		if g := compareKey(name, wanted.Name, a, ours, publish); worst(g.Status, f.Status) {
			f = g
		}
	}
	if wanted.Note != "" {
		f.Details = append(f.Details, wanted.Note)
	}
	return f
}

// compareKey is what one server says of a key.
func compareKey(name, at string, a said, ours dkimkey.Record, publish string) appliance.Finding {
	if len(a.texts) == 0 {
		return fail(name, fmt.Sprintf("there is no TXT record at %s%s: mail counts as not signed", at, a.where()), publish)
	}
	record, err := dkimkey.Choose(a.texts)
	if err != nil {
		return fail(name, fmt.Sprintf("what is at %s%s is of no use: %v", at, a.where(), err), publish)
	}
	problems := record.Compare(ours.Key)
	if len(problems) == 0 || problems[0].Severity == dkimkey.Note {
		return ok(name, "%s holds the key that signs: %s", at, record.Describe())
	}
	p := problems[0]
	f := warn(name, fmt.Sprintf("%s%s: %s", at, a.where(), p.Text), p.Fix)
	if p.Severity == dkimkey.Fail {
		f.Status = appliance.FoundFail
	}
	for _, more := range problems[1:] {
		f.Details = append(f.Details, more.Text)
	}
	return f
}

// said is what one name server says of a name.
type said struct {
	server string // "" is whoever the resolver asks
	texts  []string
}

func (a said) where() string {
	if a.server == "" {
		return ""
	}
	return " (says " + a.server + ")"
}

// texts asks every name server of the zone for the TXT records at a name; if
// there is no way to, or they cannot be found, the resolver.
func (s *Subject) texts(ctx context.Context, name string) ([]said, error) {
	authority, isAuthority := s.Resolver.(appliance.Authority)
	if isAuthority {
		if all, err := authorityTexts(ctx, authority, name); err == nil {
			return all, nil
		}
	}
	ctx, cancel := lookupContext(ctx)
	defer cancel()
	texts, err := s.Resolver.LookupTXT(ctx, absolute(name))
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	return []said{{texts: texts}}, nil
}

var errSilent = errors.New("none of the name servers answers")

func authorityTexts(ctx context.Context, authority appliance.Authority, name string) (all []said, err error) {
	ctx, cancel := lookupContext(ctx)
	defer cancel()
	answer, err := authority.AskAuthority(ctx, appliance.QueryTXT, name)
	if err != nil {
		return nil, err
	}
	for _, a := range answer.Servers {
		if a.Err == nil || isNotFound(a.Err) {
			all = append(all, said{a.Server, a.Answer.Texts})
		}
	}
	if all == nil {
		return nil, errSilent
	}
	return all, nil
}
