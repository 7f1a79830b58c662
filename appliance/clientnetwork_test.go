package appliance

import (
	"net/netip"
	"testing"
)

// TestClientNetwork: who counts as one client, and behind which addresses there
// may be many.
func TestClientNetwork(t *testing.T) {
	for ip, want := range map[string]struct {
		network string
		shared  bool
	}{
		"198.51.100.7":        {"198.51.100.7/32", false},
		"::ffff:198.51.100.7": {"198.51.100.7/32", false},
		"2001:db8:1:2:3::4":   {"2001:db8:1:2::/64", false},
		"127.0.0.9":           {"127.0.0.9/32", true},
		"::1":                 {"::/64", true},
		"::ffff:10.1.2.3":     {"10.1.2.3/32", true},
		"172.17.0.1":          {"172.17.0.1/32", true},
		"172.32.0.1":          {"172.32.0.1/32", false},
		"100.64.0.1":          {"100.64.0.1/32", true},
		"100.128.0.1":         {"100.128.0.1/32", false},
		"fd00:1::2":           {"fd00:1::/64", true},
		"fe80::1%eth0":        {"fe80::/64", true},
		"169.254.169.254":     {"169.254.169.254/32", true},
	} {
		p, ok := ClientNetwork(netip.MustParseAddr(ip))
		if !ok || p.String() != want.network || SharedNetwork(p) != want.shared {
			t.Errorf("%s: %v, %v, shared %v", ip, p, ok, SharedNetwork(p))
		}
	}
	if p, ok := ClientNetwork(netip.Addr{}); ok || !SharedNetwork(p) {
		t.Errorf("a unix socket: %v, %v", p, ok)
	}
}
