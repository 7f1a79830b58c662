package appliance

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	for s, want := range map[string]string{
		"10.0.0.0/24":   "10.0.0.0/24",
		"10.0.0.5":      "10.0.0.5/32",
		"0.0.0.0/0":     "0.0.0.0/0",
		"2001:db8::/48": "2001:db8::/48",
		"::1":           "::1/128",
	} {
		if p, err := ParseNetwork(s); err != nil || p != netip.MustParsePrefix(want) {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for s, advice := range map[string]string{
		"10.0.0.5/24":        `"10.0.0.0/24" for the network or "10.0.0.5" for the host`,
		"::ffff:10.0.0.5":    `"10.0.0.5"`,
		"::ffff:10.0.0.0/96": "an IPv4 network as IPv4",
		"fe80::1%eth0":       `"fe80::1"`,
		"10.0.0.0/33":        `write "10.0.0.0/24"`,
		"localhost":          `write "10.0.0.5"`,
		"":                   `write "10.0.0.5"`,
	} {
		if p, err := ParseNetwork(s); err == nil || !strings.Contains(err.Error(), advice) {
			t.Errorf("%q: %v, %v; want %s", s, p, err, advice)
		}
	}
}
