package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A user who has sent two messages in the busiest hour of five days suddenly
// sends to eleven people. The eleventh message is accepted and held; a person
// finds it, and lets it go.
func TestSuddenChangeReleased(t *testing.T) {
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	p := newProcess(t, smarthost(newSink(t, book.got).Addr()))
	p.setting("queue { concurrency = 20 }", `check "sudden_change" "brake" { min_recipients = 10 }`)
	p.setting("[check.own]", "[check.own, check.brake]")
	p.start()
	if err := submitOne(p, book, 0); err != nil {
		t.Fatal(err)
	}
	p.terminate() // writes what it knows of the user
	p.giveHistory("app")
	p.start()
	for n := range 11 {
		if err := submitOne(p, book, 1+n); err != nil {
			t.Fatal(err)
		}
	}
	until(t, 10*time.Second, "what is not held is delivered", func() bool { return book.missing() == 1 })
	_, rest, _ := strings.Cut(p.run("queue", "list", "--held", "--json"), `"id":`)
	id, rest, _ := strings.Cut(strings.TrimLeft(rest, ` "`), `"`)
	if id == "" || strings.Contains(rest, `"id":`) {
		t.Fatalf("%q is held, and then %s", id, rest)
	}
	if show := p.run("queue", "show", id); !strings.Contains(show, "11 recipients in an hour, where the most has been 2") {
		t.Errorf("queue show %s does not say why:\n%s", id, show)
	}
	if out := p.run("queue", "release", id); !strings.Contains(out, "1 delivery") {
		t.Errorf("queue release: %s", out)
	}
	until(t, 10*time.Second, "what was released is delivered", func() bool { return book.missing() == 0 })
}

// giveHistory makes a user, of whom the check knows one message, known for a
// month: with two recipients in an hour of each of five days.
func (p *process) giveHistory(user string) {
	p.t.Helper()
	place := filepath.Join(p.dir, "data")
	today := time.Now().Unix() / (24 * 60 * 60)
	var days []string
	for ago := int64(5); ago > 0; ago-- {
		days = append(days, fmt.Sprintf(`{"day":%d,"most":[2,1,0]}`, today-ago))
	}
	text := fmt.Sprintf(`{"user":%q,"record":{"since":%q,"days":[%s]}}`,
		user, time.Now().Add(-30*24*time.Hour).Format(time.RFC3339), strings.Join(days, ","))
	found := 0
	err := filepath.WalkDir(place, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(name, "/check/brake/users/") {
			return err
		}
		found++
		return os.WriteFile(name, []byte(text), 0o600)
	})
	if err != nil || found != 1 {
		p.t.Fatalf("%d records of users: %v", found, err)
	}
}
