package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/doctor"
)

// theReport has a finding of each kind, a record to copy, and what a stranger
// has written.
func theReport() *doctor.Report {
	return &doctor.Report{
		Status: appliance.FoundFail, Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Hostname: "mail.example.com", Running: true,
		Notes: []string{"Nobody outside of this machine is asked (--offline)."},
		Groups: []appliance.Finding{
			{Name: "the way out", Status: appliance.FoundOK, Parts: []appliance.Finding{
				{Name: "port 25 outwards", Status: appliance.FoundOK, Text: "open", Details: []string{"mx.test: 220 \x1b[31mhello"}},
			}},
			{Name: "domain example.com", Domain: "example.com", Status: appliance.FoundFail, Parts: []appliance.Finding{
				{Name: "MX", Status: appliance.FoundWarn, Text: "example.com has no MX: answers go to its address", Fix: "publish an MX record", Details: []string{"as it came to that"}},
				{Name: "DKIM key sel", Status: appliance.FoundFail, Text: "there is no TXT record at sel._domainkey.example.com: mail counts as not signed",
					Fix: "publish this record:\nsel._domainkey.example.com. IN TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\""},
				{Name: "blocklists", Status: appliance.FoundOK, Text: "example.com is not listed by a.test", Parts: []appliance.Finding{
					{Name: "example.com on a.test", Status: appliance.FoundOK, Text: "a.test does not list example.com"},
				}},
				{Name: "BIMI", Status: appliance.FoundSkipped, Text: "there is none"},
				{Name: "blocklists", Status: appliance.FoundSkipped, Text: "none of 2 lists says anything", Parts: []appliance.Finding{
					{Name: "example.com on b.test", Status: appliance.FoundSkipped}, {Name: "example.com on c.test", Status: appliance.FoundSkipped},
				}},
			}},
		},
	}
}

const theReport60 = `Nobody outside of this machine is asked (--offline).

the way out
  ok      port 25 outwards: open

domain example.com
  warn    MX: example.com has no MX: answers go to its
          address
          → publish an MX record
          · as it came to that
  fail    DKIM key sel: there is no TXT record at
          sel._domainkey.example.com: mail counts as not
          signed
          → publish this record:
            sel._domainkey.example.com. IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
  ok      blocklists: example.com is not listed by a.test
  skipped BIMI: there is none
  skipped blocklists: none of 2 lists says anything

mail.example.com: 2 ok, 1 warning, 1 failed, 2 skipped
`

func TestCheckupView(t *testing.T) {
	v := checkupView{width: 60}
	if diff := cmp.Diff(theReport60, v.render(theReport())); diff != "" {
		t.Error(diff)
	}
	v = checkupView{width: 60, verbose: true}
	text := v.render(theReport())
	for _, want := range []string{"          · mx.test: 220 ·[31mhello\n", "    ok      example.com on a.test: a.test does not list\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("--verbose has no %q:\n%s", want, text)
		}
	}
	v = checkupView{colour: true}
	text = v.render(theReport())
	for _, want := range []string{"  \x1b[32mok     \x1b[0m port 25", "  \x1b[33mwarn   \x1b[0m MX", "  \x1b[31mfail   \x1b[0m DKIM", "  \x1b[90mskipped\x1b[0m BIMI"} {
		if !strings.Contains(text, want) {
			t.Errorf("in colour there is no %q:\n%q", want, text)
		}
	}
}

// TestCheckupExits: 1 for what has failed, and in JSON all there is.
func TestCheckupExits(t *testing.T) {
	for _, json := range []bool{false, true} {
		var out bytes.Buffer
		p := &program{out: &out, json: json}
		if status := p.report(p.showReport(theReport(), false)); status != exitFailed {
			t.Errorf("json %v: status %d", json, status)
		}
		if json != strings.Contains(out.String(), `"fix": "publish this record:\nsel._domainkey`) {
			t.Errorf("json %v: %s", json, out.String())
		}
		well := theReport()
		well.Status = appliance.FoundWarn
		if err := p.showReport(well, false); err != nil {
			t.Errorf("warnings: %v", err)
		}
	}
}
