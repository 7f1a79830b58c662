package spf

import (
	"context"
	"net/netip"
	"strings"
)

// maxDepth bounds the walk: a record cannot use more than 10 look-ups, and an
// include is one.
const maxDepth = MaxLookups + 1

// walk goes through the record term by term, to where it is decided.
func (e *evaluation) walk(res *Result) {
	if !hasRecords(e.domain) {
		return
	}
	w := &walker{evaluation: e, res: res, counted: make(map[string]int)}
	res.Record, _ = w.record(e.domain)
	e.memo.shown() // what was asked for the result is asked again, one by one
	w.domainAt(e.domain, 0)
	res.All = w.count(e.domain, 0)
}

// A walker is on the way through the records.
type walker struct {
	*evaluation
	res     *Result
	counted map[string]int
}

// record is the SPF record of a domain, or "" and what is wrong with it.
func (w *walker) record(domain string) (record, problem string) {
	texts, err := w.memo.LookupTXT(w.ctx, domain)
	if err != nil && !notFound(err) {
		return "", "the TXT records of " + domain + " could not be looked up: " + err.Error()
	}
	var all []string
	for _, t := range texts {
		if Is(t) {
			all = append(all, t)
		}
	}
	switch len(all) {
	case 0:
		return "", domain + " has no SPF record"
	case 1:
		return all[0], ""
	}
	// RFC 7208, section 4.5: "If the resultant record set includes more than one
	// record, check_host() produces the "permerror" result."
	return "", domain + " has more than one SPF record; there can be only one"
}

// Is says whether the text of a TXT record is an SPF record: RFC 7208, section
// 4.5: the version section is terminated by either a space or the end.
func Is(text string) bool {
	const version = "v=spf1"
	return len(text) >= len(version) && strings.EqualFold(text[:len(version)], version) && (len(text) == len(version) || text[len(version)] == ' ')
}

// domainAt walks through the record of a domain and says what it comes to.
func (w *walker) domainAt(domain string, depth int) Verdict {
	record, problem := w.record(domain)
	if record == "" {
		w.step(depth, domain, "", problem, false)
		return None
	}
	w.step(depth, domain, "", record, false)
	if depth >= maxDepth {
		return PermError
	}
	redirect := ""
	for term := range strings.FieldsSeq(record) {
		name, value, modifier := modifier(term)
		switch {
		case Is(term):
		case modifier && strings.EqualFold(name, "redirect"):
			redirect = value
		case modifier:
			// Section 6: unknown modifiers are ignored; exp= says something only.
		default:
			if v := w.term(domain, term, depth); v != "" {
				return v
			}
		}
	}
	if redirect == "" {
		return Neutral // section 4.7
	}
	if !w.lookup(depth, domain, "redirect="+redirect) {
		return PermError
	}
	w.step(depth, domain, "redirect="+redirect, "nothing has matched: the record of "+redirect+" decides", false)
	if strings.Contains(redirect, "%") {
		return Neutral // what the macro stands for is not shown
	}
	return w.domainAt(canonical(redirect), depth+1)
}

// modifier splits a term that has a name and a value with = between them
// (RFC 7208, section 4.6.1).
func modifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	return name, value, ok && !strings.ContainsAny(name, ":/")
}

// verdicts are those of the signs before a term.
var verdicts = map[byte]Verdict{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}

// split takes the sign off a term, and the name of the mechanism.
func split(term string) (v Verdict, mechanism, rest string) {
	v, signed := verdicts[term[0]]
	if signed {
		term = term[1:]
	} else {
		v = Pass
	}
	i := strings.IndexAny(term, ":/")
	if i < 0 {
		return v, strings.ToLower(term), ""
	}
	return v, strings.ToLower(term[:i]), strings.TrimPrefix(term[i:], ":")
}

// needsLookup: RFC 7208, section 4.6.4: include, a, mx, ptr, and exists
// mechanisms as well as the redirect modifier.
func needsLookup(mechanism string) bool {
	switch mechanism {
	case "include", "a", "mx", "ptr", "exists":
		return true
	}
	return false
}

