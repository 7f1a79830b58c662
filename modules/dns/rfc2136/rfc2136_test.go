package rfc2136

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/modules/dns/internal/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block returns the provider for a server, after change.
func block(t *testing.T, s *dnstest.Server, change func(*RFC2136)) *RFC2136 {
	t.Helper()
	p := New()
	p.Server, p.KeyName, p.Key = s.Addr, s.KeyName, appliance.NewSecret(s.Key)
	if change != nil {
		change(p)
	}
	if err := errors.Join(p.Validate(), p.Provision(&appliance.Context{})); err != nil {
		t.Fatal(err)
	}
	return p
}

func txt(name, text string) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: name, Text: text, TTL: time.Minute}}
}

// TestKnot: what the suite asks for, at a name server that somebody else
// wrote.
func TestKnot(t *testing.T) {
	s := dnstest.Knot(t)
	providertest.Run(t, providertest.Zone{
		Name: s.Zone, Provider: block(t, s, nil), Sees: true,
		TXT: func(t *testing.T, fqdn string) []string { return s.TXT(t, fqdn) },
	})
}

// TestExplained: what a server refuses, and what to do about it.
func TestExplained(t *testing.T) {
	s := dnstest.Knot(t, dnstest.Zone{Name: dnstest.DefaultZone, Records: "_acme-challenge.mail CNAME mail.acme.test."})
	for _, c := range []struct {
		name   string
		change func(*RFC2136)
		zone   string
		record string
		want   string
	}{
		{"key unknown", func(p *RFC2136) { p.KeyName = "nobody" }, s.Zone, "a", "it has no key nobody. for hmac-sha256., or no rule"},
		{"algorithm of another key", func(p *RFC2136) { p.Algorithm = "hmac-sha512" }, s.Zone, "a", "compare key_name and algorithm"},
		{"key wrong", func(p *RFC2136) { p.Key = appliance.NewSecret(base64.StdEncoding.EncodeToString([]byte("wrong"))) }, s.Zone, "a", "its key waxwing-test. is another one (BADSIG)"},
		{"zone unknown", nil, "other.test.", "a", "not the primary server of the zone other.test."},
		{"not allowed", func(p *RFC2136) { p.KeyName, p.Key = s.SmallKeyName, appliance.NewSecret(s.SmallKey) }, s.Zone, "a", "no rule that lets this key make the change (BADKEY)"},
		{"CNAME", nil, s.Zone, "_acme-challenge.mail", "there is a CNAME at the name"},
		{"zone of the block", func(p *RFC2136) { p.Zone = "sub.example.test" }, s.Zone, "a", "not in the zone sub.example.test., which this dns block is for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := block(t, s, c.change)
			_, err := p.AppendRecords(t.Context(), c.zone, txt(c.record, "x"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), p.Key.Reveal()) {
				t.Errorf("P19: the key is in the error: %v", err)
			}
		})
	}
}

// TestSmallKey: a key that may do little can do that.
func TestSmallKey(t *testing.T) {
	s := dnstest.Knot(t)
	p := block(t, s, func(p *RFC2136) { p.KeyName, p.Key = s.SmallKeyName, appliance.NewSecret(s.SmallKey) })
	if _, err := p.AppendRecords(t.Context(), s.Zone, txt("_acme-challenge.allowed", "x")); err != nil {
		t.Fatal(err)
	}
	if gone, err := p.DeleteRecords(t.Context(), s.Zone, txt("_acme-challenge.allowed", "x")); err != nil || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
}

// TestAllOrNone: one record that cannot be added keeps the others out.
func TestAllOrNone(t *testing.T) {
	s := dnstest.Knot(t, dnstest.Zone{Name: dnstest.DefaultZone, Records: "taken CNAME elsewhere"})
	p := block(t, s, nil)
	if _, err := p.AppendRecords(t.Context(), s.Zone, append(txt("free", "x"), txt("taken", "x")...)); err == nil {
		t.Error("a record is added beside a CNAME")
	}
	if got := s.TXT(t, "free.example.test."); len(got) > 0 {
		t.Errorf("half of the update is done: %q", got)
	}
}

