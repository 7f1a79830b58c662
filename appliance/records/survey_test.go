package records

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
)

type module struct{}

func (module) Provision(*appliance.Context) error { return nil }

type fakeRelay struct {
	module
	out appliance.Outbound
}

func (*fakeRelay) NextHop(to appliance.Mailbox) string { return to.Domain }
func (r *fakeRelay) Outbound() appliance.Outbound      { return r.out }
func (*fakeRelay) Deliver(context.Context, appliance.Envelope, *appliance.Message) []appliance.Result {
	return nil
}

// fakeSigner has keys for the first of its domains.
type fakeSigner struct {
	module
	domains []string
}

func (*fakeSigner) Modify(context.Context, *appliance.Transaction) error { return nil }
func (s *fakeSigner) SenderDomains() []string                            { return s.domains }
func (s *fakeSigner) DNSRecords() []appliance.DNSRecord {
	return []appliance.DNSRecord{{Name: "k1._domainkey." + s.domains[0], Type: "TXT", Value: testKey}}
}

type fakeClaims struct {
	fakeSigner
	claimed string
}

func (c *fakeClaims) Claims(to appliance.Mailbox) bool { return to.Domain == c.claimed }

type fakeListener struct{ appliance.Listener }

type fakeTLS struct{ module }

func (fakeTLS) ServerConfig(appliance.TLSUse) *tls.Config { return nil }
func (fakeTLS) Ready() error                              { return nil }
func (fakeTLS) Certificates() []appliance.CertificateInfo {
	return []appliance.CertificateInfo{{Names: []string{"mail.example.com"}}}
}

type fakeDNS struct {
	module
	said    []string
	refuse  string // values that are not taken
	missing bool   // what is to be deleted is not there
}

func (p *fakeDNS) AppendRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.took("+", zone, recs)
}

func (p *fakeDNS) DeleteRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	if p.missing {
		return nil, nil
	}
	return p.took("-", zone, recs)
}

func (p *fakeDNS) took(sign, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, rec := range recs {
		r := rec.RR()
		p.said = append(p.said, strings.Join([]string{sign, zone, r.Name, r.Type, r.Data, r.TTL.String()}, " "))
		if p.refuse != "" && strings.Contains(r.Data, p.refuse) {
			return nil, context.DeadlineExceeded
		}
	}
	return recs, nil
}

func addr(kind appliance.Kind, name string) appliance.Addr {
	return appliance.Addr{Kind: kind, Name: name}
}

// graph is a configuration with a relay, a signer and a relay that nobody uses.
func graph(out appliance.Outbound, change func(*appliance.Graph)) *appliance.Graph {
	set := appliance.DefaultSettings()
	set.Hostname = "mail.example.com"
	relay, signer, claims, listener := addr(appliance.KindRelay, "out"), addr(appliance.KindSigner, "own"), addr(appliance.KindRewrite, "boxes"), addr(appliance.KindListener, "mx")
	rewrite := &fakeClaims{fakeSigner{domains: []string{"example.org"}}, "example.com"}
	g := &appliance.Graph{Settings: set, Nodes: []*appliance.Node{
		{Addr: addr(appliance.KindRelay, "spare"), Module: &fakeRelay{out: appliance.Outbound{Includes: []string{"spare.example"}, Via: "spare.example"}}},
		{Addr: relay, Module: &fakeRelay{out: out}},
		{Addr: signer, Module: &fakeSigner{domains: []string{"example.com", "example.org", "[192.0.2.1]"}}},
		{Addr: claims, Module: rewrite},
		{Addr: addr(appliance.KindTLS, "own"), Type: "fake", Module: fakeTLS{}},
		{Addr: listener, Type: "smtp", Module: fakeListener{}, Deps: []appliance.Addr{addr(appliance.KindTLS, "own")}},
		{Addr: addr(appliance.KindPipeline, "p"), Deps: []appliance.Addr{listener, relay, signer, claims}, Pipeline: &appliance.Pipeline{
			Listeners: []appliance.Ref[appliance.Listener]{appliance.RefTo[appliance.Listener](listener, fakeListener{})},
			Rewrites:  []appliance.Ref[appliance.Modifier]{appliance.RefTo[appliance.Modifier](claims, rewrite)},
		}},
	}}
	if change != nil {
		change(g)
	}
	return g
}

