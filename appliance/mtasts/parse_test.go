package mtasts

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecords(t *testing.T) {
	for _, tc := range []struct {
		texts []string
		id    string
		err   error
	}{
		{[]string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z", nil},
		{[]string{"v=STSv1;id=1"}, "1", nil},
		{[]string{"v=STSv1 ; \t id=1 ;"}, "1", nil},
		{[]string{"v=STSv1; a.b-c_d=!x; id=1"}, "1", nil},
		{[]string{"v=STSv1; id=1; id=2"}, "1", nil},
		{[]string{"v=spf1 -all", "v=STSv1; id=1", "v=STSv10; id=2"}, "1", nil},
		{nil, "", ErrNoRecord},
		{[]string{"v=spf1 -all"}, "", ErrNoRecord},
		{[]string{"V=STSv1; id=1"}, "", ErrNoRecord},
		{[]string{"id=1; v=STSv1"}, "", ErrNoRecord},
		{[]string{"v=STSv1"}, "", ErrNoRecord},
		{[]string{" v=STSv1; id=1"}, "", ErrNoRecord},
		{[]string{"v=STSv1; id=1", "v=STSv1; id=1"}, "", ErrRecord},
		{[]string{"v=STSv1;"}, "", ErrRecord},
		{[]string{"v=STSv1; id="}, "", ErrRecord},
		{[]string{"v=STSv1; id=a-b"}, "", ErrRecord},
		{[]string{"v=STSv1; id=" + strings.Repeat("1", 33)}, "", ErrRecord},
		{[]string{"v=STSv1; ; id=1"}, "", ErrRecord},
		{[]string{"v=STSv1; id=1; x"}, "", ErrRecord},
		{[]string{"v=STSv1; id=1; _x=1"}, "", ErrRecord},
		{[]string{"v=STSv1; id=1; x=a b"}, "", ErrRecord},
		{[]string{"v=STSv1; id=1; x=a=b"}, "", ErrRecord},
		{[]string{"v=STSv1; id=1; x=\x00"}, "", ErrRecord},
	} {
		id, err := ParseRecords(tc.texts)
		if id != tc.id || !errors.Is(err, tc.err) {
			t.Errorf("%q: %q, %v; want %q, %v", tc.texts, id, err, tc.id, tc.err)
		}
	}
}

const good = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmx: *.Example.NET\r\nmax_age: 604800\r\n"

func TestParsePolicy(t *testing.T) {
	want := &Policy{Mode: Enforce, MaxAge: 7 * 24 * time.Hour, MX: []string{"mx.example.org", "*.example.net"}}
	for name, text := range map[string]string{
		"CRLF":                    good,
		"LF":                      strings.ReplaceAll(good, "\r\n", "\n"),
		"without a final newline": strings.TrimSpace(good),
		"empty lines at the end":  good + "\r\n \n",
		"white space":             strings.ReplaceAll(strings.ReplaceAll(good, ": ", ":\t "), "\r", " \r"),
		"no white space":          strings.ReplaceAll(good, ": ", ":"),
		"another order":           "max_age: 604800\nmx: mx.example.org\nmode: enforce\nmx: *.example.net\nversion: STSv1\n",
		"unknown keys":            good + "x-y.z_0: ö\nmode2: b: c\n",
		"the first of two counts": good + "mode: none\nversion: STSv2\nmax_age: x\n",
	} {
		got, err := ParsePolicy(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if p, err := ParsePolicy("version: STSv1\nmode: none\nmax_age: 9999999999\n"); err != nil || p.Mode != None || p.MaxAge != maxAge*time.Second {
		t.Errorf("mode none: %v, %v", p, err)
	}
	if p, err := ParsePolicy(strings.Replace(good, "604800", "0", 1)); err != nil || p.MaxAge != 0 {
		t.Errorf("max_age 0: %v, %v", p, err)
	}
}

func TestParsePolicyMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"empty":               "",
		"a page":              "<!DOCTYPE html>\n<html></html>\n",
		"no version":          strings.Replace(good, "version: STSv1\r\n", "", 1),
		"version in capitals": strings.Replace(good, "STSv1", "STSV1", 1),
		"another version":     strings.Replace(good, "STSv1", "STSv2", 1),
		"no mode":             strings.Replace(good, "mode: enforce\r\n", "", 1),
		"unknown mode":        strings.Replace(good, "enforce", "report", 1),
		"mode in capitals":    strings.Replace(good, "enforce", "Enforce", 1),
		"no mx":               "version: STSv1\nmode: enforce\nmax_age: 1\n",
		"no mx for testing":   "version: STSv1\nmode: testing\nmax_age: 1\n",
		"no max_age":          strings.Replace(good, "max_age", "max-age", 1),
		"negative max_age":    strings.Replace(good, "604800", "-1", 1),
		"max_age with a sign": strings.Replace(good, "604800", "+1", 1),
		"max_age in words":    strings.Replace(good, "604800", "1w", 1),
		"long max_age":        strings.Replace(good, "604800", "00000000001", 1),
		"empty line":          strings.Replace(good, "mx:", "\r\nmx:", 1),
		"no colon":            good + "x\n",
		"no value":            good + "x:\n",
		"strange key":         good + "-x: y\n",
		"NUL":                 good + "x: \x00\n",
		"CR alone":            strings.ReplaceAll(good, "\r\n", "\r"),
		"not UTF-8":           good + "x: \xff\n",
		"mx with a dot":       strings.Replace(good, "mx.example.org", "mx.example.org.", 1),
		"mx with a scheme":    strings.Replace(good, "mx.example.org", "https://x", 1),
		"mx of wildcards":     strings.Replace(good, "mx.example.org", "*.*.example.org", 1),
		"mx of a wildcard":    strings.Replace(good, "mx.example.org", "*", 1),
		"mx of part of one":   strings.Replace(good, "mx.example.org", "m*.example.org", 1),
		"mx in UTF-8":         strings.Replace(good, "mx.example.org", "mx.exämple.org", 1),
		"mx too long":         strings.Replace(good, "mx.example.org", strings.Repeat("a.", 127)+"a", 1),
		"label too long":      strings.Replace(good, "mx.example.org", strings.Repeat("a", 64)+".org", 1),
		"too large":           good + strings.Repeat("x: y\n", MaxSize/5),
	} {
		if p, err := ParsePolicy(text); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v, %v; want ErrPolicy", name, p, err)
		}
	}
}

func TestMatches(t *testing.T) {
	p := &Policy{MX: []string{"mx.example.org", "*.example.net"}}
	for host, want := range map[string]bool{
		"mx.example.org": true, "MX.Example.ORG.": true, "a.example.net": true,
		"example.org": false, "a.mx.example.org": false, "mx.example.org.evil.test": false, "evilmx.example.org": false,
		"example.net": false, ".example.net": false, "a.b.example.net": false, "a.example.net.evil.test": false, "evilexample.net": false,
		"*.example.net": true, "": false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// FuzzParse: whatever parses is within its bounds, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(good, "mx.example.org")
	f.Add("version:STSv1\nmode:none\nmax_age:1", "")
	f.Add("v=STSv1; id=1; a=b", ".")
	f.Fuzz(func(t *testing.T, text, host string) {
		if id, err := ParseRecords([]string{text}); err == nil && !isID(id) {
			t.Errorf("id %q", id)
		}
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		p.Matches(host)
		if !p.Sound() {
			t.Errorf("%+v", p)
		}
	})
}
