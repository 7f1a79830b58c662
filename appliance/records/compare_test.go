package records

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// found writes how a record stands, for a golden file.
func found(name string, d *Difference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "== %s: %s\n%s", name, d.Title(), d.State)
	if d.At != "" {
		fmt.Fprintf(&b, " at %s", d.At)
	}
	for _, t := range d.There {
		fmt.Fprintf(&b, "\n- %s", t)
	}
	if d.Want != "" {
		fmt.Fprintf(&b, "\n+ %s", d.Want)
	}
	if d.Text != "" {
		b.WriteString("\n" + d.Text)
	}
	if d.State == Disagree {
		for _, s := range d.Servers {
			fmt.Fprintf(&b, "\n%s %s: %s %v", s.Name, s.Address, s.State, s.There)
		}
	}
	return b.String() + "\n\n"
}

// TestCompare: every way in which a record can stand.
func TestCompare(t *testing.T) {
	const (
		spf        = "TXT example.com"
		key        = "TXT waxwing._domainkey.example.com"
		policy     = "TXT _dmarc.example.com"
		ptr        = "PTR 7.113.0.203.in-addr.arpa"
		foreignKey = "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	)
	f := sending()
	f.Receives, f.Domains = []string{"example.com"}, []string{"example.com", "example.org"}
	f.Served = []appliance.ServedCertificate{{Block: "tls.own", CertificateInfo: appliance.CertificateInfo{
		Names: []string{"mail.example.com"}, KeyHash: "abcd", KeyStays: true,
	}}}
	handing := Facts{Domains: []string{"example.com"}, Includes: []string{"sendgrid.net"}}
	vague := Facts{Domains: []string{"example.com"}, Vague: true}
	below := Facts{Domains: []string{"a.news.example.com"}}
	var b strings.Builder
	for _, tt := range []struct {
		name  string
		facts Facts
		title string
		zones zones
	}{
		{"address", f, "address of mail.example.com", zones{"A mail.example.com": "198.51.100.1\n203.0.113.7"}},
		{"no address", f, "address of mail.example.com", zones{}},
		{"address of another", f, "address of mail.example.com", zones{"A mail.example.com": "198.51.100.1"}},
		{"PTR", f, "PTR of 203.0.113.7", zones{ptr: "Mail.Example.com."}},
		{"no PTR", f, "PTR of 203.0.113.7", zones{}},
		{"PTR of the provider", f, "PTR of 203.0.113.7", zones{ptr: "static-7.provider.example."}},
		{"nobody serves the PTR", f, "PTR of 203.0.113.7", zones{ptr: nowhere}},
		{"TLSA", f, "TLSA of mail.example.com", zones{"TLSA _25._tcp.mail.example.com": "2 1 1 00\n3 1 1 abcd"}},
		{"no TLSA", f, "TLSA of mail.example.com", zones{}},
		{"TLSA of an old key", f, "TLSA of mail.example.com", zones{"TLSA _25._tcp.mail.example.com": "3 1 1 0102"}},
		{"MX", f, "MX of example.com", zones{"MX example.com": "5 backup.example.net.\n10 Mail.example.com.", "A mail.example.com": "203.0.113.7", "A Mail.example.com": "203.0.113.7"}},
		{"no MX", f, "MX of example.com", zones{}},
		{"MX elsewhere", f, "MX of example.com", zones{"MX example.com": "10 mx.example.net."}},
		{"any MX", f, "MX of example.org", zones{"MX example.org": "10 mx.example.net.", "A mx.example.net": "192.0.2.25"}},
		{"MX is an address", f, "MX of example.org", zones{"MX example.org": "10 192.0.2.25."}},
		{"MX is an alias", f, "MX of example.org", zones{"MX example.org": "10 mx.example.net.", "CNAME mx.example.net": "mail.example.net.", "A mx.example.net": "192.0.2.25"}},
		{"MX has no address", f, "MX of example.org", zones{"MX example.org": "10 mx.example.net.\n20 192.0.2.25."}},
		{"one of two MX has no address", f, "MX of example.org", zones{"MX example.org": "10 mx.example.net.\n20 mx2.example.net.", "A mx2.example.net": "192.0.2.25"}},
		{"MX that cannot be looked up", f, "MX of example.org", zones{"MX example.org": "10 mx.example.net.", "A mx.example.net": silent, "AAAA mx.example.net": silent}},
		{"no MX at all", f, "MX of example.org", zones{}},
		{"no MX but an address", f, "MX of example.org", zones{"A example.org": "192.0.2.80"}},
		{"no MX, and the address is not known", f, "MX of example.org", zones{"A example.org": silent}},
		{"null MX", f, "MX of example.org", zones{"MX example.org": "0 ."}},
		{"SPF", f, "SPF of example.com", zones{spf: "v=spf1 ip6:2001:db8::/32 ip4:203.0.113.0/24 -all\nsite-verification=1"}},
		{"no SPF", f, "SPF of example.com", zones{spf: "site-verification=1"}},
		{"SPF lacks addresses", f, "SPF of example.com", zones{spf: "v=spf1 mx ip4:203.0.113.7 include:_spf.example.net ~all", "TXT _spf.example.net": "v=spf1 -all"}},
		{"SPF by other mechanisms", f, "SPF of example.com", zones{spf: "v=spf1 a:mail.example.com ip6:2001:db8::/32 -all", "A mail.example.com": "203.0.113.7\n203.0.113.8"}},
		{"SPF against us", f, "SPF of example.com", zones{spf: "v=spf1 -ip4:203.0.113.0/24 ip6:2001:db8::7 -all"}},
		{"SPF after all", f, "SPF of example.com", zones{spf: "v=spf1 -all ip4:203.0.113.0/24 ip6:2001:db8::7"}},
		{"SPF with a mistake", f, "SPF of example.com", zones{spf: "v=spf1 ipv4:203.0.113.7 -all"}},
		{"SPF for everybody", f, "SPF of example.com", zones{spf: "v=spf1 +all"}},
		{"SPF that cannot be evaluated", f, "SPF of example.com", zones{spf: "v=spf1 include:_spf.example.net -all", "TXT _spf.example.net": silent}},
		{"SPF with a term that cannot be evaluated", f, "SPF of example.com", zones{spf: "v=spf1 exists:%{i}.example.net -all", "A 203.0.113.7.example.net": silent}},
		{"SPF by an include of an include", handing, "SPF of example.com", zones{spf: "v=spf1 include:_spf.example.net -all",
			"TXT _spf.example.net": "v=spf1 include:sendgrid.net -all", "TXT sendgrid.net": "v=spf1 ip4:198.51.100.0/24 -all"}},
		{"SPF with too much in it", handing, "SPF of example.com", zones{spf: "v=spf1 a:a.example a:b.example a:c.example a:d.example a:e.example a:f.example a:g.example a:h.example a:i.example a:j.example -all",
			"A a.example": "192.0.2.1", "A b.example": "192.0.2.1", "A c.example": "192.0.2.1", "A d.example": "192.0.2.1", "A e.example": "192.0.2.1",
			"A f.example": "192.0.2.1", "A g.example": "192.0.2.1", "A h.example": "192.0.2.1", "A i.example": "192.0.2.1", "A j.example": "192.0.2.1"}},
		{"two SPF records", f, "SPF of example.com", zones{spf: "v=spf1 ip4:203.0.113.7 -all\nv=spf1 mx -all"}},
		{"SPF includes", handing, "SPF of example.com", zones{spf: "v=spf1 include:sendgrid.net -all", "TXT sendgrid.net": "v=spf1 ip4:198.51.100.0/24 -all"}},
		{"SPF lacks an include", handing, "SPF of example.com", zones{spf: "v=spf1 mx redirect=_spf.example.net", "TXT _spf.example.net": "v=spf1 -all"}},
		{"SPF that cannot be judged", vague, "SPF of example.com", zones{spf: "v=spf1 -all"}},
		{"no SPF where it is not known", vague, "SPF of example.com", zones{}},
		{"DKIM in other words", f, "DKIM of example.com", zones{key: "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=;k=ed25519"}},
		{"no DKIM", f, "DKIM of example.com", zones{}},
		{"another key", f, "DKIM of example.com", zones{key: foreignKey}},
		{"revoked", f, "DKIM of example.com", zones{key: "v=DKIM1; k=ed25519; p="}},
		{"two keys", f, "DKIM of example.com", zones{key: testKey + "\n" + foreignKey}},
		{"testing", f, "DKIM of example.com", zones{key: testKey + "; t=y"}},
		{"DMARC", f, "DMARC of example.com", zones{policy: "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"}},
		{"no DMARC", f, "DMARC of example.com", zones{}},
		{"no DMARC above either", below, "DMARC of a.news.example.com", zones{}},
		{"DMARC of the domain above", below, "DMARC of a.news.example.com", zones{policy: "v=DMARC1; p=reject; sp=quarantine"}},
		{"the domain above cannot be asked about DMARC", below, "DMARC of a.news.example.com", zones{policy: silent}},
		{"DMARC that asks for nothing", f, "DMARC of example.com", zones{policy: "v=DMARC1; p=monitor"}},
		{"DMARC without reports", f, "DMARC of example.com", zones{policy: "v=DMARC1; p=quarantine; pct=50"}},
		{"two DMARC records", f, "DMARC of example.com", zones{policy: "v=DMARC1; p=reject\nv=DMARC1; p=none"}},
		{"TLSRPT", f, "TLSRPT of example.com", zones{"TXT _smtp._tls.example.com": "v=TLSRPTv1;rua=https://example.net/tls"}},
		{"TLSRPT that cannot be read", f, "TLSRPT of example.com", zones{"TXT _smtp._tls.example.com": "v=TLSRPTv1;rua=ftp://example.net"}},
		{"two MTA-STS records", f, "MTA-STS of example.com", zones{"TXT _mta-sts.example.com": "v=STSv1; id=1\nv=STSv1; id=2"}},
		{"no TLSRPT", f, "TLSRPT of example.com", zones{}},
		{"MTA-STS", f, "MTA-STS of example.com", zones{"TXT _mta-sts.example.com": "v=STSv1; id=1"}},
		{"no MTA-STS", f, "MTA-STS of example.com", zones{}},
		{"consent", f, "consent to DMARC reports of example.org", zones{"TXT example.org._report._dmarc.example.com": "v=DMARC1"}},
		{"one server is late", f, "DKIM of example.com", zones{key: testKey, "ns2 " + key: ""}},
		{"each in its words", f, "DKIM of example.com", zones{key: testKey, "ns2 " + key: testKey + ";"}},
		{"one server is silent", f, "DKIM of example.com", zones{key: testKey, "ns2 " + key: silent}},
		{"nobody answers", f, "DKIM of example.com", zones{key: silent}},
		{"no zone", f, "DKIM of example.com", zones{key: nowhere}},
	} {
		all := Wanted(tt.facts)
		i := slices.IndexFunc(all, func(r Record) bool { return r.Title() == tt.title })
		if i < 0 {
			t.Fatalf("%s: %s is not wanted", tt.name, tt.title)
		}
		got := Compare(context.Background(), tt.zones, all[i:i+1])
		b.WriteString(found(tt.name, &got[0]))
	}
	golden(t, "compare.txt", []byte(b.String()))
}
