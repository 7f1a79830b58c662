package appliance

import (
	"cmp"
	"strings"
	"testing"
)

// TestParseMailbox is C11: a strict grammar, one canonical form.
func TestParseMailbox(t *testing.T) {
	local64 := strings.Repeat("l", 64)
	label63 := strings.Repeat("d", 63)
	for _, c := range []struct {
		in     string
		local  string
		domain string
		out    string // "" is the same as in
	}{
		{in: "a@b", local: "a", domain: "b"},
		{in: "User.Name+tag@Example.ORG", local: "User.Name+tag", domain: "example.org", out: "User.Name+tag@example.org"},
		{in: "!#$%&'*+-/=?^_`{|}~@example.org", local: "!#$%&'*+-/=?^_`{|}~", domain: "example.org"},
		{in: `"quoted sp"@us.example`, local: "quoted sp", domain: "us.example"},
		{in: `"u@th.example"@us.example`, local: "u@th.example", domain: "us.example"},
		{in: `"a\"b\\c"@us.example`, local: `a"b\c`, domain: "us.example"},
		{in: `"needs\ none"@us.example`, local: "needs none", domain: "us.example", out: `"needs none"@us.example`},
		{in: `"plain"@us.example`, local: "plain", domain: "us.example", out: "plain@us.example"},
		{in: `"a..b"@us.example`, local: "a..b", domain: "us.example"},
		{in: `".a"@us.example`, local: ".a", domain: "us.example"},
		{in: `" "@us.example`, local: " ", domain: "us.example"},
		{in: "u@[127.0.0.1]", local: "u", domain: "[127.0.0.1]"},
		{in: "u@[IPv6:::1]", local: "u", domain: "[IPv6:::1]"},
		{in: "u@[ipv6:2001:DB8:0::1]", local: "u", domain: "[IPv6:2001:db8::1]", out: "u@[IPv6:2001:db8::1]"},
		{in: "u@x_y.example", local: "u", domain: "x_y.example"},
		{in: "u@1and1.com", local: "u", domain: "1and1.com"},
		{in: "u@123.example", local: "u", domain: "123.example"},
		// The same domain in all its spellings.
		{in: "u@BÜCHER.example", local: "u", domain: "xn--bcher-kva.example", out: "u@xn--bcher-kva.example"},
		{in: "u@bu\u0308cher.example", local: "u", domain: "xn--bcher-kva.example", out: "u@xn--bcher-kva.example"},
		{in: "u@XN--BCHER-KVA.example", local: "u", domain: "xn--bcher-kva.example", out: "u@xn--bcher-kva.example"},
		{in: "u@ｕｓ。example", local: "u", domain: "us.example", out: "u@us.example"},
		{in: "jörg@example.org", local: "jörg", domain: "example.org"},
		{in: "Postmaster", local: "postmaster", out: "postmaster"},
		{in: "POSTMASTER@us.example", local: "POSTMASTER", domain: "us.example"},
		{in: local64 + "@b", local: local64, domain: "b"},
		{in: "u@" + label63 + ".example", local: "u", domain: label63 + ".example"},
		// Percent and bang mean nothing here: they are letters of a local part.
		{in: "u%th.example@us.example", local: "u%th.example", domain: "us.example"},
		{in: "th.example!u@us.example", local: "th.example!u", domain: "us.example"},
	} {
		m, err := ParseMailbox(c.in)
		if err != nil {
			t.Errorf("ParseMailbox(%q): %v", c.in, err)
			continue
		}
		if want := (Mailbox{c.local, c.domain}); m != want {
			t.Errorf("ParseMailbox(%q) = %#v, want %#v", c.in, m, want)
		}
		if want := cmp.Or(c.out, c.in); m.String() != want {
			t.Errorf("ParseMailbox(%q).String() = %q, want %q", c.in, m, want)
		}
	}
}

