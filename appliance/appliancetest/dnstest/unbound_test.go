package dnstest

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestUnbound: who depends on this harness has to be sure of it.
func TestUnbound(t *testing.T) {
	r := Unbound(t,
		Zone{Name: "signed.test.", DNSSEC: Signed, Records: "@ MX 10 mx\nmx A 127.0.0.1\nalias CNAME a.unsigned.test."},
		Zone{Name: "_25._tcp.mx.signed.test.", DNSSEC: Expired, Records: "@ TLSA 3 1 1 00"},
		Zone{Name: "unsigned.test.", Records: "a A 127.0.0.2"},
	)
	ask := func(name string, typ uint16) *dns.Msg {
		t.Helper()
		q := new(dns.Msg).SetQuestion(name, typ)
		q.AuthenticatedData = true
		c := dns.Client{Timeout: 10 * time.Second}
		reply, _, err := c.Exchange(q, r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for _, tc := range []struct {
		name    string
		typ     uint16
		rcode   int
		answers int
		secure  bool
	}{
		{"signed.test.", dns.TypeMX, dns.RcodeSuccess, 1, true},
		{"mx.signed.test.", dns.TypeA, dns.RcodeSuccess, 1, true},
		{"mx.signed.test.", dns.TypeAAAA, dns.RcodeSuccess, 0, true},
		{"gone.signed.test.", dns.TypeA, dns.RcodeNameError, 0, true},
		{"alias.signed.test.", dns.TypeA, dns.RcodeSuccess, 2, false},
		{"_25._tcp.mx.signed.test.", dns.TypeTLSA, dns.RcodeServerFailure, 0, false},
		{"a.unsigned.test.", dns.TypeA, dns.RcodeSuccess, 1, false},
		{"elsewhere.test.", dns.TypeA, dns.RcodeNameError, 0, true},
		{".", dns.TypeNS, dns.RcodeSuccess, 1, true},
	} {
		got := ask(tc.name, tc.typ)
		if got.Rcode != tc.rcode || len(got.Answer) != tc.answers || got.AuthenticatedData != tc.secure {
			t.Errorf("%s %s:\n%s", tc.name, dns.TypeToString[tc.typ], got)
		}
	}
	r.Set(t, "_25._tcp.other.signed.test.", "TLSA", "3 1 1 0102", "2 1 1 0304")
	if got := ask("_25._tcp.other.signed.test.", dns.TypeTLSA); len(got.Answer) != 2 || !got.AuthenticatedData {
		t.Errorf("what was set:\n%s", got)
	}
	r.Set(t, "_25._tcp.other.signed.test.", "TLSA")
	if got := ask("_25._tcp.other.signed.test.", dns.TypeTLSA); len(got.Answer) != 0 || !got.AuthenticatedData {
		t.Errorf("what was removed:\n%s", got)
	}
}
