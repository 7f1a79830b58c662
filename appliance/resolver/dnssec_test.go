package resolver

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
)

// TestDNSSEC is what becomes of dnssec = true with servers of every kind.
func TestDNSSEC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, log := observer.New(zap.InfoLevel)
		c := appliance.ResolverContext{Log: zap.New(core)}
		c.Settings.DNSSEC = true
		r := onMachine(t, c, "nameserver 192.0.2.53", "")
		var root, other func(*dns.Msg)
		down := false
		var asked []string
		r.ask = func(_ context.Context, _ netip.AddrPort, _ options, q question) (response, error) {
			asked = append(asked, q.name)
			if q.name != "." {
				return says(q, other, q.name+" A 192.0.2.1", ""), nil
			}
			if down {
				return response{}, context.DeadlineExceeded
			}
			return says(q, root, ". NS ns.test.", ""), nil
		}
		step := func(name string, secure bool, problem, wantAsked string, logged int) {
			t.Helper()
			asked = nil
			got, err := r.Query(t.Context(), "A", name)
			synctest.Wait()
			if err != nil || got.Secure != secure || strings.Join(asked, " ") != wantAsked {
				t.Errorf("%s: %+v, %v, asked %q", name, got, err, asked)
			}
			if err := r.DNSSEC(); (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: %v, want %q", name, err, problem)
			}
			if log.Len() != logged {
				t.Errorf("%s: %d log entries: %v", name, log.Len(), log.All())
			}
		}
		down = true // nothing is known, nothing is said
		step("a.test", false, "", "a.test. . . .", 0)
		step("b.test", false, "", "b.test.", 0)
		time.Sleep(failureTime)
		down = false
		step("c.test", false, "192.0.2.53:53 does not validate", "c.test. .", 1)
		step("d.test", false, "does not validate", "d.test.", 1)
		time.Sleep(askRootAgain)
		step("e.test", false, "does not validate", "e.test. .", 1)
		other = authentic // somebody has repaired it
		step("f.test", true, "", "f.test.", 2)
		other = nil // a zone without signatures proves nothing
		step("g.test", false, "", "g.test.", 2)
	})
}

// TestNotBelieved: the AD bit of a server that nobody has vouched for means
// nothing, wherever the server is.
func TestNotBelieved(t *testing.T) {
	s := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{reply(q, authentic, q.Question[0].Name+" A 192.0.2.1", "", "")}
	}, nil)
	r := resolverOf(t, s.addr)
	got, err := r.Query(t.Context(), "A", "q.test")
	if err != nil || got.Secure {
		t.Errorf("%+v, %v", got, err)
	}
	if err := r.DNSSEC(); err == nil || !strings.Contains(err.Error(), "dnssec = true") {
		t.Errorf("%v does not say what to write", err)
	}
	if asked := s.asked(); asked != "udp A q.test." {
		t.Errorf("asked %s", asked)
	}
}

// TestUnbound asks a real resolver that validates.
func TestUnbound(t *testing.T) {
	u := dnstest.Unbound(t,
		dnstest.Zone{Name: "signed.test.", DNSSEC: dnstest.Signed, Records: `
@ MX 10 mx
mx A 192.0.2.1
_25._tcp.mx TLSA 3 1 1 0102
out CNAME a.unsigned.test.
in CNAME mx
far CNAME a.expired.test.
`},
		dnstest.Zone{Name: "unsigned.test.", Records: "a A 192.0.2.2\nin CNAME mx.signed.test."},
		dnstest.Zone{Name: "expired.test.", DNSSEC: dnstest.Expired, Records: "@ MX 10 a\na A 192.0.2.3"},
	)
	r := resolverOf(t, u.Addr, believe)
	for _, tc := range []struct {
		typ    appliance.QueryType
		name   string
		want   string
		kind   string
		secure bool
	}{
		{"MX", "signed.test", "10 mx.signed.test.", "", true},
		{"A", "mx.signed.test", "192.0.2.1", "", true},
		{"TLSA", "_25._tcp.mx.signed.test", "3 1 1 0102", "", true},
		{"AAAA", "mx.signed.test", "", "not found", true},
		{"TLSA", "_25._tcp.gone.signed.test", "", "not found", true},
		{"A", "in.signed.test", "192.0.2.1", "", true},
		{"A", "out.signed.test", "192.0.2.2", "", false},
		{"A", "far.signed.test", "", "temporary", false},
		{"A", "a.unsigned.test", "192.0.2.2", "", false},
		{"MX", "unsigned.test", "", "not found", false},
		{"A", "in.unsigned.test", "192.0.2.1", "", false},
		{"MX", "expired.test", "", "temporary", false},
		{"TLSA", "_25._tcp.a.expired.test", "", "temporary", false},
		{"MX", "elsewhere.test", "", "not found", true},
	} {
		got, err := r.Query(t.Context(), tc.typ, tc.name)
		if show(got) != tc.want || kind(err) != tc.kind || got.Secure != tc.secure {
			t.Errorf("%s %s: %q, secure %t, %v", tc.typ, tc.name, show(got), got.Secure, err)
		}
	}
	if _, err := r.Query(t.Context(), "A", "a.expired.test"); err == nil || !strings.Contains(err.Error(), "SERVFAIL: ") {
		t.Errorf("%v does not say why", err)
	}
	if err := r.DNSSEC(); err != nil {
		t.Error(err)
	}
}

// TestForwarder: in front of a server that validates, one that takes the AD
// bit away is found out, as the one in a container would be.
func TestForwarder(t *testing.T) {
	u := dnstest.Unbound(t, dnstest.Zone{Name: "signed.test.", DNSSEC: dnstest.Signed, Records: "@ MX 10 mx"})
	s := serve(t, func(q *dns.Msg) [][]byte {
		c := dns.Client{Timeout: 10 * time.Second}
		m, _, err := c.Exchange(q, u.Addr)
		if err != nil {
			return nil
		}
		m.AuthenticatedData = false
		b, _ := m.Pack()
		return [][]byte{b}
	}, nil)
	r := resolverOf(t, s.addr, believe)
	if got, err := r.Query(t.Context(), "MX", "signed.test"); err != nil || got.Secure {
		t.Errorf("%+v, %v", got, err)
	}
	r.joined.Wait()
	if err := r.DNSSEC(); err == nil || !strings.Contains(err.Error(), s.addr) {
		t.Error(err)
	}
}
