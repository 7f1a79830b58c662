package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// R2: 200 clients connect to a server that may open 64 files, and stay. Those
// that would take what the queue needs are sent away; a client that was there
// before goes on sending, and its mail is delivered; the server waits without
// spinning. When the clients leave, others are served.
func TestFewDescriptors_R2(t *testing.T) {
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	p := newProcess(t, smarthost(newSink(t, book.got).Addr()))
	p.setting("queue { concurrency = 20 }", "queue {\n  concurrency = 20\n  retry = \"1s*\"\n}")
	p.wrap = []string{"sh", "-c", `ulimit -n 64 && exec "$0" "$@"`}
	p.start()
	early, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()

	crowd, served := newCrowd(t, p.submit, 200)
	if served < 10 || served > 50 {
		t.Errorf("%d of 200 clients are served", served)
	}
	for n := range 60 {
		s := fmt.Sprintf("ledger 0 %d", n)
		if _, err := early.Submit("app@example.com", []string{"someone@example.net"},
			appliancetest.Message("app@example.com", "someone@example.net", s, 4096)); err != nil {
			t.Fatalf("message %d beside the crowd: %v", n, err)
		}
		book.ack(s)
	}
	until(t, 20*time.Second, "the mail is delivered beside the crowd", func() bool { return book.missing() == 0 })
	if used := p.usedIn(time.Second); used > 300*time.Millisecond {
		t.Errorf("the server takes %v of processor time in a second in which nobody does anything", used)
	}

	for _, c := range crowd {
		_ = c.Close()
	}
	until(t, 10*time.Second, "others are served when the crowd has left", func() bool { return submitOne(p, book, 1000) == nil })
	until(t, 10*time.Second, "and their mail is delivered", func() bool { return book.missing() == 0 })
	p.terminate()
	if len(book.arrived) != len(book.acked) {
		t.Errorf("%d messages arrived, %d were answered 250", len(book.arrived), len(book.acked))
	}
}

// newCrowd connects n clients, of which none leaves, and counts those that are
// greeted. The others have to be told that there are too many.
func newCrowd(t *testing.T, address string, n int) (crowd []net.Conn, served int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		switch line, err := bufio.NewReader(c).ReadString('\n'); {
		case strings.HasPrefix(line, "220 "):
			served++
		case !strings.HasPrefix(line, "421 4.7.0 "):
			t.Fatalf("a client is greeted with %q, %v", line, err)
		}
		crowd = append(crowd, c)
	}
	return crowd, served
}

// usedIn is how much processor time the server takes in so much time.
func (p *process) usedIn(d time.Duration) time.Duration {
	p.t.Helper()
	before := p.processorTime()
	time.Sleep(d)
	return p.processorTime() - before
}

// processorTime is what the server has used so far. Of proc_pid_stat(5), the
// fields 14 and 15 count hundredths of a second in user and in system mode.
func (p *process) processorTime() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var user, system int64
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		p.t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
