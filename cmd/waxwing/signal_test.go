package main

import (
	"crypto/tls"
	"net/smtp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignalTwice: timeout(1) sends its signal to the process and to its
// group. That is one wish, not two: a message under way is still finished.
func TestSignalTwice(t *testing.T) {
	p := newProcess(t, `relay "discard" "out" {}`)
	p.start()
	conn, err := tls.Dial("tcp", p.tls, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []func() error{
		func() error { return c.Auth(smtp.PlainAuth("", "app", password, "127.0.0.1")) },
		func() error { return c.Mail("app@example.com") },
		func() error { return c.Rcpt("you@example.net") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		until(t, 10*time.Second, "the signal is taken", func() bool { return strings.Contains(p.log.String(), `"stopping"`) })
	}
	if _, err := w.Write([]byte("From: app@example.com\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("the message that had begun: %v", err)
	}
	if err := p.cmd.Wait(); err != nil || !strings.Contains(p.log.String(), `"stopped"`) {
		t.Errorf("it did not end in good order: %v", err)
	}
	p.cmd = nil
}