// term looks at one mechanism. It returns what decides, or "".
func (w *walker) term(domain, term string, depth int) Verdict {
	v, mechanism, rest := split(term)
	if needsLookup(mechanism) && !w.lookup(depth, domain, term) {
		return PermError
	}
	if mechanism == "include" && !strings.Contains(rest, "%") {
		w.step(depth, domain, term, "matches if the record of "+rest+" lets the address pass", false)
		i, before := len(w.res.Steps)-1, *w.res
		switch w.domainAt(canonical(rest), depth+1) {
		case Pass:
			w.res.Steps[i].Matched = true
			w.decide(domain, term)
			return v
		case None, PermError: // section 5.2
			w.decide(domain, term)
			return PermError
		case TempError:
			return TempError
		}
		w.res.Mechanism, w.res.At = before.Mechanism, before.At // it decided there, and not here
		return ""
	}
	switch got := w.alone(domain, term); got {
	case Pass:
		w.step(depth, domain, term, w.matchText(mechanism, true), true)
		w.decide(domain, term)
		return v
	case TempError, PermError:
		w.step(depth, domain, term, strings.TrimSpace("cannot be evaluated "+inBrackets(w.memo.shown())), false)
		w.decide(domain, term)
		return got
	}
	w.step(depth, domain, term, w.matchText(mechanism, false), false)
	return ""
}

// lookup counts a term that needs a look-up, and says whether there may be one
// more.
func (w *walker) lookup(depth int, domain, term string) bool {
	if w.res.Lookups++; w.res.Lookups <= MaxLookups {
		return true
	}
	w.step(depth, domain, term, "is one look-up too many: receivers give up here", false)
	w.decide(domain, term)
	return false
}

// decide notes where the result comes from: the innermost term is met first.
func (w *walker) decide(domain, term string) {
	if w.res.Mechanism == "" {
		w.res.Mechanism, w.res.At = term, domain
	}
}

// matchText says what was found of a mechanism.
func (w *walker) matchText(mechanism string, matched bool) string {
	is := "is not " + w.IP.String()
	if matched {
		is = "matches " + w.IP.String()
	}
	if seen := w.memo.shown(); mechanism != "all" {
		return strings.TrimSpace(is + " " + inBrackets(seen))
	}
	return "everything else"
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func (w *walker) step(depth int, domain, term, text string, matched bool) {
	w.res.Steps = append(w.res.Steps, Step{Depth: depth, Domain: domain, Term: term, Text: text, Matched: matched})
}

// alone has the library evaluate one mechanism of the record of a domain: Pass
// is that it matches.
func (w *walker) alone(domain, term string) Verdict {
	w.memo.shown()
	one := &stage{memo: w.memo, records: map[string]string{domain: "v=spf1 " + bare(term) + " ~all"}}
	if domain != w.domain {
		// The macros have to stand for the sender and for the domain of the record.
		one.records[w.domain] = "v=spf1 include:" + domain + " ~all"
	}
	v, _ := w.library(one) // the error is of the whole record: it has been noted
	return v
}

// bare is a term without its sign.
func bare(term string) string {
	if _, signed := verdicts[term[0]]; signed {
		return term[1:]
	}
	return term
}

// A stage is the DNS with other SPF records at some names.
type stage struct {
	*memo
	records map[string]string
}

// LookupTXT implements the resolver of the library.
func (s *stage) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if record, ok := s.records[canonical(name)]; ok {
		return []string{record}, nil
	}
	return s.memo.LookupTXT(ctx, name)
}

// count is how many look-ups a record needs if nothing in it matches.
func (w *walker) count(domain string, depth int) int {
	if n, known := w.counted[domain]; known || depth >= maxDepth {
		return n
	}
	w.counted[domain] = 0 // a record that includes itself ends here
	record, _ := w.record(domain)
	n := 0
	for term := range strings.FieldsSeq(record) {
		inner := ""
		if name, value, ok := modifier(term); ok {
			if !strings.EqualFold(name, "redirect") {
				continue
			}
			inner = value
			n++
		} else if _, mechanism, rest := split(term); needsLookup(mechanism) {
			n++
			if mechanism == "include" {
				inner = rest
			}
		}
		if inner != "" && !strings.Contains(inner, "%") {
			n += w.count(canonical(inner), depth+1)
		}
	}
	w.counted[domain] = n
	return n
}

// addressTerm is the term that lets an address pass.
func addressTerm(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "ip4:" + ip.Unmap().String()
	}
	return "ip6:" + ip.String()
}
