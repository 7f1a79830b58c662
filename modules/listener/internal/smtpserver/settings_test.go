package smtpserver

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestValidate: every mistake blames its attribute, and says what to write.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Settings)
		attr   string // "" is fine
	}{
		{"defaults", func(*Settings) {}, ""},
		{"IPv6", func(s *Settings) { s.Address = "[2001:db8::1]:25" }, ""},
		{"port by name", func(s *Settings) { s.Address = ":smtp" }, ""},
		{"unix", func(s *Settings) { s.Address = "unix:/run/smtp.sock" }, ""},
		{"no path", func(s *Settings) { s.Address = "unix:" }, "address"},
		{"no port", func(s *Settings) { s.Address = "192.0.2.1" }, "address"},
		{"empty port", func(s *Settings) { s.Address = "192.0.2.1:" }, "address"},
		{"empty", func(s *Settings) { s.Address = "" }, "address"},
		{"big port", func(s *Settings) { s.Address = ":70000" }, "address"},
		{"a name", func(s *Settings) { s.Address = "mail.example.com:25" }, "address"},
		{"no name", func(s *Settings) { s.Hostname = "smtp example" }, "hostname"},
		{"an address for a name", func(s *Settings) { s.Hostname = "192.0.2.1" }, "hostname"},
		{"an address in brackets for a name", func(s *Settings) { s.Hostname = "[192.0.2.1]" }, "hostname"},
		{"a name of its own", func(s *Settings) { s.Hostname = "smtp.example.com" }, ""},
		{"networks", func(s *Settings) { s.Trusted = []string{"10.0.0.0/24", "10.0.1.1", "2001:db8::/48", "::1"} }, ""},
		{"host bits", func(s *Settings) { s.Trusted = []string{"10.0.0.5/24"} }, "trusted"},
		{"no network", func(s *Settings) { s.Trusted = []string{"10.0.0.0/33"} }, "trusted"},
		{"a word", func(s *Settings) { s.Trusted = []string{"localhost"} }, "trusted"},
		{"empty entry", func(s *Settings) { s.Trusted = []string{""} }, "trusted"},
		{"IPv4 in IPv6", func(s *Settings) { s.Trusted = []string{"::ffff:10.0.0.1"} }, "trusted"},
		{"IPv4 network in IPv6", func(s *Settings) { s.Trusted = []string{"::ffff:10.0.0.0/120"} }, "trusted"},
		{"zone", func(s *Settings) { s.Trusted = []string{"fe80::1%eth0"} }, "trusted"},
		{"idle", func(s *Settings) { s.IdleTimeout = 0 }, "idle_timeout"},
		{"data", func(s *Settings) { s.DataTimeout = time.Minute }, "data_timeout"},
		{"rate", func(s *Settings) { s.MinRate = -1 }, "min_rate"},
		{"long lines", func(s *Settings) { s.LongLines = "cut" }, "long_lines"},
		{"errors", func(s *Settings) { s.MaxErrors = 0 }, "max_errors"},
		{"connections", func(s *Settings) { s.MaxConnections = -1 }, "max_connections"},
		{"connections per IP", func(s *Settings) { s.MaxConnectionsPerIP = -1 }, "max_connections_per_ip"},
	} {
		s := DefaultSettings(":25")
		c.change(&s)
		err := s.Validate()
		attr, _ := errors.AsType[*appliance.AttrError](err)
		if (err == nil) != (c.attr == "") || attr != nil && attr.Attr != c.attr {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTrustedNetworks: single addresses are networks of one; what a client's
// address looks like does not matter.
func TestTrustedNetworks(t *testing.T) {
	s := DefaultSettings(":25")
	s.Trusted = []string{"10.0.0.0/24", "192.0.2.1", "2001:db8::/48"}
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/48"),
	}
	if got := s.TrustedNetworks(); !slices.Equal(got, want) {
		t.Error(got)
	}
	srv := new(Server)
	if err := srv.Provision(&appliance.Context{}, s, Role{}); err != nil {
		t.Fatal(err)
	}
	for ip, entry := range map[string]string{
		"10.0.0.7": "10.0.0.0/24", "::ffff:10.0.0.7": "10.0.0.0/24", "192.0.2.1": "192.0.2.1", "192.0.2.2": "",
		"2001:db8::7": "2001:db8::/48", "2001:db9::7": "", "127.0.0.1": "",
	} {
		if got := srv.trusts(netip.MustParseAddr(ip)); got != entry {
			t.Errorf("%s: %q", ip, got)
		}
	}
	if got := srv.trusts(netip.Addr{}); got != "" {
		t.Errorf("a unix socket is trusted: %q", got)
	}
}

// TestSanitizeHello: what the Received field and the checks are given.
func TestSanitizeHello(t *testing.T) {
	for arg, want := range map[string]string{
		"Mail.Example": "mail.example", "[192.0.2.1]": "[192.0.2.1]", "[ipv6:2001:DB8::1]": "[IPv6:2001:db8::1]",
		"192.0.2.1": "192.0.2.1", "my_pc": "my_pc", "a(b)c;d": "a?b?c?d", "-": "-",
	} {
		if got, ok := sanitizeHello(arg); got != want || !ok {
			t.Errorf("%q: %q %v", arg, got, ok)
		}
	}
}
