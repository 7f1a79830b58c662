package mx

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// explained are the answers about a mail to u@a.test, as "topic: text [attr]".
func explained(m *MX, ctx context.Context, dns bool) (all []string) {
	for _, a := range m.Explain(ctx, appliance.Question{To: box("u@a.test"), DNS: dns}) {
		all = append(all, a.Topic+": "+a.Text+" ["+a.Attr+"]")
	}
	return all
}

// explainHead is how many answers there are without the DNS, before the one
// that --dns looks up the rest.
const explainHead = 2

// TestExplain: the servers in the order they would be tried, and why one would
// not; nothing is looked up unless that is allowed.
func TestExplain(t *testing.T) {
	m := provision(t, zone{
		"MX a.test": "10 mx1.test, 20 mx2.test", "A mx1.test": "192.0.2.1, 192.0.2.2", "A mx2.test": "127.0.0.1",
	}, func(m *MX) { m.TLS = "required" })
	head := []string{"TLS: required, unless DANE or MTA-STS demands more [tls]", "families: ipv4, then ipv6 [ip_versions]"}
	if diff := cmp.Diff(append(head, "servers: the mail exchangers of a.test; --dns looks them up []"), explained(m, t.Context(), false)); diff != "" {
		t.Error(diff)
	}
	want := append(head,
		"site: mx1.test,mx2.test: the limits of the queue, and none besides [provider.0]",
		"MTA-STS: the domain has no policy [mta_sts]",
		"server: mx1.test, port 25: 192.0.2.1, 192.0.2.2 []",
		"DANE: mx1.test: nothing counts: the resolver says nothing about DNSSEC [dane]",
		"TLS: mx1.test: TLS with any certificate, or no delivery [tls]",
		"server: mx2.test: 554 5.4.6 Mail loop: the mail exchanger of this domain is the server that should deliver to it []",
	)
	if diff := cmp.Diff(want, explained(m, t.Context(), true)); diff != "" {
		t.Error(diff)
	}
}

