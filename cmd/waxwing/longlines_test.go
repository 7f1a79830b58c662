package main

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// TestLongLines_H12: HTML in one line, as programs make it, leaves in lines that
// every server takes, says the same, and has a signature that holds.
func TestLongLines_H12(t *testing.T) {
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	s, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	html := "<html>" + strings.Repeat(`<a href="https://example.com/?a=b&c=d">Grüße</a> `, 5000) + "</html>\r\n"
	in := "From: app@example.com\r\nTo: someone@example.net\r\nSubject: newsletter\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + html
	if _, err := s.Submit("app@example.com", []string{"someone@example.net"}, []byte(in)); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the message has arrived", func() bool { return len(box.all()) == 1 })
	m := box.all()[0].Data
	for line := range bytes.Lines(m) {
		if len(line) > 998+2 {
			t.Fatalf("a line has %d octets", len(line))
		}
	}
	header, body, _ := bytes.Cut(m, []byte("\r\n\r\n"))
	if !bytes.Contains(header, []byte("\r\nContent-Transfer-Encoding: quoted-printable")) {
		t.Errorf("the header does not say how it is encoded:\n%s", header)
	}
	got, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	if err != nil || string(got) != html {
		t.Errorf("%v: %d octets of HTML have become %d: %.200q", err, len(html), len(got), got)
	}
	dkimVerify(t, dkimRecords(t, p), m)
}
