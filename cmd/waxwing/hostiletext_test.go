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

// rude is a next hop that greets with each of the texts in turn, and refuses
// 3@example.net with the third.
func rude(t *testing.T, texts []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			refuse(c, texts, n%len(texts))
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func refuse(c net.Conn, texts []string, n int) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(c, "220 mx%s\r\n", texts[n])
	for lines := bufio.NewScanner(c); lines.Scan(); {
		switch lines.Text()[:4] {
		case "EHLO":
			_, _ = fmt.Fprintf(c, "250-mx%s\r\n250 DSN\r\n", texts[n])
		case "RCPT":
			_, _ = fmt.Sscanf(lines.Text(), "RCPT TO:<%d@", &n)
			_, _ = fmt.Fprintf(c, "550-5.1.1 no%s\r\n550 5.1.1 such%[1]s\r\n", texts[n])
		case "QUIT":
			return
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
	t.Attr("tried", strconv.Itoa(len(texts)))
	p := newProcess(t, smarthost(rude(t, texts))+"\nrelay \"capture\" \"reports\" {}")
	p.setting("queue { concurrency = 20 }", `log { level = "debug" }`)
	p.setting("  relay     = relay.out", `  relay     = relay.out
  route {
    when  = recipient.domain == "example.com"
    relay = relay.reports
  }`)
	p.start()
	for i, text := range texts {
		p.talk(text, i)
	}
	var ids [][]string
	until(t, 30*time.Second, "the reports are there", func() bool {
		ids = capturedID.FindAllStringSubmatch(p.run("capture", "list", "--json"), -1)
		return len(ids) == len(texts)
	})
	said := p.log.String() + p.run("status") + p.run("queue", "list") + p.run("capture", "list", "--json")
	for _, id := range ids {
		report := p.run("capture", "show", id[1])
		if !strings.Contains(report, "Diagnostic-Code: smtp; 550") {
			t.Errorf("the report is not about the refusal:\n%s", report)
		}
		said += report
	}
	checkText(t, said)
}

// checkText looks for what would be a line, a field or a command of a terminal.
func checkText(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), appliance.IsControl) || strings.HasPrefix(line, "X-Injected") || strings.HasPrefix(line, `{"level":"error"`) {
			t.Errorf("a line is %q", line)
		}
	}
	if strings.Contains(said, password) {
		t.Error("a variable was put in")
	}
}

// talk says the text wherever a client can say something, and then sends a
// message to n@example.net.
func (p *process) talk(text string, n int) {
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
	to, xtext := fmt.Sprintf("RCPT TO:<%d@example.net>", n), ""
	for _, b := range []byte(text) {
		xtext += fmt.Sprintf("+%02X", b)
	}
	replies := textproto.NewReader(bufio.NewReader(conn))
	for _, line := range []string{
		"", "EHLO client" + text, "EHLO client.example", text, plain("app" + text), plain("app"),
		"MAIL FROM:<app" + text + "@example.com>", "MAIL FROM:<app@example.com> ENVID=" + xtext, "RSET",
		"MAIL FROM:<app@example.com> ENVID=id", "RCPT TO:<x" + text + "@example.net>",
		to + " ORCPT=rfc822;" + xtext, to, "DATA",
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
