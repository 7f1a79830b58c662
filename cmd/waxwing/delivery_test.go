package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// submitter logs in, until the test ends.
func (p *process) submitter() *appliancetest.Submitter {
	p.t.Helper()
	s, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(s.Close)
	return s
}

// submitTo hands over a message that must be accepted.
func (p *process) submitTo(s *appliancetest.Submitter, to, subject string) {
	p.t.Helper()
	if _, err := s.Submit("app@example.com", []string{to}, appliancetest.Message("app@example.com", to, subject, 500)); err != nil {
		p.t.Fatal(err)
	}
}

// TestAmbiguous_N6: smtp-sink takes the content and hangs up before it says so.
// The message may have arrived or not: the log says that, it waits, its sender
// is told nothing, and it is sent again. Nothing is lost.
func TestAmbiguous_N6(t *testing.T) {
	t.Parallel()
	program, address := need(t, "smtp-sink"), freeAddress(t)
	dump := t.TempDir()
	sink := exec.Command(program, "-u", "root", "-q", ".", "-d", filepath.Join(dump, "mail."), address, "100")
	if err := sink.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { _ = sink.Process.Kill(); _ = sink.Wait() }
	t.Cleanup(stop)
	p := newProcess(t, smarthost(address))
	p.setting("queue { concurrency = 20 }", "queue { retry = \"1s*\" }")
	p.start()
	p.submitTo(p.submitter(), "someone@example.net", "in doubt")
	until(t, 20*time.Second, "two attempts are ambiguous", func() bool { return p.log.Count("ambiguous") >= 2 })
	if n := p.log.Count("bounced"); n != 0 {
		t.Errorf("%d bounces", n)
	}
	stop()
	var box inbox
	good, err := appliancetest.ListenSink(address, box.got)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(good.Close)
	until(t, 20*time.Second, "it has arrived for certain", func() bool { return len(box.all()) == 1 })
	if m := box.all()[0]; !bytes.Contains(m.Data, []byte("Subject: in doubt")) || m.From == "" {
		t.Errorf("what arrived is something else: %+v", m)
	}
}

// TestLoop_N15: two servers that hand a domain to each other stop when the
// message has come too far, and its sender gets one report.
func TestLoop_N15(t *testing.T) {
	t.Parallel()
	var box inbox
	sink := newSink(t, box.got)
	there, back := looping(t, "there.example", sink), looping(t, "back.example", sink)
	for _, c := range []struct{ p, to *process }{{there, back}, {back, there}} {
		c.p.setting(`"127.0.0.1:1"`, strconv.Quote(c.to.submit))
		c.p.start()
	}
	there.submitTo(there.submitter(), "someone@loop.example", "round and round")
	until(t, 40*time.Second, "the sender is told", func() bool { return len(box.all()) > 0 })
	for _, p := range []*process{there, back} {
		until(t, 10*time.Second, "nothing is left", func() bool { return strings.Contains(p.run("queue", "list"), "empty") })
	}
	all := box.all()
	if len(all) != 1 || all[0].From != "" || !bytes.Contains(all[0].Data, []byte("\r\nStatus: 5.4.6\r\n")) {
		t.Fatalf("%d messages, the first:\n%.4000s", len(all), all[0].Data)
	}
	if n := there.log.Count(`"msg":"delivered"`) + back.log.Count(`"msg":"delivered"`); n < 90 || n > 110 {
		t.Errorf("it was handed over %d times", n)
	}
}

// looping is a server that hands loop.example to another one, which is not yet
// known, and everything else to a sink.
func looping(t *testing.T, hostname string, sink *appliancetest.Sink) *process {
	p := newProcess(t, smarthost(sink.Addr())+`
relay "smarthost" "other" {
  address  = "127.0.0.1:1"
  username = "app"
  password = env("APP_PASSWORD")
  tls      = "required"
}`)
	p.setting("mail.example.com", hostname)
	p.setting("  relay     = relay.out", `  relay     = relay.out
  route {
    when  = recipient.domain == "loop.example"
    relay = relay.other
  }`)
	return p
}

