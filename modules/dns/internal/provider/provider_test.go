package provider

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"pgregory.net/rapid"
)

func TestComplete(t *testing.T) {
	cases := []struct{ zone, name, want string }{
		{"example.com.", "www", "www.example.com."},
		{"example.com", "www", "www.example.com."},
		{"Example.COM.", "_Acme-Challenge.Mail", "_acme-challenge.mail.example.com."},
		{"example.com.", "@", "example.com."},
		{"example.com.", "www.example.com.", "www.example.com."},
		{"example.com.", "*.x", "*.x.example.com."},
		{"example.com.", "www.example.net", "www.example.net.example.com."},
	}
	for _, c := range cases {
		got, err := Complete(c.zone, []libdns.Record{libdns.RR{Name: c.name, Type: "txt", Data: "x"}})
		if err != nil || got[0].FQDN != c.want || got[0].Type != "TXT" {
			t.Errorf("%s in %s: %+v, %v", c.name, c.zone, got, err)
		}
		if err == nil && libdns.AbsoluteName(got[0].Name, "example.com.") != c.want {
			t.Errorf("%s in %s: relative name %q", c.name, c.zone, got[0].Name)
		}
	}
}

func TestCompleteRefuses(t *testing.T) {
	txt := func(name string) libdns.RR { return libdns.RR{Name: name, Type: "TXT", Data: "x"} }
	cases := []struct {
		zone string
		rec  libdns.RR
		want string
	}{
		{"", txt("a"), "zone"},
		{"exa mple.com.", txt("a"), "no place in a name"},
		{"example.com.", txt(""), "without a name"},
		{"example.com.", txt("www.example.net."), "not in the zone example.com."},
		{"example.com.", txt("evilexample.com."), "not in the zone"},
		{"example.com.", txt("a..b"), "label of 0 octets"},
		{"example.com.", txt("a\nb"), "no place in a name"},
		{"example.com.", txt("a/../b"), "no place in a name"},
		{"example.com.", txt(strings.Repeat("a", 64)), "label of 64 octets"},
		{"example.com.", txt(strings.Repeat("a.", 130) + "a"), "octets"},
		{"example.com.", libdns.RR{Name: "a", Type: "T XT", Data: "x"}, "type"},
		{"example.com.", libdns.RR{Name: "a", Type: "CNAME", Data: "x\n$INCLUDE /etc/passwd"}, "not text"},
		{"example.com.", libdns.RR{Name: "a", Type: "TXT", Data: strings.Repeat("x", 1<<20)}, "octets"},
		{"example.com.", libdns.RR{Name: "a", Type: "TXT", Data: "x", TTL: -time.Second}, "TTL"},
		{"example.com.", libdns.RR{Name: "a", Data: "x"}, "without a type"},
		{"example.com.", libdns.RR{Name: "a", Type: "TXT"}, "without a value"},
	}
	for _, c := range cases {
		if _, err := Added(c.zone, []libdns.Record{c.rec}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q in %q: %v, want %q", c.rec.Name, c.zone, err, c.want)
		}
	}
	if _, err := Added("example.com.", make([]libdns.Record, maxRecords+1)); err == nil {
		t.Error("too many records are taken")
	}
}

func TestMatches(t *testing.T) {
	have := Record{libdns.RR{Type: "TXT", Data: "x", TTL: time.Minute}, "a.example."}
	for _, c := range []struct {
		want Record
		ok   bool
	}{
		{have, true},
		{Record{libdns.RR{}, "a.example."}, true},
		{Record{libdns.RR{Type: "TXT", Data: "x"}, "a.example."}, true},
		{Record{libdns.RR{Type: "TXT", Data: "y"}, "a.example."}, false},
		{Record{libdns.RR{Type: "A"}, "a.example."}, false},
		{Record{libdns.RR{Data: "x"}, "a.example."}, true},
		{Record{libdns.RR{Data: "X"}, "a.example."}, false},
		{Record{libdns.RR{TTL: time.Hour}, "a.example."}, false},
		{Record{libdns.RR{}, "b.example."}, false},
	} {
		if c.want.Matches(have) != c.ok {
			t.Errorf("%+v: want %v", c.want, c.ok)
		}
	}
}