func TestSurvey(t *testing.T) {
	machine := []netip.Addr{ip("203.0.113.9"), ip("2001:db8::9")}
	published := []appliance.DNSRecord{
		{Name: "k1._domainkey.example.com", Type: "TXT", Value: testKey}, {Name: "k1._domainkey.example.org", Type: "TXT", Value: testKey},
	}
	base := Facts{
		Hostname: "mail.example.com", Exchanger: "mail.example.com", Direct: true, Domains: []string{"example.com", "example.org"},
		Receives: []string{"example.com"}, Published: published,
		Served: []appliance.ServedCertificate{{Block: "tls.own", Type: "fake", CertificateInfo: appliance.CertificateInfo{Names: []string{"mail.example.com"}}}},
	}
	for _, tt := range []struct {
		name   string
		out    appliance.Outbound
		set    func(*appliance.Graph)
		want   func(*Facts)
		phrase string // of what is missing
	}{
		{"of the machine", appliance.Outbound{}, nil, func(f *Facts) {
			f.Sources = []Source{{machine[0], "mail.example.com"}, {machine[1], "mail.example.com"}}
		}, ""},
		{"IPv4 of the machine", appliance.Outbound{Families: []string{"ip4"}}, nil, func(f *Facts) { f.Sources = []Source{{machine[0], "mail.example.com"}} }, ""},
		{"of the relay", appliance.Outbound{Addresses: []netip.Addr{ip("203.0.113.7"), ip("10.0.0.1")}, Names: []string{"out.example.com", ""}}, nil, func(f *Facts) {
			f.Sources = []Source{{ip("203.0.113.7"), "out.example.com"}}
		}, "relay.out sends from 10.0.0.1"},
		{"behind NAT", appliance.Outbound{Addresses: []netip.Addr{ip("10.0.0.1")}}, func(g *appliance.Graph) {
			g.Settings.Deliverability.Addresses = []netip.Addr{ip("203.0.113.7")}
		}, func(f *Facts) { f.Sources = []Source{{ip("203.0.113.7"), "mail.example.com"}} }, ""},
		{"nothing public", appliance.Outbound{Addresses: []netip.Addr{ip("10.0.0.1")}}, nil, func(f *Facts) { f.Vague = true }, "are not known"},
		{"known smarthost", appliance.Outbound{Via: "smtp.sendgrid.net", Includes: []string{"sendgrid.net"}}, nil, func(f *Facts) {
			f.Direct, f.Includes = false, []string{"sendgrid.net"}
		}, ""},
		{"unknown smarthost", appliance.Outbound{Via: "smtp.example.net"}, nil, func(f *Facts) { f.Direct, f.Vague = false, true }, "Ask its provider"},
		{"smarthost with its include", appliance.Outbound{Via: "smtp.example.net"}, func(g *appliance.Graph) {
			g.Settings.Deliverability.SPFInclude = []string{"_spf.example.net"}
		}, func(f *Facts) { f.Direct, f.Includes = false, []string{"_spf.example.net"} }, ""},
		{"no host name", appliance.Outbound{}, func(g *appliance.Graph) { g.Settings.Hostname = "f3a1" }, func(f *Facts) {
			f.Hostname, f.Exchanger, f.Sources = "", "", []Source{{machine[0], ""}, {machine[1], ""}}
		}, `"f3a1" is none that others can find`},
	} {
		want := base
		tt.want(&want)
		got := Survey(graph(tt.out, tt.set), Options{Machine: machine, Started: true})
		if missing := strings.Join(got.Missing, "\n"); !strings.Contains(missing, tt.phrase) || tt.phrase == "" && missing != "" {
			t.Errorf("%s: missing %q, want %q", tt.name, missing, tt.phrase)
		}
		got.Missing = nil
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestSurveyNotStarted: what a file alone cannot say.
func TestSurveyNotStarted(t *testing.T) {
	g := graph(appliance.Outbound{}, nil)
	g.Nodes[2].Module = &fakeSigner{domains: []string{"example.net", "example.com"}}
	f := Survey(g, Options{Machine: []netip.Addr{ip("203.0.113.9")}})
	if len(f.Served) != 0 || !strings.Contains(strings.Join(f.Missing, "\n"), "The DKIM keys of example.com are with the server") {
		t.Errorf("%+v", f)
	}
}

// TestSurveyNothingLeaves: without a way out there is nothing to allow, and
// somebody may wonder.
func TestSurveyNothingLeaves(t *testing.T) {
	for mode, want := range map[string]string{appliance.ModeCapture: `With mode = "capture" no mail leaves`, appliance.ModeLive: "No relay that is in use"} {
		g := graph(appliance.Outbound{}, func(g *appliance.Graph) { g.Settings.Mode = mode })
		g.Nodes[1].Module = module{}
		f := Survey(g, Options{Started: true})
		if f.Direct || f.Vague || len(f.Missing) != 1 || !strings.HasPrefix(f.Missing[0], want) {
			t.Errorf("%s: %+v", mode, f)
		}
	}
}

// TestSurveyBounds: what receivers would not take.
func TestSurveyBounds(t *testing.T) {
	g := graph(appliance.Outbound{}, func(g *appliance.Graph) {
		for i := range 11 {
			g.Settings.Deliverability.SPFInclude = append(g.Settings.Deliverability.SPFInclude, fmt.Sprintf("_spf%d.%s.example.net", i, strings.Repeat("x", 30)))
		}
	})
	missing := strings.Join(Survey(g, Options{Machine: []netip.Addr{ip("203.0.113.9")}, Started: true}).Missing, "\n")
	for _, want := range []string{"would have to include 11 records", "put some of it into a record of its own"} {
		if !strings.Contains(missing, want) {
			t.Errorf("%q has no %q", missing, want)
		}
	}
}

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::1": true, "::ffff:203.0.113.7": true,
		"10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "169.254.0.1": false, "fe80::1": false, "fd00::1": false, "::ffff:10.0.0.1": false,
	} {
		if Public(ip(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	for _, a := range MachineAddresses() {
		if !Public(a) {
			t.Errorf("%s is not public", a)
		}
	}
}

// otherKey is a signer that wants another key at the name of the first.
type otherKey struct{ fakeSigner }

func (s *otherKey) DNSRecords() []appliance.DNSRecord {
	r := s.fakeSigner.DNSRecords()
	r[0].Value = "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	return r
}

// TestTwoKeysAtOneName: two signers with one domain and one selector are told
// of, and neither of their keys is published: two would be none.
func TestTwoKeysAtOneName(t *testing.T) {
	one, two := addr(appliance.KindSigner, "one"), addr(appliance.KindSigner, "two")
	pipe := &appliance.Node{Addr: addr(appliance.KindPipeline, "out"), Pipeline: &appliance.Pipeline{}, Deps: []appliance.Addr{one, two}}
	domains := fakeSigner{domains: []string{"example.com"}}
	g := &appliance.Graph{Settings: appliance.Settings{Hostname: "mail.example.com"}, Nodes: []*appliance.Node{
		{Addr: one, Module: &domains}, {Addr: two, Module: &otherKey{domains}}, pipe,
	}}
	f := Survey(g, Options{Started: true})
	const want = "Two signers want different keys at k1._domainkey.example.com"
	if all := strings.Join(f.Missing, "\n"); strings.Count(all, want) != 1 {
		t.Errorf("%q has no %q", all, want)
	}
	keys := 0
	for _, c := range Plan(Compare(t.Context(), zones{}, Wanted(f))) {
		if strings.Contains(c.Name, domainkey) {
			if keys++; c.Action != ActionLeave || !strings.Contains(c.Why, "no two signers") {
				t.Errorf("%+v", c)
			}
		}
	}
	if keys != 2 {
		t.Errorf("%d keys", keys)
	}
	g.Nodes[1].Module = &domains // on two ways to the world the same
	if f := Survey(g, Options{Started: true}); strings.Contains(strings.Join(f.Missing, "\n"), "Two signers") {
		t.Error("the same key is none")
	}
}
