package mx

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
	"github.com/waxwing-mail/waxwing/modules/internal/certs/certstest"
)

// TestN13Unbound is DANE with a real resolver and zones that are signed,
// badly signed and not signed.
func TestN13Unbound(t *testing.T) {
	ca := certstest.NewCA(t)
	own := certstest.NewCA(t).Issue(t, "elsewhere.example")
	s := listenTLS(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{own}}, takes)
	at := fmt.Sprintf("_%d._tcp.", s.addr.Port())
	good, bad := fmt.Sprintf("3 1 1 %x", record311(own).Data), "3 1 1 "+strings.Repeat("ab", 32)
	tlsa := func(record string) string { return at + "mx TLSA " + record + "\n" }
	const mx = "@ MX 10 mx\nmx A 127.0.0.1\n"
	zones := []dnstest.Zone{
		{Name: "good.test.", DNSSEC: dnstest.Signed, Records: mx + tlsa(good)},
		{Name: "bad.test.", DNSSEC: dnstest.Signed, Records: mx + tlsa(bad)},
		{Name: "none.test.", DNSSEC: dnstest.Signed, Records: mx},
		{Name: "lame.test.", DNSSEC: dnstest.Signed, Records: mx},
		{Name: at + "mx.lame.test.", DNSSEC: dnstest.Expired, Records: "@ TLSA " + good},
		{Name: "expired.test.", DNSSEC: dnstest.Expired, Records: mx + tlsa(good)},
		{Name: "unsigned.test.", Records: mx + tlsa(bad)},
		{Name: "to.test.", DNSSEC: dnstest.Signed, Records: "@ MX 10 mx.bad.test.\nunsigned MX 10 mx.unsigned.test.\n" +
			"alias MX 10 a\na CNAME mx.good.test.\nout MX 10 b\nb CNAME mx.unsigned.test.\nimplicit A 127.0.0.1\n" + at + "implicit TLSA " + bad},
		{Name: "from.test.", Records: "@ MX 10 mx.bad.test."},
	}
	dns := dnstest.Unbound(t, zones...)
	relay := func(trusted bool) *MX {
		r := resolver.New(appliance.ResolverContext{Settings: appliance.Settings{Resolver: appliance.DNSServers{dns.Addr}, DNSSEC: trusted}})
		m := provisionWith(t, &appliance.Context{Hostname: "mail.us.test", Resolver: r}, func(m *MX) {
			loopback(s.addr.Port())(m)
			m.CAFile = ca.File(t, t.TempDir())
		})
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		return m
	}
	check := func(m *MX, domain, want, tls string) {
		t.Helper()
		r := m.Deliver(t.Context(), envelope("u@"+domain), msg)[0]
		if got := fmt.Sprintf("%d %s", r.Reply.Code, r.Reply.Status()); got != want || r.TLS != tls {
			t.Errorf("%s: %s (%v), TLS %q; want %s, %q", domain, got, r.Reply.Error(), r.TLS, want, tls)
		}
	}
	m := relay(true)
	check(m, "good.test", "250 2.0.0", verifiedDANE)
	check(m, "bad.test", "451 4.7.5", "")
	check(m, "none.test", "250 2.0.0", unverified)
	check(m, "lame.test", "451 4.7.5", "")             // TLSA is bogus
	check(m, "expired.test", "451 4.4.3", "")          // all of it is
	check(m, "unsigned.test", "250 2.0.0", unverified) // and its records do not count
	check(m, "to.test", "451 4.7.5", "")               // mail exchanger in another zone
	check(m, "unsigned.to.test", "250 2.0.0", unverified)
	check(m, "alias.to.test", "250 2.0.0", verifiedDANE) // the records of where it leads
	check(m, "out.to.test", "250 2.0.0", unverified)     // out of what is signed
	check(m, "implicit.to.test", "451 4.7.5", "")        // no MX record, which is signed too
	check(m, "from.test", "250 2.0.0", unverified)       // a signed host by the word of anybody

	// Without dnssec = true, what the resolver says of DNSSEC is not believed.
	core, logs := observer.New(zap.InfoLevel)
	untrusting := relay(false)
	untrusting.log = zap.New(core)
	untrusting.sayDANE()
	if logs.FilterMessage("DANE is not used").Len() != 1 {
		t.Errorf("%v", logs.All())
	}
	check(untrusting, "bad.test", "250 2.0.0", unverified)

	// A key is exchanged: the new record is published before it is used, and
	// the old one after. Then somebody makes a mess of it.
	for _, step := range []struct {
		records   []string
		want, tls string
	}{
		{[]string{good, bad}, "250 2.0.0", verifiedDANE},
		{[]string{bad}, "451 4.7.5", ""},
		{[]string{bad, good}, "250 2.0.0", verifiedDANE},
		{[]string{"3 1 1 010203"}, "250 2.0.0", unverified},
		{[]string{`\# 3 030101`}, "250 2.0.0", unverified},
		{[]string{`\# 3 030101`, bad}, "451 4.7.5", ""},
		{nil, "250 2.0.0", unverified},
	} {
		dns.Set(t, at+"mx.good.test.", "TLSA", step.records...)
		check(relay(true), "good.test", step.want, step.tls) // with an empty cache
	}
}
