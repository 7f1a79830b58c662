package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// rude is a next hop that refuses everybody with the given text.
func rude(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			refuse(c, text)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func refuse(c net.Conn, text string) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(c, "220 mx%s\r\n", text)
	for lines := bufio.NewScanner(c); lines.Scan(); {
		switch lines.Text()[:4] {
		case "EHLO":
			_, _ = fmt.Fprintf(c, "250-mx%s\r\n250 DSN\r\n", text)
		case "RCPT":
			_, _ = fmt.Fprintf(c, "550-5.1.1 no%s\r\n550 5.1.1 such%s\r\n", text, text)
		default:
			_, _ = io.WriteString(c, "250 ok\r\n")
		}
	}
}

// TestH1_X8: what clients and next hops say in fields, replies and names appears
// in no log, report, header or list as a line, a field or a command of a
// terminal.
func TestH1_X8(t *testing.T) {
	t.Parallel()
	texts := []string{
		"\x1b[2J\x1b]0;owned\x07", "\x00", "\rX-Injected: 1", "\u0085X-Injected: 1", "\u2028X-Injected: 1",
		"\u202eevil\u202c", "\xff\xfe\x80", "\x7f\x08", "\"}\\n{\"level\":\"error\"", "%s%n${env.APP_PASSWORD}",
	}
	for i, text := range texts {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			checkText(t, text)
		})
	}
}

// checkText runs a server that meets the text everywhere, and reads all that it
// says.
func checkText(t *testing.T, text string) {
	p := newProcess(t, smarthost(rude(t, text))+"\nrelay \"capture\" \"reports\" {}")
	p.setting("queue { concurrency = 20 }", `log { level = "debug" }`)
	p.setting("  relay     = relay.out", `  relay     = relay.out
  route {
    when  = recipient.domain == "example.com"
    relay = relay.reports
  }`)
	p.start()
	p.talk(text)
	var report string
	until(t, 20*time.Second, "the report is there", func() bool {
		id := capturedID.FindStringSubmatch(p.run("capture", "list", "--json"))
		if id != nil {
			report = p.run("capture", "show", id[1])
		}
		return id != nil
	})
	said := p.log.String() + report + p.run("status") + p.run("queue", "list") + p.run("capture", "list", "--json")
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), appliance.IsControl) || strings.HasPrefix(line, "X-Injected") || strings.HasPrefix(line, `{"level":"error"`) {
			t.Errorf("a line is %q", line)
		}
	}
	if strings.Contains(said, password) {
		t.Error("a variable was put in")
	}
	if !strings.Contains(report, "Diagnostic-Code: smtp; 550") {
		t.Errorf("the report is not about the refusal:\n%s", report)
	}
}

// talk says the text wherever a client can say something.
func (p *process) talk(text string) {
	p.t.Helper()
	conn, err := tls.Dial("tcp", p.tls, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	plain := func(user string) string {
		return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
	}
	xtext := ""
	for _, b := range []byte(text) {
		xtext += fmt.Sprintf("+%02X", b)
	}
	replies := textproto.NewReader(bufio.NewReader(conn))
	for _, line := range []string{
		"", "EHLO client" + text, "EHLO client.example", text, plain("app" + text), plain("app"),
		"MAIL FROM:<app" + text + "@example.com>", "MAIL FROM:<app@example.com> ENVID=" + xtext, "RSET",
		"MAIL FROM:<app@example.com> ENVID=id", "RCPT TO:<x" + text + "@example.net>",
		"RCPT TO:<you@example.net> ORCPT=rfc822;" + xtext, "RCPT TO:<me@example.net>", "DATA",
		"From: app@example.com\r\nSubject: x\r\n\r\ntext\r\n.", "QUIT",
	} {
		if line != "" {
			_, _ = io.WriteString(conn, line+"\r\n")
		}
		if code, said, err := replies.ReadResponse(0); code == 0 || strings.ContainsFunc(strings.ReplaceAll(said, "\n", ""), appliance.IsControl) {
			p.t.Fatalf("%q is answered %d %q, %v", line, code, said, err)
		}
	}
}

var capturedID = regexp.MustCompile(`"id": "([^"]+)"`)
