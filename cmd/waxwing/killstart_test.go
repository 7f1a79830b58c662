package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// R6: kill -9 at the system calls of a start, on a queue with messages, of
// which the last was answered 250 right before a kill. The next start finds
// all of them, every time; in the end they arrive, once, with their octets.
func TestKillAtStart_R6(t *testing.T) {
	book := &callBook{ledger: ledger{acked: make(map[string]bool), arrived: make(map[string]int)}, t: t}
	nobody := freeAddress(t)
	p := newProcess(t, smarthost(nobody))
	p.start()
	book.submitAs(p, 0, 1, 5)
	total := book.killedStart(p, 1<<30).calls
	if total < 50 || len(book.acked) != 2 {
		t.Fatalf("%d system calls of a start with %d messages: the test looks in the wrong place", total, len(book.acked))
	}
	const seed = 1
	some := 40
	switch {
	case *thorough:
		some = total
	case testing.Short():
		some = 3
	}
	points := rand.New(rand.NewPCG(seed, seed)).Perm(total)[:some]
	kills := 0
	for i, point := range points {
		at := book.killedStart(p, point+1)
		if at.name != "" {
			kills++
		}
		t.Logf("killed at call %d, %s", point+1, at.name)
		book.findAll(p)
		book.submitAs(p, i+1, 1, 5)
	}
	if kills < some*2/3 {
		t.Errorf("%d kills of %d: the test shows nothing", kills, some)
	}
	p.kill()
	p.setting(nobody, newSink(t, book.got).Addr())
	p.start()
	p.run("queue", "retry")
	until(t, 20*time.Second, "everything arrives", func() bool { return book.missing() == 0 })
	for s, n := range book.arrived {
		if n > 1 {
			t.Errorf("P4: %s arrived %d times", s, n)
		}
	}
	figures(t, "kill -9 at a system call of a start", kills, len(book.acked))
}

// killedStart kills the server, and another at the n-th system call of its
// start, or when it is ready.
func (b *callBook) killedStart(p *process, n int) fatalCall {
	b.t.Helper()
	p.kill()
	ready := p.log.Count(readyText)
	p.wrap = []string{"/bin/sh", "-c", `kill -STOP $$; exec "$@"`, "sh"}
	p.launch()
	p.wrap = nil
	until(b.t, 10*time.Second, "the process has stopped", func() bool { return p.state("T") })
	ended, err := killAt(p.cmd.Process.Pid, n)
	if err != nil {
		if os.Getenv("CI") == "" {
			b.t.Skipf("takes ptrace: %v", err)
		}
		b.t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		b.t.Fatal(err)
	}
	var at fatalCall
	until(b.t, 20*time.Second, "the start has ended", func() bool {
		if p.log.Count(readyText) > ready {
			_ = p.cmd.Process.Kill()
		}
		select {
		case at = <-ended:
			return true
		default:
			return false
		}
	})
	if at.err != nil {
		b.t.Fatalf("call %d: %v", n, at.err)
	}
	p.kill()
	return at
}

// findAll starts a server, which has every message that was answered 250.
func (b *callBook) findAll(p *process) {
	b.t.Helper()
	p.start()
	out := p.run("storage", "verify")
	if want := fmt.Sprintf(": %d messages", len(b.acked)); !strings.Contains(out, want) || !strings.Contains(out, "nothing is damaged") {
		b.t.Errorf("P1: %q is wanted of: %s", want, out)
	}
}
