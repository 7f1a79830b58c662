package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestP19Dump: the server dies with the text that Go writes of every goroutine,
// with a user logged in and a message that waits. None of its secrets are in it,
// nor in its command line.
func TestP19Dump(t *testing.T) {
	const hop = "MARK-next-hop-password"
	p := newProcess(t, `relay "smarthost" "out" {
  address  = "127.0.0.1:1"
  username = "relay-user"
  password = "`+hop+`"
}`)
	p.wrap = []string{"env", "GOTRACEBACK=all"}
	p.start()
	p.submitTo(p.submitter(), "someone@example.net", "waits")
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the server has ended", p.ended)
	_ = p.cmd.Wait()
	p.cmd = nil
	text := p.log.String() + string(cmdline)
	if n := strings.Count(text, "\ngoroutine "); n < 10 || !strings.Contains(text, "smtpserver") {
		t.Fatalf("%d goroutines tell of themselves", n)
	}
	for _, secret := range []string{password, hop, "PRIVATE KEY"} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				t.Errorf("%q is in what the server left", form)
			}
		}
	}
}
