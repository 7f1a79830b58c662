package dmarc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Limits of a record.
const (
	maxLength = 65535 // octets of a TXT record (RFC 1035, section 3.2.1)
	maxURIs   = 20    // of rua= or ruf= that are looked at
)

// Parse reads the text of one TXT record. The error says that it is no DMARC
// record: "the v tag MUST be present and MUST appear first" (RFC 9989,
// section 4.7). Anything else that is wrong is in Problems, and is left out:
// "Syntax errors in the remainder of the record MUST be discarded in favor of
// default values (if any) or ignored outright."
func Parse(text string) (Record, error) {
	r := Record{Text: text, ADKIM: Relaxed, ASPF: Relaxed, FO: "0", PSD: "u"}
	if len(text) > maxLength {
		return Record{}, errors.New("it is too long for a DMARC record")
	}
	version, rest, _ := strings.Cut(text, ";")
	if name, value, _ := cutTag(version); name != "v" || value != "DMARC1" {
		return Record{}, fmt.Errorf("%.40q does not begin with v=DMARC1", text)
	}
	p := parser{record: &r, seen: map[string]bool{"v": true}}
	for part := range strings.SplitSeq(rest, ";") {
		if strings.TrimSpace(part) != "" {
			p.tag(part)
		}
	}
	p.settle()
	return r, nil
}

func cutTag(part string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(part, "=")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

type parser struct {
	record *Record
	seen   map[string]bool
	bad    bool // p=, sp= or np= cannot be used
}

func (p *parser) problem(format string, args ...any) {
	p.record.Problems = append(p.record.Problems, fmt.Sprintf(format, args...))
}

func (p *parser) tag(part string) {
	name, value, ok := cutTag(part)
	switch {
	case !ok || name == "":
		p.problem("%.60q is no tag and is ignored: it has no name with = behind it", strings.TrimSpace(part))
		return
	case p.seen[name]:
		p.problem("%.20s= is there twice; the second one, %.40q, is ignored", name, value)
		return
	}
	p.seen[name] = true
	p.set(name, value)
}

func (p *parser) set(name, value string) {
	r := p.record
	switch name {
	case "p":
		p.disposition(&r.Policy, name, value)
	case "sp":
		p.disposition(&r.Subdomains, name, value)
	case "np":
		p.disposition(&r.Nonexistent, name, value)
	case "adkim":
		p.mode(&r.ADKIM, name, value)
	case "aspf":
		p.mode(&r.ASPF, name, value)
	case "rua":
		r.RUA = p.uris(name, value)
	case "ruf":
		r.RUF = p.uris(name, value)
	case "fo":
		p.oneOf(&r.FO, name, value, "0", "1", "d", "s", "d:s", "s:d")
	case "psd":
		p.oneOf(&r.PSD, name, value, "y", "n", "u")
	case "t":
		var t string
		p.oneOf(&t, name, value, "y", "n")
		r.Testing = t == "y"
	case "pct", "rf", "ri":
		p.problem("%s= has been taken out of DMARC; receivers of today ignore it", name)
	default: // "Unknown tags MUST be ignored."
	}
}

// oneOf reads a value that is one of a few, in any case: strings of ABNF are
// not case-sensitive (RFC 5234, section 2.3).
func (p *parser) oneOf(to *string, name, value string, all ...string) bool {
	if v := strings.ToLower(value); slices.Contains(all, v) {
		*to = v
		return true
	}
	p.problem("%s=%.40s is ignored: it has to be one of %s", name, value, strings.Join(all, ", "))
	return false
}

func (p *parser) disposition(to *Disposition, name, value string) {
	var s string
	if p.oneOf(&s, name, value, string(None), string(Quarantine), string(Reject)) {
		*to = Disposition(s)
	} else {
		p.bad = true
	}
}

func (p *parser) mode(to *Mode, name, value string) {
	s := string(*to)
	p.oneOf(&s, name, value, string(Relaxed), string(Strict))
	*to = Mode(s)
}

// uris reads rua= or ruf=: URIs with commas between them, each with a size
// after a "!" that RFC 7489 had and that is ignored today.
func (p *parser) uris(name, value string) (all []string) {
	for uri := range strings.SplitSeq(value, ",") {
		uri, _, _ = strings.Cut(strings.TrimSpace(uri), "!")
		switch err := checkURI(uri); {
		case err != nil:
			p.problem("%s= asks for reports to %.60q, which %v", name, uri, err)
		case len(all) == maxURIs:
			p.problem("%s= has more than %d addresses; receivers send to fewer", name, maxURIs)
			return all
		default:
			all = append(all, uri)
		}
	}
	return all
}

func checkURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return errors.New("is no URI: write mailto: before the address")
	case u.Scheme == "mailto":
		if _, ok := destination(uri); !ok {
			return errors.New("holds no mail address")
		}
	}
	return nil
}

// destination is the domain that a mailto URI sends to (RFC 6068).
func destination(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mailto" {
		return "", false
	}
	address, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return "", false
	}
	m, err := appliance.ParseMailbox(address)
	return m.Domain, err == nil && m.Domain != ""
}

// settle is RFC 9989, section 4.10.1: if there is no valid p=, or an sp= or
// np= that is not valid, a record with at least one valid rua= counts as
// p=none, and any other has no effect.
func (p *parser) settle() {
	r := p.record
	if !p.bad && r.Policy != "" {
		return
	}
	if !p.seen["p"] {
		p.problem("there is no p=")
	}
	r.Policy, r.Subdomains, r.Nonexistent = "", "", ""
	if len(r.RUA) == 0 {
		p.problem("receivers ignore the record, as p=, sp= and np= are not as they have to be and no rua= can be used")
		return
	}
	r.Policy = None
	p.problem("receivers act as if it said p=none")
}
