package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// selftestRelay sends to a sink, from an address that only the DNS of the test
// knows.
const selftestRelay = `
resolver = %q

deliverability {
  addresses  = ["198.18.0.5"]
  blocklists = []
  watch      = "0s"
}

relay "mx" "out" {
  port           = %s
  mta_sts        = false
  allow_networks = ["127.0.0.0/8"]
}
`

// TestSelftest: the report of a real server changes with what the DNS says; the
// message goes nowhere, unless it is to.
func TestSelftest(t *testing.T) {
	var box inbox
	_, port, err := net.SplitHostPort(newSink(t, box.got).Addr())
	if err != nil {
		t.Fatal(err)
	}
	dns := dnstest.Unbound(t,
		dnstest.Zone{Name: "example.com.", Records: "@ MX 10 mail\n@ TXT \"v=spf1 ip4:198.18.0.5 -all\"\nmail A 198.18.0.5\n_dmarc TXT \"v=DMARC1; p=reject\"\n"},
		dnstest.Zone{Name: "example.net.", Records: "@ MX 10 mx\nmx A 127.0.0.1\n"},
		dnstest.Zone{Name: "18.198.in-addr.arpa.", Records: "5.0 PTR mail.example.com.\n"},
	)
	p := newProcess(t, fmt.Sprintf(selftestRelay, dns.Addr, port))
	p.start()

	// The key that has just been made is not in the DNS.
	report, out := p.selftest(1, "--from", "app@example.com")
	if report.Good || !strings.Contains(out, "waxwing._domainkey.example.com has no TXT record") || !strings.Contains(out, "publish at waxwing._domainkey.example.com, type TXT, in one record: v=DKIM1; k=rsa; p=") {
		t.Errorf("without the key: %+v", report)
	}
	dns.Set(t, "waxwing._domainkey.example.com", "TXT", p.ownKey())
	report, out = p.selftest(0, "--from", "app@example.com", "--user", "app")
	if report.Score != 100 || report.Verdict != "Gmail and Yahoo would take this: it has all that they ask of those who send much" {
		t.Errorf("with all records: %d, %s\n%s", report.Score, report.Verdict, out)
	}
	dns.Set(t, "5.0.18.198.in-addr.arpa", "PTR")
	report, _ = p.selftest(1, "--from", "app@example.com")
	if report.Good || !strings.Contains(report.Verdict, "(PTR)") {
		t.Errorf("without a PTR record: %s", report.Verdict)
	}
	// The user may not send so: nothing gets to the receiver.
	report, _ = p.selftest(1, "--from", "boss@other.example", "--user", "app", "--to", "you@example.net")
	if report.Taken || report.Score != 0 || !strings.HasPrefix(report.Groups[0].Items[0].Text, "this server refuses the message: 550 5.7.1") {
		t.Errorf("of another: %+v", report)
	}
	p.checkBulk()
	if n := len(box.all()); n != 0 || p.log.Count(`"accepted"`) != 0 {
		t.Errorf("%d messages have left", n)
	}
	p.selftest(1, "--from", "app@example.com", "--to", "you@example.net")
	until(t, 20*time.Second, "the message that is sent for true has arrived", func() bool { return len(box.all()) == 1 })
}

// checkBulk tests a newsletter without a way out of it.
func (p *process) checkBulk() {
	p.t.Helper()
	file := filepath.Join(p.dir, "news.eml")
	if err := os.WriteFile(file, []byte("From: app@example.com\nTo: all@example.net\nSubject: news\nPrecedence: bulk\n\nHello\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if report, _ := p.selftest(1, "--message", file); !report.Message.Bulk || !strings.Contains(report.Verdict, "one click") {
		p.t.Errorf("a newsletter: %+v", report)
	}
}

// selftest runs the command, which must end with the status.
func (p *process) selftest(status int, args ...string) (report selftest.Report, out string) {
	p.t.Helper()
	out, err := p.try(append([]string{"selftest", "--json"}, args...)...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	}
	if got != status {
		p.t.Fatalf("selftest %s: exit status %d, want %d\n%s", args, got, status, out)
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	return report, out
}

// ownKey is the record of the key that the server has made, as a zone file has
// it.
func (p *process) ownKey() string {
	p.t.Helper()
	_, record, ok := strings.Cut(p.run("dkim", "show"), " TXT ")
	if !ok {
		p.t.Fatal("dkim show shows no TXT record")
	}
	record, _, _ = strings.Cut(record, "\n")
	return record
}

// TestAlignment: a real server refuses mail that DMARC would fail, when the DNS
// says so for certain.
func TestAlignment(t *testing.T) {
	dns := dnstest.Unbound(t,
		dnstest.Zone{Name: "closed.test.", Records: "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n"},
		dnstest.Zone{Name: "open.test.", Records: "@ TXT \"v=spf1 ip4:198.18.0.5 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n"},
		dnstest.Zone{Name: "lost.test.", DNSSEC: dnstest.Expired, Records: "@ TXT \"v=spf1 -all\"\n"},
	)
	p := newProcess(t, fmt.Sprintf(selftestRelay, dns.Addr, "25"))
	p.setting("  relay     = relay.out", "  relay     = relay.out\n  unsigned  = \"allow\"\n  alignment = \"reject\"")
	p.start()
	send := func(from string) (string, error) {
		return p.try("send", "--from", from, "--to", "you@nowhere.test", "--subject", "x", "--body", "x", "--wait=false")
	}
	if out, err := send("a@closed.test"); err == nil || !strings.Contains(out, "550 5.7.1 Nothing proves that this message is from closed.test: it is not signed, and SPF cannot pass") {
		t.Errorf("%v: %s", err, out)
	}
	for _, from := range []string{"a@open.test", "a@lost.test", "app@example.com"} {
		if out, err := send(from); err != nil {
			t.Errorf("from %s: %s", from, out)
		}
	}
	if n := p.log.Count(`"msg":"unaligned"`); n != 1 {
		t.Errorf("%d warnings, one of lost.test is due", n)
	}
}
