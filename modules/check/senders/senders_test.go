package senders

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

func provisioned(t *testing.T, s *Senders) *Senders {
	t.Helper()
	if err := errors.Join(s.Validate(), s.Provision(&appliance.Context{})); err != nil {
		t.Fatal(err)
	}
	return s
}

func session(user, trusted string) *appliance.Session {
	s := &appliance.Session{Trusted: trusted}
	if user != "" {
		s.Identity = &appliance.Identity{User: user}
	}
	return s
}

func mailbox(t *testing.T, s string) appliance.Mailbox {
	t.Helper()
	if s == "" {
		return appliance.Mailbox{}
	}
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func code(t *testing.T, s *Senders, at appliance.Stage, tx *appliance.Transaction) int {
	t.Helper()
	v, err := s.Inspect(t.Context(), at, tx)
	if err != nil {
		t.Fatal(err)
	}
	if v.Refuse == nil {
		return 0
	}
	return v.Refuse.Code
}

func TestA10Envelope(t *testing.T) {
	s := provisioned(t, &Senders{
		Allow: map[string][]string{
			"app":             {"@example.com", "@*.news.example.com"},
			"bob":             {"bob@example.org", "Info+{user}@example.org"},
			"amy@example.net": {"{user}"},
			"root":            {"*"},
			"mute":            {},
			"*":               {"{user}@example.com"},
		},
		Trusted: []string{"@bücher.example"},
	})
	for _, c := range []struct {
		user, trusted, from string
		ok                  bool
	}{
		{"app", "", "anyone@example.com", true},
		{"app", "", "anyone@EXAMPLE.com", true},
		{"app", "", "x@sub.example.com", false},
		{"app", "", "x@notexample.com", false},
		{"app", "", "x@example.com.evil.example", false},
		{"app", "", "x@a.news.example.com", true},
		{"app", "", "x@a.b.news.example.com", true},
		{"app", "", "x@news.example.com", false},
		{"app", "", "x@xnews.example.com", false},
		{"bob", "", "bob@example.org", true},
		{"bob", "", "BOB@example.org", true},
		{"bob", "", "info+bob@example.org", true},
		{"bob", "", "info+amy@example.org", false},
		{"bob", "", "bob@example.com", false}, // an entry of one's own replaces "*"
		{"amy@example.net", "", "amy@example.net", true},
		{"amy@example.net", "", "bob@example.net", false},
		{"carol", "", "carol@example.com", true},
		{"carol", "", "Carol@example.com", true},
		{"carol", "", "bob@example.com", false},
		{"root", "", "anyone@anywhere.example", true},
		{"mute", "", "mute@example.com", false},
		{"mute", "", "", true}, // the null reverse-path
		// A9: a name that looks like a pattern is not one.
		{"*", "", "anyone@anywhere.example", false},
		{"@example.com", "", "anyone@example.com", false},
		{"", "10.0.0.0/8", "x@xn--bcher-kva.example", true},
		{"", "10.0.0.0/8", "x@example.com", false},
		{"app", "10.0.0.0/8", "x@xn--bcher-kva.example", false}, // who logs in is a user
		{"", "", "ceo@example.com", true},                       // a stranger is for SPF and DMARC
		{"", appliance.TrustedAdmin, "ceo@example.com", true},   // waxwing send
	} {
		tx := &appliance.Transaction{Session: session(c.user, c.trusted)}
		tx.Envelope.From = mailbox(t, c.from)
		want := 550
		if c.ok {
			want = 0
		}
		if got := code(t, s, appliance.AtSender, tx); got != want {
			t.Errorf("user %q, trusted %q as %q: %d, want %d", c.user, c.trusted, c.from, got, want)
		}
	}
}

func TestA10Header(t *testing.T) {
	s := provisioned(t, &Senders{Allow: map[string][]string{"*": {"{user}@example.com"}}})
	for _, c := range []struct {
		header string
		want   int
	}{
		{"From: a@example.com\r\n", 0},
		{"From: =?utf-8?q?Boss?= <a@example.com>\r\n", 0},
		{"Subject: no From\r\n", 0},
		{"From: b@example.com\r\n", 550},
		{"from : b@example.com\r\n", 550},
		{"From: \"a@example.com\" <b@example.com>\r\n", 550},
		{"From: a@example.com,\r\n b@example.com\r\n", 550},
		{"From: a@example.com\r\nFrom: b@example.com\r\n", 550},
		{"From: a@example.com\r\nFrom: a@example.com\r\n", 550},
		{"From: not an address\r\n", 550},
		{"From: \r\n", 550},
		{"From: a@example.com\x00b@example.com\r\n", 550},
		{"From: a@example.com\r\nSender: a@example.com\r\n", 0},
		{"From: a@example.com\r\nSender: b@example.com\r\n", 550},
		{"From: a@example.com\r\nSender: a@example.com, a@example.com\r\n", 550},
		{"From: a@example.com\r\nSender: a@example.com\r\nSender: b@example.com\r\n", 550},
		{"From: a@example.com\r\nSender: nobody\r\n", 550},
		{"From: a@example.com\r\nReply-To: b@example.com\r\n", 0},
	} {
		h, err := appliance.ReadHeader(bufio.NewReader(bytes.NewReader([]byte(c.header))), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		tx := &appliance.Transaction{Session: session("a", ""), Message: appliance.Message{Header: h}}
		if got := code(t, s, appliance.AtContent, tx); got != c.want {
			t.Errorf("%q: %d, want %d", c.header, got, c.want)
		}
	}
}

// TestReply: the client learns what to do, the log learns who tried what.
func TestReply(t *testing.T) {
	s := provisioned(t, &Senders{Allow: map[string][]string{"app": {"@example.com"}}})
	for _, who := range []*appliance.Session{session("app", ""), session("", "10.0.0.0/8")} {
		tx := &appliance.Transaction{Session: who}
		tx.Envelope.From = mailbox(t, "ceo@example.org")
		v, _ := s.Inspect(t.Context(), appliance.AtSender, tx)
		r := v.Refuse
		if r.Code != 550 || r.Status() != "5.7.1" || !strings.Contains(r.Text, "address of your own") {
			t.Errorf("reply %v", r)
		}
		if strings.Contains(r.Text, "ceo") || !strings.Contains(r.Err.Error(), "ceo@example.org") {
			t.Errorf("text %q, log %q", r.Text, r.Err)
		}
		if name := who.User() + who.Trusted; !strings.Contains(r.Err.Error(), name) {
			t.Errorf("log %q does not say who: %s", r.Err, name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name    string
		senders Senders
		attr    string
		want    string
	}{
		{"nothing", Senders{}, "allow", "nobody could send"},
		{"no address", Senders{Allow: map[string][]string{"a": {"example.com"}}}, "allow", `"@example.com"`},
		{"empty", Senders{Allow: map[string][]string{"a": {""}}}, "allow", "no address"},
		{"wildcard in local part", Senders{Allow: map[string][]string{"a": {"b*@example.com"}}}, "allow", `"@example.com"`},
		{"wildcard in domain", Senders{Allow: map[string][]string{"a": {"@ex*.com"}}}, "allow", "not allowed"},
		{"user in domain", Senders{Allow: map[string][]string{"a": {"x@{user}.example.com"}}}, "allow", "not allowed"},
		{"bad domain", Senders{Allow: map[string][]string{"a": {"@example..com"}}}, "allow", "empty label"},
		{"trusted user", Senders{Trusted: []string{"{user}@example.com"}}, "trusted", "do not log in"},
		{"trusted bad", Senders{Trusted: []string{"x"}}, "trusted", "no address"},
		{"first in order", Senders{Allow: map[string][]string{"b": {"x"}, "a": {"y"}, "c": {"z"}}}, "allow", `entry "a"`},
	} {
		err := c.senders.Validate()
		var attr *appliance.AttrError
		if !errors.As(err, &attr) || attr.Attr != c.attr || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s: %q", c.name, err, c.attr, c.want)
		}
	}
	for _, good := range []Senders{
		{Trusted: []string{"@example.com"}},
		{Allow: map[string][]string{"a": {`"a b"@example.com`, "@*.example.com", "{user}", "{user}@bücher.example", "*"}}},
	} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
}
