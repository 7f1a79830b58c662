package appliance_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestDNSRecordStrings(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 510, 511} {
		r := appliance.DNSRecord{Type: "TXT", Value: strings.Repeat("x", n)}
		parts := r.Strings()
		if strings.Join(parts, "") != r.Value {
			t.Errorf("%d octets: the parts do not make the value", n)
		}
		if slices.ContainsFunc(parts, func(s string) bool { return len(s) > 255 }) {
			t.Errorf("%d octets: a part is longer than 255", n)
		}
		if want := max(1, (n+254)/255); len(parts) != want {
			t.Errorf("%d octets: %d parts, want %d", n, len(parts), want)
		}
	}
}

func TestDNSRecordZone(t *testing.T) {
	long := "v=DKIM1; p=" + strings.Repeat("A", 300)
	for _, c := range []struct {
		record appliance.DNSRecord
		want   string
	}{
		{
			appliance.DNSRecord{Name: "example.com", Type: "MX", Value: "10 mail.example.com."},
			"example.com. IN MX 10 mail.example.com.",
		},
		{
			appliance.DNSRecord{Name: "_25._tcp.mail.example.com", Type: "TLSA", Value: "3 1 1 00ff"},
			"_25._tcp.mail.example.com. IN TLSA 3 1 1 00ff",
		},
		{
			appliance.DNSRecord{Name: "a.example.com", Type: "TXT", Value: `say "hi" \o/`},
			`a.example.com. IN TXT "say \"hi\" \\o/"`,
		},
		{
			appliance.DNSRecord{Name: "s._domainkey.example.com", Type: "TXT", Value: long},
			`s._domainkey.example.com. IN TXT "` + long[:255] + `" "` + long[255:] + `"`,
		},
	} {
		if got := c.record.Zone(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