// TestExplainTLS: who decides.
func TestExplainTLS(t *testing.T) {
	for want, change := range map[string]func(*MX){
		"opportunistic, unless DANE or MTA-STS demands more": nil,
		"opportunistic, unless MTA-STS demands more":         func(m *MX) { m.DANE = false },
		"opportunistic, unless DANE demands more":            func(m *MX) { m.MTASTS = false },
		"opportunistic":                       func(m *MX) { m.DANE, m.MTASTS = false, false },
		"none":                                func(m *MX) { m.TLS = "none" },
		"dane-only, whatever the domain says": func(m *MX) { m.Domains = []Domain{{"*.test", "dane-only"}} },
	} {
		if got := provision(t, zone{}, change).explainTLS("a.test").Text; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestExplainDemands: of each way in which DANE and MTA-STS can end, what they
// say of it, what TLS comes to and which attribute decides.
func TestExplainDemands(t *testing.T) {
	p := newPKI(t)
	own := record311(p.certs["good"])
	good := []appliance.TLSA{own}
	domain := func(mode string) func(*MX) {
		return func(m *MX) { m.Domains = []Domain{{"b.test", "none"}, {"a.test", mode}} }
	}
	for _, tc := range []struct {
		name     string
		zone     zone // in addition
		tlsa     []appliance.TLSA
		untrusty error
		sts      string
		change   func(*MX)
		want     []string // beginnings
	}{
		{name: "nothing", want: []string{
			"MTA-STS: the domain has no policy [mta_sts]", "DANE: mx.test: no TLSA records that DNSSEC vouches for [dane]",
			"TLS: mx.test: TLS with any certificate, plain text if that fails [tls]"}},
		{name: "DANE", tlsa: good, want: []string{
			"MTA-STS: the domain has no policy", "DANE: mx.test: 1 usable TLSA record at mx.test: 3 1 1 ",
			"TLS: mx.test: TLS with a certificate of its TLSA records, or no delivery [dane]"}},
		{name: "rollover", tlsa: []appliance.TLSA{own, record311(p.certs["expired"])}, want: []string{
			"MTA-STS: ", "DANE: mx.test: 2 usable TLSA records at mx.test: ", "TLS: mx.test: TLS with a certificate of its TLSA records"}},
		{name: "bogus", zone: zone{"TLSA mx.test": "SERVFAIL"}, want: []string{
			"MTA-STS: ", "DANE: mx.test: the TLSA records of mx.test are bogus, or cannot be had: ", "TLS: mx.test: nothing is sent there now: mx.test: 451 4.7.5 "}},
		{name: "unusable", tlsa: []appliance.TLSA{{Usage: 3}}, want: []string{
			"MTA-STS: ", "DANE: mx.test: there are TLSA records at mx.test, and none of them can be used [dane]",
			"TLS: mx.test: TLS with any certificate, or no delivery [dane]"}},
		{name: "insecure MX", tlsa: good, zone: zone{"insecure MX a.test": ""}, want: []string{
			"MTA-STS: ", "DANE: mx.test: nothing counts: DNSSEC does not vouch for the MX records", "TLS: mx.test: TLS with any certificate, plain text"}},
		{name: "insecure addresses", tlsa: good, zone: zone{"insecure A mx.test": ""}, want: []string{
			"MTA-STS: ", "DANE: mx.test: nothing counts: DNSSEC does not vouch for the addresses", "TLS: mx.test: TLS with any certificate, plain text"}},
		{name: "a resolver nobody trusts", tlsa: good, untrusty: errors.New("it forwards"), want: []string{
			"MTA-STS: ", "DANE: mx.test: nothing counts: it forwards [dane]", "TLS: mx.test: TLS with any certificate, plain text"}},
		{name: "enforce", sts: "enforce\nmx: *.test", want: []string{
			"MTA-STS: enforce, to be kept for 1d: *.test [mta_sts]", "DANE: ",
			"TLS: mx.test: TLS with a valid certificate for this name, or no delivery; the MTA-STS policy names it [mta_sts]"}},
		{name: "enforce, not listed", sts: "enforce\nmx: mx.a.test", want: []string{
			"MTA-STS: enforce, to be kept for 1d: mx.a.test [mta_sts]", "DANE: ",
			"TLS: mx.test: nothing is sent there now: mx.test: 451 4.7.5 mx.test is not a mail exchanger by the MTA-STS policy of the recipient's domain [mta_sts]"}},
		{name: "testing", sts: "testing\nmx: *.test", want: []string{
			"MTA-STS: testing, ", "DANE: ", "TLS: mx.test: TLS with any certificate, plain text if that fails; the MTA-STS policy, which is being tested, names it [tls]"}},
		{name: "testing, not listed", sts: "testing\nmx: mx.a.test", want: []string{
			"MTA-STS: testing, ", "DANE: ", "TLS: mx.test: TLS with any certificate, plain text if that fails; the MTA-STS policy, which is being tested, does not name it [tls]"}},
		{name: "policy none", sts: "none", want: []string{
			"MTA-STS: none, to be kept for 1d: no mail exchangers [mta_sts]", "DANE: ", "TLS: mx.test: TLS with any certificate, plain text if that fails [tls]"}},
		{name: "a bad policy", sts: "sometimes", want: []string{
			"MTA-STS: no policy is in force: the MTA-STS policy is malformed", "DANE: ", "TLS: mx.test: TLS with any certificate, plain text if that fails [tls]"}},
		{name: "switched off", tlsa: good, sts: "enforce\nmx: *.test", change: func(m *MX) { m.DANE, m.MTASTS = false, false }, want: []string{
			"MTA-STS: is not used [mta_sts]", "DANE: is not used [dane]", "TLS: mx.test: TLS with any certificate, plain text if that fails [tls]"}},
		{name: "tls none", tlsa: good, change: func(m *MX) { m.TLS = "none" }, want: []string{"TLS: mx.test: plain text, TLS is not used [tls]"}},
		{name: "a domain block", tlsa: good, change: domain("verified"), want: []string{
			"TLS: mx.test: TLS with a valid certificate for this name, or no delivery [domain.2]"}},
		{name: "dane-only", tlsa: good, change: domain("dane-only"), want: []string{
			"DANE: mx.test: 1 usable TLSA record at mx.test: ", "TLS: mx.test: TLS with a certificate of its TLSA records, or no delivery [domain.2]"}},
		{name: "dane-only, none", change: domain("dane-only"), want: []string{
			"DANE: mx.test: no TLSA records that DNSSEC vouches for [domain.2]", "TLS: mx.test: nothing is sent there now: "}},
		{name: "a provider", change: func(m *MX) {
			m.Providers = []Provider{{Label: "other", MX: []string{".o.test"}}, {Label: "Example", MX: []string{"mx.test"}, TLS: "required"}}
		}, want: []string{"MTA-STS: ", "DANE: ", "TLS: mx.test: TLS with any certificate, or no delivery [provider.2]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := signedZone{zone: zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1", "A mta-sts.a.test": "127.0.0.1"}, untrusty: tc.untrusty}
			for k, v := range tc.zone {
				z.zone[k] = v
			}
			if tc.tlsa != nil {
				z.zone["TLSA mx.test"], z.tlsa = "there", map[string][]appliance.TLSA{"mx.test": tc.tlsa}
			}
			port := 0
			if tc.sts != "" {
				z.zone["TXT _mta-sts.a.test"] = "v=STSv1; id=1;"
				port = policyHost(t, p.ca, "version: STSv1\nmode: "+tc.sts+"\nmax_age: 86400\n")
			}
			m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: z}, func(m *MX) {
				m.CAFile, m.policyPort, m.AllowNetworks = p.ca.File(t, t.TempDir()), port, []string{"127.0.0.0/8"}
				if tc.change != nil {
					tc.change(m)
				}
			})
			wantExplained(t, explained(m, t.Context(), true), tc.want)
		})
	}
}

