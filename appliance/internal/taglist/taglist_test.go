package taglist

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Tag{
		"v=DKIM1; p=abc":            {{"v", "DKIM1"}, {"p", "abc"}},
		" v = DKIM1 ;\r\n\tp=a b ;": {{"v", "DKIM1"}, {"p", "a b"}},
		"v=DKIM1;p=;":               {{"v", "DKIM1"}, {"p", ""}},
		"p=a==":                     {{"p", "a=="}},
		"V=1; v=2":                  {{"V", "1"}, {"v", "2"}},
		"a_1=x":                     {{"a_1", "x"}},
		"n=grün":                    {{"n", "grün"}},
		"":                          nil,
	} {
		got, err := Parse(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseInvalid(t *testing.T) {
	for text, want := range map[string]string{
		"v=DKIM1; v=DKIM1":         "v= is there twice",
		"v=DKIM1;; p=":             "nothing between two semicolons",
		"v=DKIM1; p":               `"p" is no tag`,
		"=x":                       `"" is not the name of a tag`,
		"1a=x":                     `"1a" is not the name of a tag`,
		"a-b=x":                    `"a-b" is not the name of a tag`,
		"n=a\x00b":                 "control character in n=",
		strings.Repeat("x", 70000): "70000 octets",
	} {
		got, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %q, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzParse: what is read can be written, and is then read as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"v=DKIM1; k=rsa; p=MIG f\r\n\t==;", "v=DMARC1;p=none;rua=mailto:a@b.test!10m,mailto:c@d.test", ";", "a=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := Parse(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, tag := range tags {
			b.WriteString(tag.Name + "=" + tag.Value + ";")
		}
		again, err := Parse(b.String())
		if err != nil || !slices.Equal(again, tags) {
			t.Errorf("%q is %q, which is %q, %v", text, tags, again, err)
		}
	})
}