func TestEqual(t *testing.T) {
	rr := func(kind, data string) Record { return Record{libdns.RR{Type: kind, Data: data}, "a.example."} }
	for _, c := range []struct {
		a, b Record
		same bool
	}{
		{rr("CNAME", "Mail.example."), rr("CNAME", "mail.example"), true},
		{rr("MX", "10  mail.example."), rr("MX", "10 mail.example"), true},
		{rr("MX", "10 mail.example."), rr("MX", "20 mail.example"), false},
		{rr("TXT", "Case."), rr("TXT", "case"), false},
		{rr("TXT", "x"), rr("SPF", "x"), false},
	} {
		if c.a.Equal(c.b) != c.same || c.a.Matches(c.b) != c.same {
			t.Errorf("%+v and %+v: want %v", c.a, c.b, c.same)
		}
	}
}

func TestQuote(t *testing.T) {
	long := strings.Repeat("k", 255)
	for value, want := range map[string]string{
		"plain":       `"plain"`,
		`a "b" \c`:    `"a \"b\" \\c"`,
		"del\x7f":     `"del\127"`,
		"":            `""`,
		long + "rest": `"` + long + `" "rest"`,
	} {
		if got := Quote(value); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "value"))
		back, err := Unquote(Quote(value))
		if err != nil || back != value {
			t.Fatalf("%q became %q, %v", value, back, err)
		}
	})
}

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{`bare`: "bare", `a\b`: `a\b`, `"a"  "b"`: "ab", `"a"`: "a", `"\999"`: "999", ` "x" `: "x"} {
		if got, err := Unquote(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"a`, `"a" b`, `"a\"`} {
		if got, err := Unquote(text); err == nil {
			t.Errorf("%s is read as %q", text, got)
		}
	}
}

func TestSaid(t *testing.T) {
	for text, want := range map[string]string{
		"first\nsecond":      "first",
		"\r\n  first\r\nsec": "first",
		"a\x1b[31m\u202eb":   "a?[31m?b",
		"key hunter2, sorry": "key (secret), sorry",
		"bad \xff byte":      "bad ? byte",
	} {
		if got := Said(text, "hunter2", ""); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := Said(strings.Repeat("é", 1<<20)); len(got) > maxSaid+len("…") {
		t.Errorf("%d octets", len(got))
	}
}

func TestBound(t *testing.T) {
	ctx, cancel := (&Settings{Timeout: time.Nanosecond}).Bound(t.Context())
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 1ns") {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	s := Defaults()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []time.Duration{0, -1, time.Hour} {
		if err := (&Settings{Timeout: bad}).Validate(); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestP19Strike: nothing of a secret is left, whatever else is one.
func TestP19Strike(t *testing.T) {
	for _, c := range []struct {
		text    string
		cut     bool
		secrets []string
		want    string
	}{
		{"token abcdefgh", false, []string{"abcdef", "abcdefgh", ""}, "token (secret)"},
		{"token abcd", true, []string{"abcdef"}, "token "},
		{"token abcd", false, []string{"abcdef"}, "token abcd"},
		{"abcdef, abcdef", true, []string{"abcdef"}, "(secret), (secret)"},
		{"x ab", true, []string{"b1", "ab1", "1"}, "x "},
		{"aaa", true, []string{"aa"}, "(secret)"},
		{"", true, []string{"a"}, ""},
	} {
		if got := Strike(c.text, c.cut, c.secrets...); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	// Seven times the secret and a part of it, within what is looked at.
	secret := strings.Repeat("s3cret", 75)
	if got := Said(strings.Repeat(secret, 8), secret); strings.Contains(got, "s3cret") {
		t.Errorf("%q", got)
	}
}