// wantExplained holds what stands behind the head, the site and the server line
// against beginnings.
func wantExplained(t *testing.T, all, want []string) {
	t.Helper()
	var got []string
	for _, line := range all[explainHead:] {
		if !strings.HasPrefix(line, "site: ") && !strings.HasPrefix(line, "server: mx.test, port 25: 127.0.0.1 ") {
			got = append(got, line)
		}
	}
	if len(got) != len(want) || len(all) != explainHead+2+len(want) {
		t.Fatalf("%q", all)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q, want %q…", got[i], want[i])
		}
	}
}

// TestExplainSite: who shares limits with the domain, which they are, and what
// they are from.
func TestExplainSite(t *testing.T) {
	mine := func(m *MX) {
		rate, _ := appliance.ParseRate("100/1m")
		m.Providers = []Provider{{Label: "default", Connections: 3}, {Label: "google", Rate: rate}}
	}
	for _, tc := range []struct {
		mx     string
		change func(*MX)
		want   string
	}{
		{"5 a.google.com, 9 b.google.com", nil, "provider google: at most 5 deliveries at a time, 50 messages over one connection [provider.0]"},
		{"5 a.google.com", mine, "provider google: at most 5 deliveries at a time, 100/1m messages, 50 messages over one connection [provider.2]"},
		{"5 a.google.com, 9 mx.test", mine, "a.google.com,mx.test: at most 3 deliveries at a time [provider.1]"},
		{"SERVFAIL", nil, "cannot be looked up: "},
	} {
		m := provision(t, zone{"MX a.test": tc.mx}, tc.change)
		if a := m.explainSite(t.Context(), box("u@a.test")); !strings.HasPrefix(a.Text+" ["+a.Attr+"]", tc.want) {
			t.Errorf("%s: %s [%s], want %s", tc.mx, a.Text, a.Attr, tc.want)
		}
	}
}
