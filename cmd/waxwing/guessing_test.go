package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// A6: passwords are guessed at the account of a running server. A person sees
// it, the user gets in all the same, and a command forgives. Then what the user
// may send is used up, which a restart does not change.
func TestGuessingAndQuota_A6(t *testing.T) {
	sink := newSink(t, func(*appliancetest.SinkMessage) string { return "" })
	p := newProcess(t, smarthost(sink.Addr()))
	p.setting("queue { concurrency = 20 }", "logins { account_failures = 3 }\n"+`check "quota" "users" { messages_per_hour = 2 }`+"\n"+
		`check "sudden_change" "brake" {}`)
	p.setting("[check.own]", "[check.own, check.brake, check.users]")
	p.start()
	for i := range 4 {
		c := p.login()
		c.Password = fmt.Sprint("guessed-", i)
		if _, err := appliancetest.DialSubmitter(c); err == nil || !strings.Contains(err.Error(), "535") {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if list := p.run("bans", "list"); !strings.Contains(list, "account  app") {
		t.Errorf("bans list:\n%s", list)
	}
	send := func() error {
		s, err := appliancetest.DialSubmitter(p.login())
		if err != nil {
			t.Fatalf("the user cannot log in: %v", err)
		}
		defer s.Close()
		_, err = s.Submit("app@example.com", []string{"you@example.net"}, []byte("From: app@example.com\r\nSubject: x\r\n\r\nhello\r\n"))
		return err
	}
	for range 2 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	if out := p.run("bans", "clear", "app"); !strings.Contains(out, "1 entry cleared") {
		t.Error(out)
	}
	if out := p.run("bans", "list"); !strings.Contains(out, "nobody is banned") {
		t.Error(out)
	}
	for range 2 {
		if err := send(); err == nil || !strings.Contains(err.Error(), "452") || !strings.Contains(err.Error(), "2 messages in an hour") {
			t.Errorf("beyond the quota: %v", err)
		}
		p.terminate()
		p.start()
	}
	if log := p.log.String(); !strings.Contains(log, "an account is under attack") || strings.Contains(log, "guessed-") {
		t.Error("the log does not tell of the attack, or it tells the passwords")
	}
}
