package alignment_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/alignment"
)

// texts is a DNS of TXT records; "?" is no answer.
type texts map[string]string

func (z texts) LookupTXT(_ context.Context, name string) ([]string, error) {
	name = strings.TrimSuffix(name, ".")
	switch text, ok := z[name]; {
	case text == "?":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	case ok:
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z texts) LookupAddr(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z texts) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z texts) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func aligner(z texts) appliance.Aligner {
	return alignment.New(appliance.AlignerContext{Hostname: "mail.example.com", Resolver: z})
}

func TestMayPassSPF(t *testing.T) {
	ours, other := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
	a := aligner(texts{
		"good.example": "v=spf1 ip4:203.0.113.5 -all", "closed.example": "v=spf1 -all", "text.example": "hello",
		"broken.example": "v=spf1 ip4:nonsense -all", "slow.example": "?",
	})
	many := slices.Repeat([]netip.Addr{other}, 33)
	for _, c := range []struct {
		domain string
		from   []netip.Addr
		want   bool
		failed bool
	}{
		{"good.example", []netip.Addr{ours}, true, false},
		{"good.example", []netip.Addr{other}, false, false},
		{"good.example", []netip.Addr{other, ours}, true, false},
		{"good.example", nil, true, false},
		{"good.example", many, false, true},
		{"good.example", append(many[:31:31], ours), true, false},
		{"closed.example", []netip.Addr{ours}, false, false},
		{"closed.example", nil, true, false},
		{"text.example", []netip.Addr{ours}, false, false},
		{"text.example", nil, false, false},
		{"none.example", nil, false, false},
		{"broken.example", nil, false, false},
		{"broken.example", []netip.Addr{ours}, false, false},
		{"slow.example", []netip.Addr{ours}, false, true},
		{"slow.example", nil, false, true},
	} {
		got, err := a.MayPassSPF(t.Context(), c.domain, c.from)
		if got != c.want || (err != nil) != c.failed {
			t.Errorf("%s from %v: %v, %v", c.domain, c.from, got, err)
		}
	}
}

func TestOrganizationalDomain(t *testing.T) {
	a := aligner(texts{"_dmarc.example.com": "v=DMARC1; p=none", "_dmarc.slow.example": "?"})
	for domain, want := range map[string]string{"example.com": "example.com", "news.example.com": "example.com", "a.slow.example": "", "a.none.example": ""} {
		got, err := a.OrganizationalDomain(t.Context(), domain)
		if got != want || (err != nil) != (domain == "a.slow.example") {
			t.Errorf("%s: %q, %v", domain, got, err)
		}
	}
}
