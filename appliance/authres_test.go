package appliance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuthenticationResults is H1: the field says what the checks found, and
// nothing a stranger put into it can be read as a result. The golden file is
// what the field looks like.
func TestAuthenticationResults(t *testing.T) {
	f := authenticationResults("mx.example.org", []AuthResult{
		{Method: "spf", Value: "pass", Props: []string{"smtp.mailfrom=bounce@example.net", "smtp.helo=mail.example.net"}},
		{Method: "dkim", Value: "pass", Reason: `2048-bit key, "relaxed"`, Props: []string{"header.d=example.net", "header.i=@example.net", "header.s=s1", "header.b=bm90aGlu/+"}},
		{Method: "dmarc", Value: "fail", Reason: "evil\"; dkim=pass header.d=bank.example\r\nX: y", Props: []string{"header.from=example.net", "policy.dmarc=reject"}},
		{Method: "spf", Value: "fail; dkim=pass", Props: []string{
			`smtp.mailfrom="x; dkim=pass header.d=bank.example"@evil.example`,
			"smtp.helo=a; dkim=pass",
			"smtp.helo=a\r\n dkim=pass (",
			"evil prop; dkim=pass",
			"policy.iprev=2001:db8::1",
			"smtp.mailfrom=",
		}},
	})
	checkOneField(t, f, string(f.Raw))
	path := filepath.Join("testdata", "authentication-results.golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, f.Raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(f.Raw) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", f.Raw, want)
	}
	if got := methods(f.Value()); strings.Join(got, " ") != "spf dkim dmarc spf" {
		t.Errorf("a reader sees results of %q", got)
	}
}

// methods reads the field as a consumer would: what stands after a semicolon
// outside of quoted strings and comments begins a result.
func methods(value string) (all []string) {
	depth, quoted, start := 0, false, -1
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ';' && depth == 0:
			start = i + 1
		case c == '=' && depth == 0 && start >= 0:
			all = append(all, strings.TrimSpace(value[start:i]))
			start = -1
		}
	}
	return all
}

// TestClaimsServID is H2: results that claim to be ours are found in any
// spelling, and those of others are left alone.
func TestClaimsServID(t *testing.T) {
	const ours, foreign = true, false
	for value, want := range map[string]bool{
		"mx.example.org; dkim=pass":                 ours,
		"MX.Example.ORG; dkim=pass":                 ours,
		"mx.example.org. ; dkim=pass":               ours,
		"  mx.example.org\t1; dkim=pass":            ours,
		"mx.example.org":                            ours,
		"mx.example.org(c); dkim=pass":              ours,
		`(a (b) \) c) (d)	mx.example.org; none`:     ours,
		`"mx.example.org"; dkim=pass`:               ours,
		`"mx\.example.\org"; dkim=pass`:             ours,
		`"mx.example.org" 1 (x) ; dkim=pass`:        ours,
		"ｍｘ.example.org; dkim=pass":                 ours,
		"mx.example.org.evil.example; dkim=pass":    foreign,
		"other.example.org; dkim=pass":              foreign,
		"example.org; smtp.mailfrom=mx.example.org": foreign,
		"": foreign, "(mx.example.org); x": foreign, "(": foreign, `"`: foreign, ";": foreign,
	} {
		if got := claimsServID(value, "mx.example.org"); got != want {
			t.Errorf("claimsServID(%q) = %v", value, got)
		}
	}
	if !claimsServID("xn--bcher-kva.example; dkim=pass", "bücher.example") {
		t.Error("the A-label of our own name is taken for another name")
	}
}
