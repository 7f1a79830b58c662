package mx

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestExplain: the servers in the order they would be tried, and why one would
// not; nothing is looked up unless that is allowed.
func TestExplain(t *testing.T) {
	m := provision(t, zone{
		"MX a.test": "10 mx1.test, 20 mx2.test", "A mx1.test": "192.0.2.1, 192.0.2.2", "A mx2.test": "127.0.0.1",
	}, func(m *MX) { m.TLS = "required" })
	texts := func(dns bool) (all []string) {
		for _, a := range m.Explain(t.Context(), appliance.Question{To: box("u@a.test"), DNS: dns}) {
			all = append(all, a.Topic+": "+a.Text)
		}
		return all
	}
	head := []string{"TLS: required, unless DANE or MTA-STS demands more", "families: ipv4, then ipv6"}
	if diff := cmp.Diff(append(head, "servers: the mail exchangers of a.test; --dns looks them up"), texts(false)); diff != "" {
		t.Error(diff)
	}
	got := texts(true)
	if len(got) != 4 || got[2] != "server: mx1.test, port 25: 192.0.2.1, 192.0.2.2" || !strings.HasPrefix(got[3], "server: mx2.test: ") {
		t.Errorf("%q", got)
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
