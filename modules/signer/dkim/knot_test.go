package dkim

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/modules/dns/rfc2136"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
)

// knot asks one real name server.
type knot struct {
	*net.Resolver // never asked
	server        *dnstest.Server
}

// AskAuthority implements appliance.Authority.
func (k knot) AskAuthority(ctx context.Context, _ appliance.QueryType, name string) (appliance.AuthorityAnswer, error) {
	q := new(dns.Msg).SetQuestion(name+".", dns.TypeTXT)
	m, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, q, k.server.Addr)
	if err != nil {
		return appliance.AuthorityAnswer{}, err
	}
	s := appliance.ServerAnswer{Server: "knot", Addr: netip.MustParseAddrPort(k.server.Addr)}
	for _, r := range m.Answer {
		s.Answer.Texts = append(s.Answer.Texts, strings.Join(r.(*dns.TXT).Txt, ""))
	}
	if m.Rcode != dns.RcodeSuccess {
		s.Err = &net.DNSError{Err: dns.RcodeToString[m.Rcode], IsNotFound: m.Rcode == dns.RcodeNameError}
	}
	zone := strings.TrimSuffix(k.server.Zone, ".")
	return appliance.AuthorityAnswer{Zone: zone, Name: name, Servers: []appliance.ServerAnswer{s}}, nil
}

// TestKnot: a real server takes the records of keys, whatever their length, and
// loses those of retired ones.
func TestKnot(t *testing.T) {
	server := dnstest.Knot(t)
	zone := rfc2136.New()
	zone.Server, zone.KeyName, zone.Key = server.Addr, server.KeyName, appliance.NewSecret(server.Key)
	domain := strings.TrimSuffix(server.Zone, ".")
	d := configured(func(d *DKIM) {
		d.Domains, d.Algorithms = []string{domain}, []string{RSA4096, Ed25519}
		d.Publish = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, zone)
	})
	v := new(valuestest.Values)
	for _, selector := range []string{"waxwing", "waxwing-ed25519"} {
		check(t, v.Put(t.Context(), domain+"/"+selector+".private", edKey.PEM()))
	}
	ctx := &appliance.Context{Log: zap.NewNop(), Values: v, Resolver: knot{server: server}}
	check(t, errors.Join(zone.Validate(), zone.Provision(&appliance.Context{Log: zap.NewNop()}), d.Validate(), d.Provision(ctx), d.Start(t.Context())))
	t.Cleanup(func() { check(t, d.Stop(context.Background())) })

	check(t, d.RotateKeys(t.Context(), domain, appliance.RotateNow))
	records := d.DNSRecords()
	if len(records) != 4 || len(records[0].Value) < 600 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records[:2] { // of the keys that sign
		if got := server.TXT(t, r.Name+"."); len(got) != 1 || got[0] != r.Value {
			t.Errorf("%s: %q, want %q", r.Name, got, r.Value)
		}
	}
	check(t, d.RotateKeys(t.Context(), domain, appliance.RotateNow))
	for _, r := range records[:2] {
		selector, _, _ := strings.Cut(r.Name, ".")
		check(t, d.RetireKey(t.Context(), domain, selector))
		if got := server.TXT(t, r.Name+"."); len(got) != 0 {
			t.Errorf("%s, of a retired key: %q", r.Name, got)
		}
	}
	for _, k := range d.SigningKeys() {
		if k.State == appliance.KeyRetired && !strings.HasPrefix(k.Waits, "the name servers to forget its record") {
			t.Errorf("%+v", k)
		}
	}
}
