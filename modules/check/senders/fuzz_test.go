package senders

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// FuzzPattern: whatever a pattern, a user's name and a sender are, a pattern
// without a star lets in one domain at most, and a name is never a pattern.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*", "{user}", "@example.com", "@*.example.com", "{user}+x@example.com", `"{user}"@example.com`, "a*@b.example"} {
		f.Add(s, "ann", "ann@example.com")
		f.Add(s, "*", "*@example.com")
		f.Add(s, "@evil.example", "x@evil.example")
	}
	f.Fuzz(func(t *testing.T, text, user, sender string) {
		p, err := parsePattern(text)
		m, bad := appliance.ParseMailbox(sender)
		if err != nil || bad != nil || m.IsNull() || !p.match(m, user) {
			return
		}
		ok := true
		switch p.kind {
		case anyone:
			ok = text == "*"
		case domain, address, userAt:
			ok = m.Domain == p.domain && !strings.HasPrefix(p.domain, "*")
		case subdomain:
			ok = strings.HasSuffix(m.Domain, "."+p.domain) && len(m.Domain) > len(p.domain)+1
		case userOnly:
			ok = strings.EqualFold(m.Local, user[:max(strings.LastIndexByte(user, '@'), 0)]) || strings.HasPrefix(user, `"`)
		}
		if !ok {
			t.Errorf("%q of user %q matches %q", text, user, sender)
		}
		if p.kind == userAt && !strings.Contains(strings.ToLower(m.Local), strings.ToLower(user)) {
			t.Errorf("%q of user %q matches %q, which does not hold the name", text, user, sender)
		}
	})
}
