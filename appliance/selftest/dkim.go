package selftest

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	msgdkim "github.com/emersion/go-msgauth/dkim"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/dkimkey"
	"github.com/waxwing-mail/waxwing/appliance/internal/taglist"
)

// maxSignatures is how many signatures are verified. RFC 6376, section 6.1,
// lets a verifier limit them; more make a message look like an attack.
const maxSignatures = 8

// leastLife is how long a signature should be good: servers that do not answer
// are tried for five days (RFC 5321, section 4.5.4.1), and the message
// is verified when it arrives.
const leastLife = 5 * 24 * time.Hour

// A signature is a DKIM-Signature field and what became of it.
type signature struct {
	domain, selector string // d=, s=, in lower case
	agent            string // i=
	signed           []string
	expires          time.Time

	key  dkimkey.Record
	pass bool
	item Item
}

// name is where the key stands.
func (s *signature) name() string { return s.selector + "._domainkey." + s.domain }

// signatures verifies the signatures of the message, in their order.
func (j *judge) signatures(ctx context.Context) []*signature {
	var all []*signature
	texts := make(map[string][]string) // of keys that can be used, by name
	for _, value := range j.Message.Header.Values("DKIM-Signature") {
		if len(all) == maxSignatures {
			break
		}
		s := readSignature(value)
		if s.item.Status == "" {
			j.findKey(ctx, s)
		}
		if s.item.Status == "" {
			texts[s.name()] = []string{s.key.Text}
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil
	}
	verified, err := j.verify(texts)
	for i, s := range all {
		switch {
		case s.item.Status != "":
		case i < len(verified):
			j.conclude(s, verified[i])
		default:
			s.item = unknown(s.title(), "the signature could not be verified: %v", err)
		}
	}
	return all
}

func (s *signature) title() string {
	return fmt.Sprintf("DKIM signature of %s", s.domain)
}

// readSignature reads the tags of a signature; the item is set if that is all
// that can be done with it.
func readSignature(value string) *signature {
	s := new(signature)
	tags, err := taglist.Parse(value)
	for _, t := range tags {
		v := taglist.Unfold(t.Value)
		switch t.Name {
		case "d":
			s.domain = strings.ToLower(v)
		case "s":
			s.selector = strings.ToLower(v)
		case "i":
			s.agent = v
		case "h":
			s.signed = strings.Split(strings.ToLower(v), ":")
		}
	}
	if err == nil && (s.domain == "" || s.selector == "") {
		err = errors.New("d= or s= is missing")
	}
	if err != nil {
		s.item = poor(s.title(), 5, fmt.Sprintf("a DKIM-Signature field cannot be read: %v", err), "remove the field; the server signs by itself")
	}
	return s
}

// findKey asks the DNS for the key of a signature.
func (j *judge) findKey(ctx context.Context, s *signature) {
	texts, err := j.Resolver.LookupTXT(ctx, s.name()+".")
	publish := "publish it"
	if want, ok := j.wanted(s.name()); ok {
		publish = fmt.Sprintf("publish at %s, type TXT, in one record: %s", want.Name, want.Value)
	}
	switch {
	case isNotFound(err) || err == nil && len(texts) == 0:
		s.item = bad(s.title(), 0, fmt.Sprintf("the key is not in the DNS: %s has no TXT record, and the signature is worth nothing", s.name()), publish)
		return
	case err != nil:
		s.item = unknown(s.title(), "the key could not be looked up: %v", err)
		return
	}
	if s.key, err = dkimkey.Choose(texts); err != nil {
		s.item = bad(s.title(), 0, fmt.Sprintf("the key cannot be used, at %s: %v", s.name(), err), publish)
		return
	}
	for _, p := range s.key.Compare(j.signingKey(s)) {
		if p.Severity == dkimkey.Fail {
			s.item = bad(s.title(), 0, fmt.Sprintf("the key at %s: %s", s.name(), p.Text), p.Fix)
			return
		}
	}
}

// wanted is the record that the signer of this server wants at a name.
func (j *judge) wanted(name string) (appliance.DNSRecord, bool) {
	i := slices.IndexFunc(j.Keys, func(r appliance.DNSRecord) bool { return strings.EqualFold(r.Name, name) })
	if i < 0 {
		return appliance.DNSRecord{}, false
	}
	return j.Keys[i], true
}

// signingKey is the key that has signed, if it is one of ours; else the one
// that the DNS has.
func (j *judge) signingKey(s *signature) crypto.PublicKey {
	if want, ok := j.wanted(s.name()); ok {
		if r, err := dkimkey.Parse(want.Value); err == nil && r.Key != nil {
			return r.Key
		}
	}
	return s.key.Key
}

// verify has the library verify the first signatures. It sees no DNS but the
// keys that were found: of several records at a name it would take none, and of
// a key that does not fit it would not say why.
func (j *judge) verify(texts map[string][]string) ([]*msgdkim.Verification, error) {
	body, err := j.Message.Body.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content := io.MultiReader(strings.NewReader(string(j.Message.Header.Bytes())), body)
	return msgdkim.VerifyWithOptions(content, &msgdkim.VerifyOptions{
		MaxVerifications: maxSignatures,
		LookupTXT: func(name string) ([]string, error) {
			return texts[strings.ToLower(strings.TrimSuffix(name, "."))], nil
		},
	})
}

// conclude says what a verified signature is worth.
func (j *judge) conclude(s *signature, v *msgdkim.Verification) {
	s.expires = v.Expiration
	_, agent, _ := strings.Cut(s.agent, "@")
	switch {
	case s.key.Strict() && s.agent != "" && !strings.EqualFold(agent, s.domain):
		// RFC 6376, section 3.6.1: with t=s the domain of i= "MUST NOT be a
		// subdomain" of d=. The library does not look.
		s.item = bad(s.title(), 0, fmt.Sprintf("the key at %s has t=s, and i=%s is not %s itself", s.name(), s.agent, s.domain), "remove t=s from the record, or i= from the signature")
	case v.Err != nil && strings.Contains(v.Err.Error(), "domain mismatch") && within(agent, s.domain):
		// RFC 6376, section 3.5, i=: its domain is d= or a subdomain of it, and
		// domains have no case. The library thinks that they have.
		s.item = unknown(s.title(), "it is not known whether it verifies: i=%s and d= are written differently, which some verifiers refuse; write i= as d=, or leave it out", s.agent)
	case v.Err != nil:
		s.item = bad(s.title(), 0, fmt.Sprintf("it does not verify with the key at %s: %s", s.name(), strings.TrimPrefix(v.Err.Error(), "dkim: ")), j.whyNot(s, v.Err))
	case s.key.Testing():
		s.pass = true
		s.item = poor(s.title(), 10, fmt.Sprintf("it verifies, and t=y at %s asks receivers to act as if it were not there", s.name()), "remove t=y from the record")
	default:
		s.pass = true
		s.item = good(s.title(), "it verifies with %s, at %s", s.key.Describe(), s.name())
	}
}

// within says whether a domain is another one or below it, in whatever case.
func within(domain, parent string) bool {
	domain = strings.ToLower(domain)
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// whyNot says what to do about a signature that does not verify.
func (j *judge) whyNot(s *signature, err error) string {
	switch {
	case strings.Contains(err.Error(), "domain mismatch"):
		return "sign without i=, or with one whose domain is d= or below it"
	case strings.Contains(err.Error(), "signature did not verify"):
		return fmt.Sprintf("publish the public half of the key that signs: the one at %s is another; or sign with another selector", s.name())
	case strings.Contains(err.Error(), "body hash"):
		return "nothing may change the body after it was signed: put what does so into rewrites"
	}
	return "sign with the signer of this server, and let nothing change the message behind it"
}
