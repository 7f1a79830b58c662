package cmd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// TestSelftestShown: how a report looks on paper. What strangers wrote into the
// message cannot move the cursor.
func TestSelftestShown(t *testing.T) {
	box := appliance.Mailbox{Local: "app", Domain: "example.com"}
	item := func(lost int, status appliance.Standing, name, text, fix string, details ...string) selftest.Item {
		return selftest.Item{Finding: appliance.Finding{Name: name, Status: status, Text: text, Fix: fix, Details: details}, Lost: lost}
	}
	r := selftest.Report{
		Score: 45, Verdict: "Gmail and Yahoo would refuse or hide this; not met: TLS", Taken: true,
		Message: selftest.Summary{From: box, To: []appliance.Mailbox{box}, Author: "App <app@example.com>", Subject: "=?utf-8?q?Gr=C3=BC=C3=9Fe?= \x1b[2J", SignedBy: []string{"example.com"}},
		Groups: []selftest.Group{
			{Name: "SPF", Items: []selftest.Item{
				item(25, appliance.FoundFail, "SPF from 203.0.113.5", "fail for example.com: the record at example.com ends in -all, and nothing before it allows the address",
					"publish at example.com, type TXT: v=spf1 ip4:203.0.113.5 -all", "example.com: v=spf1 -all"),
				item(0, appliance.FoundOK, "HELO", "pass", ""),
			}},
			{Name: "the content", Items: []selftest.Item{item(0, appliance.FoundSkipped, "lines", "not known", "")}},
		},
		Requirements: []selftest.Requirement{{Name: "TLS", State: "not met"}, {Name: "SPF and DKIM pass", State: "met", Many: true}},
	}
	const want = `message     <app@example.com> to <app@example.com>: Grüße ·[2J
author      App <app@example.com>
signed for  example.com

SPF
  fail    SPF from 203.0.113.5 (-25): fail for example.com: the record at
          example.com ends in -all, and nothing before it allows the address
          → publish at example.com, type TXT: v=spf1 ip4:203.0.113.5 -all
          · example.com: v=spf1 -all
  ok      HELO: pass

the content
  skipped lines: not known

what Gmail and Yahoo ask for
  not met   TLS
  met       SPF and DKIM pass, if you send much

score       45 of 100
verdict     Gmail and Yahoo would refuse or hide this; not met: TLS
`
	v := checkupView{width: plainWidth}
	if diff := cmp.Diff(want, v.report(&r)); diff != "" {
		t.Error(diff)
	}
}
