package dkim

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSight: what name servers say, and what keeps a key from signing.
func TestSight(t *testing.T) {
	ours := edKey.Record("d", "s").Value
	other := mustGenerate(Ed25519).Record("d", "s").Value
	has := func(texts ...string) appliance.ServerAnswer {
		return appliance.ServerAnswer{Server: "ns", Answer: appliance.DNSAnswer{Texts: texts}}
	}
	not := appliance.ServerAnswer{Server: "ns", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	silent := appliance.ServerAnswer{Server: "ns", Err: &net.DNSError{Err: "SERVFAIL", IsTemporary: true}}
	all := func(s ...appliance.ServerAnswer) []appliance.ServerAnswer { return s }
	for _, c := range []struct {
		name                string
		servers             []appliance.ServerAnswer
		everywhere, nowhere bool
		want                string
	}{
		{"all", all(has(ours), has(ours)), true, false, ""},
		{"with a note", all(has(ours + "; n=of_2026; t=s")), true, false, ""},
		{"split and spaced", all(has(strings.ReplaceAll(ours, "; ", " ;\t"))), true, false, ""},
		{"beside other text", all(has("v=spf1 -all", ours)), true, false, ""},
		{"none", all(not, has()), false, true, "no name server shows the record"},
		{"one", all(has(ours), not), false, false, "ns without the record, which others show"},
		{"another key", all(has(other), has(ours)), false, false, "ns: p= holds another key"},
		{"only another key", all(has(other)), false, true, "ns: p= holds another key"},
		{"two keys", all(has(ours, other)), false, false, "ns: there are 2 keys at one name"},
		{"testing", all(has(ours + "; t=y")), false, false, "ns: t=y says that the domain only tests"},
		{"for another service", all(has(ours + "; s=tlsrpt")), false, false, "ns: s=tlsrpt does not allow mail"},
		{"revoked", all(has("v=DKIM1; k=ed25519; p=")), false, true, "ns: p= is empty"},
		{"garbage", all(has("hello")), false, true, "ns: none of the 1 text there is a key"},
		{"silent", all(has(ours), silent), false, false, "ns cannot be asked: SERVFAIL"},
		{"silent and without", all(not, silent), false, false, "ns without the record; ns cannot be asked: SERVFAIL"},
		{"many", all(not, not, not, not, not, has(ours)), false, false, "ns, ns, ns, 2 more without the record, which others show"},
	} {
		s := new(sight)
		for i := range c.servers {
			s.count(&c.servers[i], edKey.private.Public())
		}
		if s.everywhere() != c.everywhere || s.nowhere() != c.nowhere || !strings.HasPrefix(s.String(), c.want) || c.want == "" && s.String() != "" {
			t.Errorf("%s: everywhere %t, nowhere %t: %q", c.name, s.everywhere(), s.nowhere(), s.String())
		}
	}
}

// TestBlind: what cannot be asked is not known, and nothing is done.
func TestBlind(t *testing.T) {
	d := configured()
	for _, c := range []struct {
		resolver appliance.Resolver
		record   string
		want     string
	}{
		{net.DefaultResolver, "s._domainkey.example.com", errNoAuthority.Error()},
		{newWorld(t), "s._domainkey.example.org", "no zone has this name"},
	} {
		d.resolver = c.resolver
		s := d.look(t.Context(), c.record, edKey.private.Public())
		if s.everywhere() || s.nowhere() || s.lacks() || s.String() != c.want {
			t.Errorf("%q, want %q", s, c.want)
		}
	}
	if got := reason(errors.New("x")); got != "x" {
		t.Error(got)
	}
}
