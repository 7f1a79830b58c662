package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// submitForSuccess submits a message whose sender wants to know that it has
// arrived, with the client that has the words for it.
func submitForSuccess(t *testing.T, p *process) {
	t.Helper()
	const script = `
import smtplib, ssl, sys
host, port, password = sys.argv[1:4]
with smtplib.SMTP(host, int(port)) as s:
    s.starttls(context=ssl._create_unverified_context())
    s.login("app", password)
    s.sendmail("app@example.com", ["someone@example.net"],
               "From: app@example.com\r\nTo: someone@example.net\r\nSubject: tell me\r\n\r\nhello\r\n",
               ["RET=HDRS", "ENVID=order+2B4711"], ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;uno@example.net"])
`
	python(t)
	host, port, _ := net.SplitHostPort(p.submit)
	output(t, exec.Command("/usr/bin/python3", "-c", script, host, port, password))
}

// checkReport looks for what every report of success about that message says.
func checkReport(t *testing.T, report []byte, more ...string) {
	t.Helper()
	for _, want := range append([]string{
		"multipart/report", "Original-Envelope-Id: order+4711", "Final-Recipient: rfc822; someone@example.net", "uno@example.net",
	}, more...) {
		if !bytes.Contains(report, []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

// A next hop without DSN does not report; we say that we have passed it on
// (RFC 3461, section 5.2.2).
func TestSuccessWithoutDSN(t *testing.T) {
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	submitForSuccess(t, p)
	until(t, 10*time.Second, "message and report have arrived", func() bool { return len(box.all()) == 2 })
	report := box.all()[1]
	if report.From != "" || len(report.To) != 1 || report.To[0] != "app@example.com" {
		t.Errorf("a report from %q to %q", report.From, report.To)
	}
	checkReport(t, report.Data, "Action: relayed", "Diagnostic-Code: smtp; 250")
	dkimVerify(t, dkimRecords(t, p), report.Data)
}

// Postfix offers DSN, is told what the sender wants, and does it; nobody else
// reports.
func TestSuccessWithDSN(t *testing.T) {
	postfix := startPostfix(t)
	p := newProcess(t, fmt.Sprintf("relay \"smarthost\" \"out\" {\n  address = %q\n  tls = \"opportunistic\"\n}", postfix.address))
	p.start()
	submitForSuccess(t, p)
	until(t, 30*time.Second, "Postfix has stored message and report", func() bool { return len(postfix.stored(t)) == 2 })
	p.terminate() // nothing else is on its way
	reports := 0
	for _, m := range postfix.stored(t) {
		if bytes.Contains(m, []byte("multipart/report")) {
			reports++
			checkReport(t, m, "Reporting-MTA: dns; postfix.example.net", "Action: delivered")
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, one wanted", reports)
	}
}