// TestParseMailboxRefuses is C11 and 2.4: what is no mailbox of RFC 5321 is
// refused before anybody can route it.
func TestParseMailboxRefuses(t *testing.T) {
	label := strings.Repeat("d", 63)
	for _, in := range []string{
		"", "@", "a", "a@", "@b", "a@b@c", "u@th@us", "u@us@th", "u@th@[192.0.2.1]", "@us:u@th", "@us,@x:u@th",
		"@[192.0.2.1]:u@th", "<a@b>", "<a@b", "a@b>", "<a@b>junk", "<u@th>,<u@us>", "a@b c", " a@b", "a@b ", "a b@c",
		"a..b@c", ".a@c", "a.@c", "a@.c", "a@c.", "a@c..d", "a@-c", "a@c-", "a@c-.d",
		"u@us:2025", "u@us/x", "u@th%us", "u@th (comment)", "(c)u@th", "u(c)@th", "u@th!us",
		"u@127.0.0.1", "u@127.1", "u@2130706433", "u@0x7f000001", "u@0X7F000001", "u@0x7f.1", "u@x.0x7f", "u@0x", "u@us.123",
		"u@[127.0.0.1", "u@127.0.0.1]", "u@[]", "u@[127.0.0.01]", "u@[::1]", "u@[IPv6:127.0.0.1]", "u@[IPv6:fe80::1%eth0]",
		"u@[tag:x]", "u@[127.0.0.1]x", "u@[127.0.0.1].example",
		`""@us`, `"@us`, `"a"`, `"a" @us`, `"a"b@us`, `a"b"@us`, `"a@us`, `"a\`, `"a\"@us`, "\"a\\\x01\"@us", "\"a\\ü\"@us",
		"u@us\x00@th", "u\x00@th", "u@th\x00", "u\r\n@th", "u@th\r\n", "\"a\r\nb\"@us", "\"a\x00\"@us", "\"a\x7f\"@us", "u\t@us",
		"u@a\x01b", "u＠us.example", "u＠th@", "u@us＠th", "u@exa\u00a0mple.org", "u@\u202eexample.org", "u\u202e@example.org",
		"u\u2028@example.org", "u\u0085@example.org", "u\xff@example.org", "u@\xff.example",
		strings.Repeat("l", 65) + "@b",
		"u@" + label + "d.example",
		"u@" + strings.Repeat(label+".", 3) + strings.Repeat("d", 61), // 254 octets, with "u@" 256
		"u@" + strings.Repeat("d.", 128) + "d",
		"u@" + strings.Repeat("ü.", 85) + "x", // within 255 octets only as U-labels
		strings.Repeat("a", 1<<20),
	} {
		if m, err := ParseMailbox(in); err == nil {
			t.Errorf("ParseMailbox(%.60q) = %#v, want an error", in, m)
		} else if len(err.Error()) > 500 || hasControl(err.Error()) {
			t.Errorf("ParseMailbox(%.60q): an error nobody can print: %.200q", in, err)
		}
	}
}

func hasControl(s string) bool { return strings.ContainsFunc(s, IsControl) }

func TestMailboxLimit(t *testing.T) {
	label := strings.Repeat("d", 63) + "."
	domain := strings.Repeat(label, 3) + strings.Repeat("d", 60) // 252 octets
	if _, err := ParseMailbox("u@" + domain); err != nil {
		t.Errorf("254 octets: %v", err)
	}
	if _, err := ParseMailbox("uu@" + domain); err == nil {
		t.Error("255 octets are accepted")
	}
}

func TestMailboxForms(t *testing.T) {
	var null Mailbox
	if !null.IsNull() || null.String() != "" || null.Path() != "<>" {
		t.Errorf("the null reverse-path is %q, %q", null.String(), null.Path())
	}
	if m := (Mailbox{"jörg", "example.org"}); m.IsASCII() || !(Mailbox{"j", "example.org"}).IsASCII() {
		t.Error("IsASCII is wrong")
	}
	for in, want := range map[string]string{
		"u@[192.0.2.1]": "192.0.2.1", "u@[IPv6:2001:db8::1]": "2001:db8::1", "u@example.org": "",
	} {
		m, err := ParseMailbox(in)
		if err != nil {
			t.Fatal(err)
		}
		if ip, ok := m.Literal(); ok != (want != "") || ok && ip.String() != want {
			t.Errorf("Literal of %s is %v, %v", in, ip, ok)
		}
	}
}

func TestMailboxText(t *testing.T) {
	for _, m := range []Mailbox{{}, {"postmaster", ""}, {"a b", "example.org"}, {"u", "[192.0.2.1]"}} {
		text, err := m.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		again := Mailbox{"other", "other"}
		if err := again.UnmarshalText(text); err != nil || again != m {
			t.Errorf("%#v became %q and %#v: %v", m, text, again, err)
		}
	}
	if err := new(Mailbox).UnmarshalText([]byte("a@b@c")); err == nil {
		t.Error("a@b@c is accepted")
	}
}

// FuzzParseMailbox: what is accepted has one form, which parses to the same
// mailbox and holds nothing that could end a line (H1).
func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{
		"a@b", `"a b"@c`, `"a\"\\"@c`, "u@[IPv6:::1]", "u@bücher.example", "jörg@x", "postmaster", "u@us\x00@th",
		"@r:u@d", `"u@th"@us`, "u@0x7f.1", "\"a\r\n\"@b", "u@ｕｓ。example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMailbox(s)
		if err != nil {
			if hasControl(err.Error()) {
				t.Fatalf("error of %q: %q", s, err)
			}
			return
		}
		text := m.String()
		if hasControl(text) || len(text) > maxMailbox || !isASCII(m.Domain) {
			t.Fatalf("%q became %q", s, text)
		}
		again, err := ParseMailbox(text)
		if err != nil || again != m {
			t.Fatalf("%q became %#v, and again %#v: %v", s, m, again, err)
		}
	})
}

// FuzzParseDomain: the canonical form is canonical, ASCII and safe wherever a
// domain is written.
func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{
		"example.org", "EXAMPLE.org.", "bücher.example", "xn--bcher-kva.example", "xn--a", "[192.0.2.1]", "[IPv6:::ffff:127.0.0.1]",
		"0x7f.1", "1.2.3.4", "a..b", "-a.b", "faß.de", "ｕｓ。example", "a\u200db.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDomain(s)
		if err != nil {
			return
		}
		again, err := ParseDomain(d)
		if err != nil || again != d {
			t.Fatalf("%q became %q, and again %q: %v", s, d, again, err)
		}
		if len(d) > maxDomain || strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789-_.[]:IP") != "" {
			t.Fatalf("%q became %q", s, d)
		}
	})
}
