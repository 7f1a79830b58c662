package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

func written(plan []Change) string {
	var b strings.Builder
	for _, c := range plan {
		fmt.Fprintf(&b, "%s %s: %s in %s\n", c.Action, c.Title, c.Name, c.Zone)
		for _, line := range []struct{ head, text string }{{"- ", c.Old}, {"+ ", c.New}, {"", c.Why}, {"error: ", c.Error}} {
			if line.text != "" {
				b.WriteString(line.head + line.text + "\n")
			}
		}
	}
	return b.String()
}

// half is a zone in which much is missing.
func half() zones {
	return zones{
		"A mail.example.com":                 "203.0.113.7",
		"PTR 7.113.0.203.in-addr.arpa":       "mail.example.com.",
		"PTR 8.113.0.203.in-addr.arpa":       "static.provider.example.",
		"MX example.com":                     "10 mx.example.net.",
		"A mx.example.net":                   "192.0.2.25",
		"TXT example.com":                    "site-verification=1\nv=spf1 ip4:203.0.113.7 -all",
		"TXT waxwing._domainkey.example.com": "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"TXT example.org":                    "v=spf1 -all\nv=spf1 mx -all",
		"TXT _dmarc.example.org":             silent,
	}
}

func TestPlan(t *testing.T) {
	plan := Plan(Compare(context.Background(), half(), Wanted(sending())))
	golden(t, "plan.txt", []byte(written(plan)))
	if plan := Plan(nil); plan != nil {
		t.Error(plan)
	}
}

func TestApply(t *testing.T) {
	plan := []Change{
		{Action: ActionLeave, Name: "mail.example.com", Type: "PTR", Why: "no"},
		{Action: ActionAdd, Zone: "example.com", Name: "_dmarc.example.com", Type: "TXT", New: "v=DMARC1; p=none", Error: "of last time"},
		{Action: ActionReplace, Zone: "example.com", Name: "example.com", Type: "TXT", Old: "v=spf1 -all", New: "v=spf1 mx -all"},
	}
	p := new(fakeDNS)
	for _, c := range Apply(t.Context(), p, plan) {
		if c.Error != "" {
			t.Error(c.Error)
		}
	}
	want := []string{
		"+ example.com. _dmarc TXT v=DMARC1; p=none 1h0m0s",
		"- example.com. @ TXT v=spf1 -all 0s",
		"+ example.com. @ TXT v=spf1 mx -all 1h0m0s",
	}
	if diff := cmp.Diff(want, p.said); diff != "" {
		t.Error(diff)
	}
	if plan[1].Error == "" {
		t.Error("the plan was changed")
	}
}

// TestApplyFails: what cannot be written costs nothing of what is there.
func TestApplyFails(t *testing.T) {
	plan := []Change{{Action: ActionReplace, Zone: "example.com", Name: "example.com", Type: "TXT", Old: "v=spf1 -all", New: "v=spf1 mx -all"}}
	for _, tt := range []struct {
		provider fakeDNS
		want     string
		last     string
	}{
		{fakeDNS{refuse: "mx"}, "the old one was put back", "+ example.com. @ TXT v=spf1 -all 1h0m0s"},
		{fakeDNS{refuse: "-all"}, "cannot be deleted", "- example.com. @ TXT v=spf1 -all 0s"},
		{fakeDNS{missing: true}, "is not there", ""},
	} {
		done := Apply(t.Context(), &tt.provider, plan)
		last := ""
		if n := len(tt.provider.said); n > 0 {
			last = tt.provider.said[n-1]
		}
		if !strings.Contains(done[0].Error, tt.want) || last != tt.last {
			t.Errorf("%q, last %q; want %q, %q", done[0].Error, last, tt.want, tt.last)
		}
	}
}

func TestProviderOf(t *testing.T) {
	with := func(names ...string) *appliance.Graph {
		g := graph(appliance.Outbound{}, nil)
		for _, n := range names {
			g.Nodes = append(g.Nodes, &appliance.Node{Addr: addr(appliance.KindDNS, n), Module: new(fakeDNS)})
		}
		return g
	}
	several := with("a", "b")
	several.Settings.Deliverability.Publish = "b"
	for _, tt := range []struct {
		graph *appliance.Graph
		name  string
		want  string
	}{
		{with("a"), "", "dns.a"},
		{with("a", "b"), "dns.b", "dns.b"},
		{with("a", "b"), "a", "dns.a"},
		{several, "", "dns.b"},
		{with(), "", "has no dns block"},
		{with("a", "b"), "", "say which with --through"},
		{with("a"), "c", `--through: there is no "c"; there is dns.a`},
	} {
		_, addr, err := ProviderOf(tt.graph, tt.name)
		if got := fmt.Sprint(addr, err); !strings.Contains(got, tt.want) || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestDesk: nothing is written that nobody has agreed to.
func TestDesk(t *testing.T) {
	g := graph(appliance.Outbound{}, nil)
	p := new(fakeDNS)
	g.Nodes = append(g.Nodes, &appliance.Node{Addr: addr(appliance.KindDNS, "zone"), Module: p})
	f := sending()
	d := Desk{Graph: g, Resolver: half(), Options: Options{Started: true, Machine: f.addresses()}}
	if _, err := d.Wanted([]string{"example.net"}); err == nil || !strings.Contains(err.Error(), "example.net: the configuration sends no mail from it; it has records of mail.example.com, example.com, example.org") {
		t.Error(err)
	}
	c, err := d.Check(t.Context(), []string{"Example.com."})
	if err != nil || c.OK() || !slices.Equal(Domains(recordsOf(c)), []string{"example.com"}) {
		t.Errorf("%v %+v", err, c)
	}
	plan, err := d.Plan(t.Context(), nil, "")
	if err != nil || plan.Through != "dns.zone" {
		t.Fatal(err, plan)
	}
	if _, err := d.Publish(t.Context(), nil, "", plan.Changes[:1]); !errors.Is(err, ErrChanged) || len(p.said) > 0 {
		t.Errorf("%v %v", err, p.said)
	}
	done, err := d.Publish(t.Context(), nil, "", Writes(plan.Changes))
	if err != nil || len(p.said) == 0 || !cmp.Equal(done, plan) {
		t.Errorf("%v %v", err, p.said)
	}
}

func recordsOf(c Comparison) (all []Record) {
	for _, d := range c.Found {
		all = append(all, d.Record)
	}
	return all
}

func TestDeskWithoutAuthority(t *testing.T) {
	d := Desk{Graph: graph(appliance.Outbound{}, nil)}
	if _, err := d.Check(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
