package mx

import (
	"net/netip"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestOutbound(t *testing.T) {
	ip := netip.MustParseAddr
	for name, tt := range map[string]struct {
		change func(*MX)
		want   appliance.Outbound
	}{
		"default": {func(*MX) {}, appliance.Outbound{Families: []string{"ip4", "ip6"}}},
		"IPv4":    {func(m *MX) { m.IPVersions = []string{"ipv4"} }, appliance.Outbound{Families: []string{"ip4"}}},
		"source": {func(m *MX) { m.Source = []string{"203.0.113.7"} }, appliance.Outbound{
			Families: []string{"ip4"}, Addresses: []netip.Addr{ip("203.0.113.7")}, Names: []string{"mail.us.test"},
		}},
		"send_from": {two, appliance.Outbound{
			Families: []string{"ip4", "ip6"}, Addresses: []netip.Addr{ip("203.0.113.7"), ip("203.0.113.8"), ip("2001:db8::7")},
			Names: []string{"mail.us.test", "mail2.us.test", "mail6.us.test"},
		}},
	} {
		if diff := gocmp.Diff(tt.want, provision(t, zone{}, tt.change).Outbound(), gocmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
