package cmd_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// TestP19Places: every attribute that takes a secret has a mark in one of the
// configurations above. Who adds a place for a secret adds a mark.
func TestP19Places(t *testing.T) {
	r := newSecretRun(t)
	planted := places(r.text)
	for _, s := range dnsSecrets {
		planted = append(planted, places("dns \""+strings.TrimSuffix(s.name, "basic")+"\" \"x\" {"+s.block+"\n}\n")...)
	}
	known := secretsOf("", config.DescribeSettings())
	for _, m := range appliance.Builtin.All() {
		known = append(known, secretsOf(string(m.Kind)+"."+m.Name+" ", config.Describe(m))...)
	}
	if len(known) < 10 {
		t.Errorf("only %d attributes are known to be secret: %q", len(known), known)
	}
	for _, place := range known {
		if !slices.Contains(planted, place) {
			t.Errorf("no test puts a mark into %q; those with marks are %q", place, planted)
		}
	}
}

// secretsOf lists the attributes of type secret: "auth.static user password".
func secretsOf(under string, list []config.Attribute) (all []string) {
	for _, a := range list {
		switch a.Type {
		case "secret", "list of secrets":
			all = append(all, under+a.Name)
		case "block":
			all = append(all, secretsOf(under+a.Name+" ", a.Block)...)
		}
	}
	return all
}

var (
	opened   = regexp.MustCompile(`^\s*(\w+)(?: "(\w+)")?(?: "(\w+)")? \{`)
	assigned = regexp.MustCompile(`(\w+) += (?:\[?"[^"]*MARK|env\("MARK|file\(|env\("MARK)`)
)

// places lists where a file, laid out as usual, has marks.
func places(text string) (all []string) {
	var in []string
	for line := range strings.Lines(text) {
		if m := opened.FindStringSubmatch(line); m != nil {
			name := m[1]
			if m[3] != "" {
				name += "." + m[2]
			}
			in = append(in, name)
		}
		if m := assigned.FindStringSubmatch(line); m != nil {
			all = append(all, strings.Join(append(slices.Clone(in), m[1]), " "))
		}
		if len(in) > 0 && strings.HasSuffix(strings.TrimSpace(line), "}") {
			in = in[:len(in)-1]
		}
	}
	return all
}