// TestNoBackscatter_N16: what is refused is refused in the session, by the
// reply to the command that is wrong. Nothing is queued, and nobody whose
// address was forged hears of it.
func TestNoBackscatter_N16(t *testing.T) {
	t.Parallel()
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.setting("  relay     = relay.out", `  relay     = relay.out
  route {
    when   = recipient.address == "nobody@example.com"
    reject = "550 5.1.1 No such user"
  }`)
	p.start()
	known, strange := p.login(), p.login()
	strange.User = ""
	for _, c := range []struct {
		name     string
		login    appliancetest.SubmitConfig
		from, to string
		want     int
	}{
		{"a stranger", strange, "victim@example.org", "someone@example.net", 530},
		{"a forged sender", known, "victim@example.org", "someone@example.net", 550},
		{"an unknown user", known, "app@example.com", "nobody@example.com", 550},
	} {
		s, err := appliancetest.DialSubmitter(c.login)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Submit(c.from, []string{c.to}, appliancetest.Message(c.from, c.to, c.name, 500))
		if answer := (*textproto.Error)(nil); !errors.As(err, &answer) || answer.Code != c.want {
			t.Errorf("%s: %v, want %d", c.name, err, c.want)
		}
		s.Close()
	}
	p.submitTo(p.submitter(), "someone@example.net", "the only one")
	until(t, 10*time.Second, "the good message has arrived", func() bool { return len(box.all()) > 0 })
	p.terminate()
	if all := box.all(); len(all) != 1 || all[0].From != "app@example.com" {
		t.Errorf("%d messages, the first from %q", len(all), all[0].From)
	}
}

// TestDefect5_SessionAcrossReload: a session that began under the old file
// submits under the new one; what it is told 250 for is attempted, and tried
// again, without a restart.
func TestDefect5_SessionAcrossReload(t *testing.T) {
	t.Parallel()
	var box inbox
	var answers atomic.Int32
	sink := newSink(t, func(m *appliancetest.SinkMessage) string {
		if answers.Add(1)%2 == 1 {
			return "451 4.7.1 later"
		}
		return box.got(m)
	})
	p := newProcess(t, smarthost(sink.Addr()))
	p.setting("queue { concurrency = 20 }", "queue { retry = \"1s*\" }")
	p.start()
	old := p.submitter()
	// Everything that the session uses is replaced: queue, listener, relay.
	p.setting(`"1s*"`, `"2s*"`)
	p.setting(`listener "submission" "apps" {`, `listener "submission" "apps" { max_errors = 9 `)
	p.setting(`tls = "none"`, "tls = \"none\"\n  idle = \"1s\"")
	client := admin.NewClient("unix:"+filepath.Join(p.dir, "data", "admin.sock"), appliance.Secret{})
	if _, err := client.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		p.submitTo(old, "someone@example.net", fmt.Sprint("across ", n))
	}
	until(t, 20*time.Second, "three messages have arrived", func() bool { return len(box.all()) == 3 })
}

// TestDefect6_InheritedDescriptors: sockets that are passed with the numbers of
// somebody else are not taken for ours. Where the server listens is in the file.
func TestDefect6_InheritedDescriptors(t *testing.T) {
	t.Parallel()
	var box inbox
	sink := newSink(t, box.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.wrap = []string{"sh", "-c", `exec env LISTEN_FDS=2 LISTEN_FDNAMES=apps:apps_tls LISTEN_PID=$$ "$@" 3</dev/null 4</dev/null`, "sh"}
	p.start()
	p.submitTo(p.submitter(), "someone@example.net", "by the file")
	until(t, 10*time.Second, "it has arrived", func() bool { return len(box.all()) == 1 })
	p.terminate()
}
