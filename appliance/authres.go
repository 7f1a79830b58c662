package appliance

import "strings"

// authenticationResults makes the field of RFC 8601, section 2.2.
func authenticationResults(servID string, results []AuthResult) Field {
	var b strings.Builder
	b.WriteString(servID)
	for _, r := range results {
		b.WriteString("; " + r.Method + "=" + r.Value)
		if r.Reason != "" {
			b.WriteString(" reason=" + quote(r.Reason))
		}
		for _, p := range r.Props {
			b.WriteString(" " + p)
		}
	}
	return NewField("Authentication-Results", b.String())
}

// claimsServID says whether an Authentication-Results value names servID as
// its author, past comments and case (RFC 8601, sections 2.2 and 5).
func claimsServID(value, servID string) bool {
	rest := strings.TrimSpace(value)
	for strings.HasPrefix(rest, "(") {
		rest = strings.TrimSpace(skipComment(rest))
	}
	id := rest
	if i := strings.IndexAny(rest, "; \t("); i >= 0 {
		id = rest[:i]
	}
	id = strings.Trim(id, `"`)
	if d, err := ParseDomain(id); err == nil {
		id = d
	}
	return strings.EqualFold(id, servID)
}

// skipComment returns what follows the comment that s begins with
// (RFC 5322, section 3.2.2).
func skipComment(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return ""
}
