package appliance

import "strings"

// authenticationResults makes the field of RFC 8601, section 2.2. Parts of the
// results come from strangers: each is written so that it cannot be taken for
// another result.
func authenticationResults(servID string, results []AuthResult) Field {
	var b strings.Builder
	b.WriteString(servID)
	for _, r := range results {
		b.WriteString("; " + keyword(r.Method) + "=" + keyword(r.Value))
		if r.Reason != "" {
			b.WriteString(" reason=" + quote(r.Reason))
		}
		for _, p := range r.Props {
			name, value, _ := strings.Cut(p, "=")
			b.WriteString(" " + keyword(name) + "=" + propertyValue(value))
		}
	}
	return NewField("Authentication-Results", b.String())
}

// keyword keeps what can stand in a method with its version, a result or a
// property name: "dkim", "dkim/1", "pass", "header.d".
func keyword(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (isAlnum(byte(r)) || strings.ContainsRune("-_./", r)) {
			return r
		}
		return '_'
	}, s)
}

// propertyValue writes a pvalue: a domain or an address, whose local part may
// be missing, as it is, another MIME value as a token, if it is one, or as a
// quoted string.
func propertyValue(s string) string {
	if m, err := ParseMailbox(s); err == nil {
		return m.String()
	}
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		if d, err := ParseDomain(domain); err == nil {
			return "@" + d
		}
	}
	if isToken(s) {
		return s
	}
	return quote(s)
}

// isToken follows RFC 2045, section 5.1.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// claimsServID says whether an Authentication-Results value names servID as
// its author, past comments, quoting and case (RFC 8601, sections 2.2 and 5).
func claimsServID(value, servID string) bool {
	rest := strings.TrimSpace(value)
	for behind, closed := skipComment(rest); closed; behind, closed = skipComment(rest) {
		rest = strings.TrimSpace(behind)
	}
	id := rest
	if strings.HasPrefix(rest, `"`) {
		id, _, _ = unquote(rest)
	} else if i := strings.IndexAny(rest, "; \t("); i >= 0 {
		id = rest[:i]
	}
	return canonicalName(id) == canonicalName(servID)
}

// canonicalName is a domain as [ParseDomain] writes it, and another name in
// lower case. The root may be written out.
func canonicalName(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if d, err := ParseDomain(s); err == nil {
		return d
	}
	return strings.ToLower(s)
}

// skipComment returns what follows the comment that s begins with
// (RFC 5322, section 3.2.2); closed says that there is one, and that it ends.
func skipComment(s string) (rest string, closed bool) {
	if !strings.HasPrefix(s, "(") {
		return s, false
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:], true
			}
		}
	}
	return "", false
}
