package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestShowTLSReports: what was counted, where it goes, or why nowhere.
func TestShowTLSReports(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 0, 0, 0, time.Local)
	due := now.Add(3 * time.Hour)
	failures := []appliance.TLSReportFailure{{Type: "certificate-expired", Sessions: 4}, {Type: "starttls-not-supported", Sessions: 1}}
	reports := []appliance.TLSReport{
		{Day: "2026-11-23", Domain: "b.test", State: appliance.TLSReportCounting, Successful: 12, Failed: 5, Failures: failures, Due: due, To: []string{"mailto:t@b.test", "https://b.test"}},
		{Day: "2026-11-23", Domain: "c.test", State: appliance.TLSReportCounting, Successful: 3, Due: due, Why: "the domain has no TLSRPT record"},
		{Day: "2026-11-22", Domain: "d\x1b.test", State: appliance.TLSReportWaiting, Successful: 3, Due: now.Add(-time.Hour), GivenUp: due, To: []string{"https://d.test"}},
		{Day: "2026-11-22", Domain: "e.test", State: appliance.TLSReportDone, Due: due, To: []string{"https://e.test"}},
	}
	show := func(page admin.TLSReportPage, domain string) string {
		t.Helper()
		var out bytes.Buffer
		if err := (&program{out: &out}).showTLSReports(page, domain, now); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := `DAY         DOMAIN   GOOD  FAILED  REPORT
2026-11-23  b.test   12    5       to mailto:t@b.test, or https://b.test, 2026-11-24 02:00:00, in 3h
  certificate-expired: 4, starttls-not-supported: 1
2026-11-23  c.test   3     0       none: the domain has no TLSRPT record
2026-11-22  d·.test  3     0       to https://d.test, tried again until 2026-11-24 02:00:00
2026-11-22  e.test   0     0       done with
there are more: --limit shows them, --domain those of one domain
`
	if got := show(admin.TLSReportPage{Reports: reports, Relays: []string{"relay.out"}, More: true}, ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	reports[3].Relay = "relay.eu"
	got := show(admin.TLSReportPage{Reports: reports[3:], Relays: []string{"relay.eu", "relay.us"}}, "")
	if !strings.HasPrefix(got, "RELAY     DAY ") || !strings.Contains(got, "\nrelay.eu  2026-11-22  e.test") {
		t.Errorf("two relays:\n%s", got)
	}
	for want, page := range map[string]admin.TLSReportPage{
		"nothing is counted: no relay has a tls_reports block\n": {},
		"nothing has been counted for x.test\n":                  {Relays: []string{"relay.out"}},
	} {
		if got := show(page, "x.test"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := show(admin.TLSReportPage{Relays: []string{"relay.out"}}, ""); got != "nothing has been counted yet\n" {
		t.Errorf("%q", got)
	}
}
