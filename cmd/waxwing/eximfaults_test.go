package main

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// moodyACL makes of Exim a server that answers by the name of the recipient, and
// by the subject when it has the content.
const moodyACL = `
acl_smtp_data = data
begin acl
rcpt:
  deny local_parts = gone
    message = 5.1.1 no such user
  defer local_parts = busy
    message = 4.2.1 come back later
  drop local_parts = cut
    message = 5.7.1 go away
  accept domains = example.net : example.com
data:
  deny condition = ${if match{$h_subject:}{spam}}
    message = 5.7.1 not this
  defer condition = ${if match{$h_subject:}{slow}}
    message = 4.7.0 not now
  accept
`

// localFate is what a report says about a recipient.
var localFate = regexp.MustCompile(`Final-Recipient: rfc822; (\S+)@example\.net\r?\nAction: (\S+)\r?\nStatus: (\S+)`)

// TestEximFaults (N5, N9): what Exim refuses is bounced, what it defers is tried
// again for as long as it may, at RCPT and after the content, with BDAT; the
// others, in the same message or on the same connection, get theirs.
func TestEximFaults(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	for _, d := range []string{"spool", "log", "box"} {
		writable(t, dir, d)
	}
	conf := filepath.Join(dir, "exim.conf")
	text := fmt.Sprintf(eximConf, dir, peers)
	i, j := strings.Index(text, "begin acl"), strings.Index(text, "begin routers")
	write(t, conf, text[:i]+moodyACL+text[j:])
	address := freeAddress(t)
	_ = run(t, apart(t, "exim4", "-C", conf, "-bdf", "-oX", strings.Replace(address, ":", ".", 1)), "tcp", address).Close()

	p := newProcess(t, smarthost(address))
	p.setting("queue { concurrency = 20 }", "queue {\n  retry = \"1s*\"\n  lifetime = \"3s\"\n  warn_after = \"0\"\n  destination_concurrency = 1\n}")
	p.start()
	s := p.submitter()
	for _, m := range []struct {
		subject string
		to      []string
	}{
		{"mixed", []string{"one", "gone", "two", "busy", "three"}},
		{"spam", []string{"four"}},
		{"slow", []string{"five"}},
		{"cut", []string{"cut"}},
		{"good", []string{"six"}},
	} {
		var to []string
		for _, local := range m.to {
			to = append(to, local+"@example.net")
		}
		if _, err := s.Submit("app@example.com", to, appliancetest.Message("app@example.com", to[0], m.subject, 2000)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"mixed": strings.Repeat("delivered", 3), "good": "delivered", // Exim makes a file for each recipient
		"gone": "failed 5.1.1", "busy": "failed 4.4.7", "four": "failed 5.7.1", "five": "failed 4.4.7", "cut": "failed 5.7.1",
	}
	read := maildir(t, filepath.Join(dir, "box"))
	defer func() {
		if t.Failed() {
			t.Logf("the fates are %v", localFates(read()))
		}
	}()
	until(t, 30*time.Second, "everything has come to its end", func() bool { return maps.Equal(localFates(read()), want) })
	if out := p.run("queue", "list"); !strings.Contains(out, "empty") {
		t.Errorf("the queue is not empty:\n%s", out)
	}
}

// localFates says of each message by its subject that it was delivered, and of
// each recipient what a report says.
func localFates(mail [][]byte) map[string]string {
	got := make(map[string]string)
	for _, m := range mail {
		if all := localFate.FindAllSubmatch(m, -1); all != nil {
			for _, f := range all {
				got[string(f[1])] += fmt.Sprintf("%s %s", f[2], f[3])
			}
			continue
		}
		_, subject, _ := bytes.Cut(m, []byte("\nSubject: "))
		subject, _, _ = bytes.Cut(subject, []byte("\n"))
		got[strings.TrimSpace(string(subject))] += "delivered"
	}
	return got
}
