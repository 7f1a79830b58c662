package appliance

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDeliverabilityCheck(t *testing.T) {
	tests := []struct {
		name string
		d    DeliverabilitySettings
		want string // the attribute to blame
	}{
		{"defaults", DefaultSettings().Deliverability, ""},
		{"all", DeliverabilitySettings{
			Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}, Echo: []string{"https://ip.example.org"},
			Blocklists: []Secret{NewSecret("zen.example.org")}, SPFInclude: []string{"_spf.example.net"}, Watch: 5 * time.Minute, Webhook: NewSecret("http://127.0.0.1:80/x"),
		}, ""},
		{"loopback", DeliverabilitySettings{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, "addresses"},
		{"zone", DeliverabilitySettings{Addresses: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}, "addresses"},
		{"echo without TLS", DeliverabilitySettings{Echo: []string{"http://ip.example.org"}}, "echo"},
		{"list", DeliverabilitySettings{Blocklists: []Secret{NewSecret("zen example")}}, "blocklists"},
		{"include", DeliverabilitySettings{SPFInclude: []string{"include:x"}}, "spf_include"},
		{"too many includes", DeliverabilitySettings{SPFInclude: strings.Split(strings.Repeat("a.example,", 11), ",")}, "spf_include"},
		{"watch", DeliverabilitySettings{Watch: time.Minute}, "watch"},
		{"webhook", DeliverabilitySettings{Webhook: NewSecret("token-of-somebody")}, "webhook"},
	}
	for _, tt := range tests {
		err := tt.d.Check()
		var got string
		if e, ok := errors.AsType[*AttrError](err); ok {
			got = e.Attr
		}
		if got != tt.want || got == "" && err != nil {
			t.Errorf("%s: %v; want %q blamed", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "token-of-somebody") {
			t.Errorf("%s: the error shows a secret: %v", tt.name, err)
		}
	}
}

func TestFindingWorst(t *testing.T) {
	f := Finding{Status: FoundOK, Parts: []Finding{{Status: FoundSkipped}, {Status: FoundOK, Parts: []Finding{{Status: FoundWarn}}}}}
	if f.Worst() != FoundWarn {
		t.Errorf("worst is %s", f.Worst())
	}
	f.Parts = append(f.Parts, Finding{Status: FoundFail})
	if f.Worst() != FoundFail {
		t.Errorf("worst is %s", f.Worst())
	}
}
