package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
)

// explainRelay asks two DNS servers of which one is dead, and believes them.
const explainRelay = `
resolver = [%q, %q]
dnssec   = true

relay "mx" "out" {
  port           = %s
  mta_sts        = false
  allow_networks = ["127.0.0.0/8"]
  provider "partner" {
    mx          = [".unsigned.test"]
    connections = 3
  }
  tls_reports { from = "postmaster@example.com" }
}
`

// TestExplainDNS: what explain finds out of a resolver that validates, what it
// hears from the server that runs, and what that has counted for the domain
// when the mail has gone there.
func TestExplainDNS(t *testing.T) {
	var box inbox
	_, port, err := net.SplitHostPort(newSink(t, box.got).Addr())
	if err != nil {
		t.Fatal(err)
	}
	const mx = "@ MX 10 mx\nmx A 127.0.0.1\n"
	dns := dnstest.Unbound(t,
		dnstest.Zone{Name: "signed.test.", DNSSEC: dnstest.Signed, Records: mx + "_" + port + "._tcp.mx TLSA 3 1 1 " + strings.Repeat("ab", 32)},
		dnstest.Zone{Name: "unsigned.test.", Records: mx + `_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@unsigned.test"`},
	)
	p := newProcess(t, fmt.Sprintf(explainRelay, freeAddress(t), dns.Addr, port))
	explain := func(domain string, want ...string) {
		t.Helper()
		out := p.run("explain", "--from", "app@example.com", "--to", "you@"+domain, "--user", "app", "--dns")
		flat := strings.Join(strings.Fields(out), " ")
		for _, w := range want {
			if !strings.Contains(flat, w) {
				t.Errorf("%s: no %q in\n%s", domain, w, out)
			}
		}
	}
	explain("signed.test",
		"site mx.signed.test: the limits of the queue, and none besides [default of mail.hcl:22]",
		"MTA-STS is not used [mail.hcl:24]",
		"DANE mx.signed.test: 1 usable TLSA record at mx.signed.test: 3 1 1 abab",
		"TLS mx.signed.test: TLS with a certificate of its TLSA records, or no delivery [default of mail.hcl:22]",
		"now does not answer: whether the mail would have to wait is not known [running server]")
	explain("unsigned.test",
		"site provider partner: at most 3 deliveries at a time [mail.hcl:26]",
		"server mx.unsigned.test, port "+port+": 127.0.0.1 [mail.hcl:22]",
		"DANE mx.unsigned.test: nothing counts: DNSSEC does not vouch for the MX records of the domain")

	p.start()
	p.run("queue", "suspend", "unsigned.test", "--reason", "they asked for it")
	explain("unsigned.test", "now unsigned.test is suspended since", "until it is resumed: they asked for it [running server]")
	explain("signed.test", "now nothing is being delivered there, and nothing is known against it [running server]")
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const to = "you@unsigned.test"
	if _, err := c.Submit("app@example.com", []string{to}, appliancetest.Message("app@example.com", to, "test", 100)); err != nil {
		t.Fatal(err)
	}
	if out := p.run("tls", "reports"); out != "nothing has been counted yet\n" {
		t.Errorf("before the mail has gone:\n%s", out)
	}
	p.run("queue", "resume", "unsigned.test")
	until(t, 10*time.Second, "the mail is there", func() bool { return len(box.all()) == 1 })
	out := p.run("tls", "reports")
	if flat := strings.Join(strings.Fields(out), " "); !strings.Contains(flat, "unsigned.test 0 1 to mailto:tls@unsigned.test, ") || !strings.HasSuffix(flat, " starttls-not-supported: 1") {
		t.Errorf("after it:\n%s", out)
	}
}
