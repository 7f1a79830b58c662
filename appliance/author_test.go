package appliance

import (
	"strings"
	"testing"
)

// TestFrom is H3: either it is plain whose message this is, or it is an error.
func TestFrom(t *testing.T) {
	for _, c := range []struct{ name, header, want string }{ // want "" is an error
		{"bare", "From: a@b.example\r\n", "a@b.example"},
		{"with a name", "From: Some One <a@B.example>\r\n", "a@b.example"},
		{"quoted name", "From: \"Doe, J. <x@y>: ;\" <a@b.example>\r\n", "a@b.example"},
		{"comments", "From: a@b.example (Friends: all)\r\n", "a@b.example"},
		{"white space before the colon", "From : a@b.example\r\n", "a@b.example"},
		{"folded", "From:\r\n Some One\r\n\t<a@b.example>\r\n", "a@b.example"},
		{"quoted local part", "From: <\"a@x\"@b.example>\r\n", `"a@x"@b.example`},
		{"colon in a quoted local part", "From: \"a:b\"@b.example\r\n", `"a:b"@b.example`},
		{"address literal", "From: a@[IPv6:2001:db8::1]\r\n", "a@[IPv6:2001:db8::1]"},
		{"several", "From: a@b.example, C <c@d.example>\r\n", "a@b.example c@d.example"},
		{"name in Big5", "From: =?big5?B?pOSk5Q==?= <a@b.example>\r\n", "a@b.example"},
		{"name in ISO-2022-JP", "From: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?x-unknown?q?=00?= <a@b.example>\r\n", "a@b.example"},
		{"empty encoded name", "From: =?utf-8?q??= <a@b.example>\r\n", "a@b.example"},
		{"Latin-1 name", "From: J\xf6rg <a@b.example>\r\n", "a@b.example"},
		{"comments everywhere", "From: (x) A (y\\) z) B (q) < (r) a (s) @ (t) b.example (u) > (v)\r\n", "a@b.example"},
		{"dots in the name", "From: J. R. \"D\" . Doe <a@b.example>\r\n", "a@b.example"},
		{"empty elements", "From: ,, a@b.example, ,c@d.example,\r\n", "a@b.example c@d.example"},
		{"UTF-8 name", "From: Jörg <a@b.example>\r\n", "a@b.example"},
		{"international domain", "From: a@bücher.example\r\n", "a@xn--bcher-kva.example"},

		{"none", "To: a@b.example\r\n", ""},
		{"two", "From: a@b.example\r\nfrom: a@b.example\r\n", ""},
		{"two, one odd", "From: a@b.example\r\nFrom : c@d.example\r\n", ""},
		{"a hundred", strings.Repeat("From: a@b.example\r\n", 100), ""},
		{"empty", "From:\r\n", ""},
		{"null", "From: <>\r\n", ""},
		{"no domain", "From: a\r\n", ""},
		{"group", "From: Friends: a@b.example;\r\n", ""},
		{"group of several", "From: Friends: a@b.example, c@d.example;\r\n", ""},
		{"empty group", "From: Undisclosed:;\r\n", ""},
		{"group after a mailbox", "From: a@b.example, Friends: c@d.example;\r\n", ""},
		{"group behind a trick", "From: <\"x>y\"@b.example>, Friends: c@d.example;\r\n", ""},
		{"obsolete local part", "From: \"a\".b@c.example\r\n", ""},
		{"words before @", "From: a b@c.example\r\n", ""},
		{"postmaster alone", "From: postmaster\r\n", ""},
		{"postmaster alone in brackets", "From: <postmaster>\r\n", ""},
		{"unclosed comment", "From: (a@b.example\r\n", ""},
		{"unclosed comment behind an address", "From: a@b.example (\r\n", ""},
		{"address in an unclosed comment", "From: a@b.example (, c@d.example\r\n", ""},
		{"unclosed comment in a comment", "From: a@b.example ((x), c@d.example\r\n", ""},
		{"unclosed quotes", "From: \"a@b.example\r\n", ""},
		{"unclosed literal", "From: a@[192.0.2.1\r\n", ""},
		{"domain in pieces", "From: a@b example\r\n", ""},
		{"domain and literal", "From: a@b[192.0.2.1]\r\n", ""},
		{"backslash", "From: a\\@b@c.example\r\n", ""},
		{"NUL", "From: a@x\x00@y.example\r\n", ""},
		{"two @", "From: a@x@y.example\r\n", ""},
		{"source route", "From: <@x.example:a@y.example>\r\n", ""},
		{"encoded address", "From: =?utf-8?q?a=40b.example?=\r\n", ""},
		{"encoded word in the address", "From: <=?utf-8?q?a?=@b.example@c>\r\n", ""},
		{"unclosed", "From: A <a@b.example\r\n", ""},
		{"two addresses without a comma", "From: <a@b.example> <c@d.example>\r\n", ""},
		{"text after the address", "From: <a@b.example> junk\r\n", ""},
		{"bare IP", "From: a@127.0.0.1\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := ParseHeader([]byte(c.header))
			if err != nil {
				t.Fatal(err)
			}
			list, err := h.From()
			var got []string
			for _, m := range list {
				got = append(got, m.String())
			}
			if strings.Join(got, " ") != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// FuzzFrom: whatever a list of addresses looks like, it is read in linear
// time, and each address that is told has a form that is one.
func FuzzFrom(f *testing.F) {
	for _, s := range []string{
		"a@b", "A <a@b>", "\"x\" <\"y z\"@b>, c@d", "g: a@b;", "(c(d)) a (e) @ b", "a@[IPv6:::1]", "<@r:a@b>", "=?utf-8?q??= <a@b>", "\\", "\"\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseMailboxList(s)
		if err == nil && len(list) == 0 {
			t.Fatalf("%q is a list of nothing", s)
		}
		for _, m := range list {
			if again, err := parseMailboxList("A <" + m.String() + ">"); err != nil || len(again) != 1 || again[0] != m {
				t.Fatalf("%q holds %#v, which is read as %v, %v", s, m, again, err)
			}
		}
	})
}