// TestZoneOverride: an update names the zone of the block, wherever the world
// thinks that it begins.
func TestZoneOverride(t *testing.T) {
	s := dnstest.Knot(t)
	p := block(t, s, func(p *RFC2136) { p.Zone = "Example.Test" })
	if _, err := p.AppendRecords(t.Context(), "mail.example.test.", txt("_acme-challenge", "x")); err != nil {
		t.Fatal(err)
	}
	if got := s.TXT(t, "_acme-challenge.mail.example.test"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestTypes: what the mail system of a domain needs besides TXT.
func TestTypes(t *testing.T) {
	s := dnstest.Knot(t)
	p := block(t, s, nil)
	all := []libdns.Record{
		libdns.Address{Name: "mta-sts", IP: netip.MustParseAddr("192.0.2.1"), TTL: time.Hour},
		libdns.Address{Name: "mta-sts", IP: netip.MustParseAddr("2001:db8::1"), TTL: time.Hour},
		libdns.CNAME{Name: "autoconfig", Target: "mail.example.test", TTL: time.Hour},
		libdns.MX{Name: "@", Preference: 10, Target: "mail.example.test.", TTL: time.Hour},
		libdns.SRV{Service: "submission", Transport: "tcp", Name: "@", Priority: 1, Weight: 2, Port: 587, Target: "mail.example.test.", TTL: time.Hour},
		libdns.RR{Name: "_25._tcp.mail", Type: "TLSA", Data: "3 1 1 " + strings.Repeat("ab", 32), TTL: time.Hour},
	}
	if _, err := p.SetRecords(t.Context(), s.Zone, all); err != nil {
		t.Fatal(err)
	}
	gone, err := p.DeleteRecords(t.Context(), s.Zone, []libdns.Record{
		libdns.RR{Name: "mta-sts"}, libdns.RR{Name: "autoconfig"}, libdns.RR{Name: "@", Type: "MX"},
		libdns.RR{Name: "_submission._tcp", Type: "SRV"}, libdns.RR{Name: "_25._tcp.mail", Type: "TLSA"},
	})
	if err != nil || len(gone) != len(all) {
		t.Errorf("deleted %v, %v", gone, err)
	}
	if _, err := p.AppendRecords(t.Context(), s.Zone, []libdns.Record{libdns.RR{Name: "a", Type: "A", Data: "not an address"}}); err == nil || !strings.Contains(err.Error(), "not the value of a record of type A") {
		t.Error(err)
	}
}

// TestApexStays: deleting everything at the name of the zone leaves the
// records that make it one.
func TestApexStays(t *testing.T) {
	s := dnstest.Knot(t)
	p := block(t, s, nil)
	if gone, err := p.DeleteRecords(t.Context(), s.Zone, []libdns.Record{libdns.RR{Name: "@"}}); err != nil || len(gone) > 0 {
		t.Errorf("%v, %v", gone, err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		attr   string
		change func(*RFC2136)
	}{
		{"server", func(p *RFC2136) { p.Server = "" }},
		{"server", func(p *RFC2136) { p.Server = "10.0.0.53:0" }},
		{"server", func(p *RFC2136) { p.Server = "10.0.0.53:x" }},
		{"server", func(p *RFC2136) { p.Server = "a b" }},
		{"key_name", func(p *RFC2136) { p.KeyName = "" }},
		{"key_name", func(p *RFC2136) { p.KeyName = "hmac-sha256:acme" }},
		{"algorithm", func(p *RFC2136) { p.Algorithm = "hmac-md5.sig-alg.reg.int" }},
		{"algorithm", func(p *RFC2136) { p.Algorithm = "hmac-sha1" }},
		{"algorithm", func(p *RFC2136) { p.Algorithm = "sha256" }},
		{"zone", func(p *RFC2136) { p.Zone = "exa mple.com" }},
		{"timeout", func(p *RFC2136) { p.Timeout = 0 }},
		{"key", func(p *RFC2136) { p.Key = appliance.NewSecret("this is hunter2!") }},
		{"key", func(p *RFC2136) { p.Key = appliance.NewSecret("") }},
	} {
		p := New()
		p.Server, p.KeyName, p.Key = "10.0.0.53", "acme", appliance.NewSecret("a2V5")
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		err := p.Validate()
		if err == nil {
			err = p.Provision(&appliance.Context{})
		}
		attr, ok := errors.AsType[*appliance.AttrError](err)
		if !ok || attr.Attr != c.attr {
			t.Errorf("%s: %v", c.attr, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("P19: %v", err)
		}
	}
}

// names is a resolver of one name.
type names struct{ appliance.Resolver }

func (names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return map[string][]netip.Addr{"ns1.example.test": {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}}[host], nil
}

// TestServerName: a name server by name is where the resolver says, at the
// first address that answers.
func TestServerName(t *testing.T) {
	s := dnstest.Knot(t)
	_, port, _ := strings.Cut(s.Addr, ":")
	for host, ok := range map[string]bool{"ns1.example.test": true, "ns2.example.test": false} {
		p := block(t, s, func(p *RFC2136) { p.Server = host + ":" + port })
		p.resolver = names{}
		if _, err := p.AppendRecords(t.Context(), s.Zone, txt("a", "x")); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}
