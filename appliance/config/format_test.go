package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"aligned", "a=1\nlong =   2\n", "a    = 1\nlong = 2\n"},
		{"one item stays on its line", "log { level=\"info\" }\n", "log { level = \"info\" }\n"},
		{"several do not", "log { level=\"info\"  format = \"json\" } # why\n", "log {\n  level  = \"info\"\n  format = \"json\"\n} # why\n"},
		{
			"blocks within", "auth \"static\" \"a\" { user \"x\" { password = env(\"X\") } user \"y\" { password = \"a b = c\" } }\n",
			"auth \"static\" \"a\" {\n  user \"x\" { password = env(\"X\") }\n  user \"y\" { password = \"a b = c\" }\n}\n",
		},
		{
			"objects and lists stay", "check \"senders\" \"own\" { allow = { a = [\"b\"], \"*\" = [\"c\"] }  limit = 1 }\n",
			"check \"senders\" \"own\" {\n  allow = { a = [\"b\"], \"*\" = [\"c\"] }\n  limit = 1\n}\n",
		},
		{"tabs", "log {\tlevel = \"info\"\tformat = \"json\"\t}\n", "log {\n  level  = \"info\"\n  format = \"json\"\n}\n"},
		{"heredocs stay", "hostname = <<E\n  a   b  \n\tc\nE\n", "hostname = <<E\n  a   b  \n\tc\nE\n"},
		{"empty", "relay \"mx\" \"x\" {   }\n", "relay \"mx\" \"x\" {}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ds := Format("mail.hcl", []byte(c.in))
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			if diff := cmp.Diff(c.out, string(got)); diff != "" {
				t.Error(diff)
			}
			again, _ := Format("mail.hcl", got)
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("not at rest: %s", diff)
			}
		})
	}
	if out, ds := Format("mail.hcl", []byte("password = \"marker\" x\n")); out != nil || !ds.HasErrors() || strings.Contains(ds.Error(), "marker") {
		t.Errorf("%q, %v", out, ds)
	}
}

// Spreading changes no offset and nothing but spaces.
func TestSpread(t *testing.T) {
	for in, want := range map[string]string{
		`log { a = 1 b = 2 }`:                 "log {\na = 1\nb = 2\n}",
		`log { a = 1 }`:                       `log { a = 1 }`,
		`log {a = 1 b = 2}`:                   `log {a = 1 b = 2}`,
		`log { a = { b = 1, c = 2 } }`:        `log { a = { b = 1, c = 2 } }`,
		`log { a = x == y ? "b = 1" : 2 }`:    `log { a = x == y ? "b = 1" : 2 }`,
		`x { y { a = 1 b = 2 } }`:             "x {\ny {\na = 1\nb = 2\n}\n}",
		`x { y {} z "a" {} }`:                 "x {\ny {}\nz \"a\" {}\n}",
		"x {\n a = 1 b = 2 }":                 "x {\n a = 1 b = 2 }",
		`x { a = "${ { b = 1 }.b }" c = 3 }`:  "x {\na = \"${ { b = 1 }.b }\"\nc = 3\n}",
		`x { a = 1 /* c = 2 */ b = 2 }`:       "x {\na = 1 /* c = 2 */\nb = 2\n}",
		`} } x { a = 1 b = 2`:                 `} } x { a = 1 b = 2`,
		`a = 1 b = 2`:                         `a = 1 b = 2`,
		"x { a = [\n1,\n2 ] b = 2 }":          "x { a = [\n1,\n2 ] b = 2 }",
		`x { listeners = [a.b] relay = c.d }`: "x {\nlisteners = [a.b]\nrelay = c.d\n}",
	} {
		tokens, _ := hclsyntax.LexConfig([]byte(in), "", hcl.InitialPos)
		if got := string(spread([]byte(in), tokens)); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}
