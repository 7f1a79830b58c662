package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// thorough makes tests try everything of which they try a part otherwise.
var thorough = flag.Bool("thorough", false, "kill at every system call, not at some of them")

// callBook is the ledger of the messages of TestKillAtSystemCalls. Those of client 7 are
// refused by the sink: their reports are what arrives.
type callBook struct {
	ledger
	t *testing.T
}

func callMessage(subject string) []byte {
	size := 2000
	if bytes.HasPrefix([]byte(subject), []byte("ledger 5 ")) {
		size = 300 << 10 // a body in a file
	}
	return appliancetest.Message("app@example.com", "someone@example.net", subject, size)
}

func (b *callBook) got(m *appliancetest.SinkMessage) string {
	s := subject.FindSubmatch(m.Data)
	if s == nil {
		b.t.Errorf("P3: a message of nobody: %.200q", m.Data)
		return ""
	}
	name := string(s[1])
	if m.From != "" && bytes.HasPrefix(s[1], []byte("ledger 7 ")) {
		return "550 5.1.1 Nobody of that name"
	}
	_, sent, _ := bytes.Cut(callMessage(name), []byte("\r\n\r\n"))
	if _, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n")); m.From != "" && !bytes.Equal(body, sent) {
		b.t.Errorf("P3: %s arrived torn", name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrived[name]++
	return ""
}

// submit sends what goes through accept, commit, deliver and settle: a small
// message, one with a body in a file, and one that comes back as a report.
func (b *callBook) submit(p *process, round int) (acked int) {
	return b.submitAs(p, round, 1, 5, 7)
}

// submitAs sends the messages of some clients.
func (b *callBook) submitAs(p *process, round int, clients ...int) (acked int) {
	c, err := appliancetest.DialSubmitter(p.login())
	if err != nil {
		return 0
	}
	defer c.Close()
	for _, client := range clients {
		s := fmt.Sprintf("ledger %d %d", client, round)
		if _, err := c.Submit("app@example.com", []string{"someone@example.net"}, callMessage(s)); err != nil {
			return acked
		}
		b.ack(s)
		acked++
	}
	return acked
}

// P1, P2, P3, P4, R6: kill -9 at the system calls that take messages from
// accept to settle, at those of a file or socket that change something.
// Everything answered 250 arrives after the next start, or is reported.
func TestKillAtSystemCalls_R6(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds; the plain go test ./... runs it")
	}
	book := &callBook{ledger: ledger{acked: make(map[string]bool), arrived: make(map[string]int)}, t: t}
	sink := newSink(t, book.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	total := book.round(p, 0, 1<<30).calls
	if total < 50 || len(book.acked) != 3 {
		t.Fatalf("%d system calls for %d messages: the test looks in the wrong place", total, len(book.acked))
	}
	points := make([]int, 0, total)
	for n := 1; n <= total; n++ {
		points = append(points, n)
	}
	const some, seed = 40, 1
	if !*thorough {
		rng := rand.New(rand.NewPCG(seed, seed))
		rng.Shuffle(total, func(i, j int) { points[i], points[j] = points[j], points[i] })
		points = points[:min(some, total)]
	}
	names := make(map[string]int)
	for i, n := range points {
		names[book.round(p, i+1, n).name]++
	}
	book.figures(t, names)
}

// round kills the server at its n-th call, or after all is done, and starts
// another, which has to bring everything to its end.
func (b *callBook) round(p *process, round, n int) fatalCall {
	b.t.Helper()
	ended, err := killAt(p.cmd.Process.Pid, n)
	if err != nil {
		if os.Getenv("CI") == "" {
			b.t.Skipf("takes ptrace: %v", err)
		}
		b.t.Fatal(err)
	}
	b.submit(p, round)
	var at fatalCall
	for end := time.After(10 * time.Second); at.calls == 0; {
		select {
		case at = <-ended:
		case <-end:
			b.t.Fatalf("round %d: nothing arrives and nothing is killed", round)
		case <-time.After(200 * time.Millisecond): // what follows the arrival: settling, and the log
			if b.missing() == 0 {
				_ = p.cmd.Process.Kill()
				at = <-ended
			}
		}
	}
	if at.err != nil {
		b.t.Fatalf("round %d: %v", round, at.err)
	}
	p.kill()
	p.start()
	until(b.t, 20*time.Second, fmt.Sprintf("everything arrives after a kill at call %d, %s", n, at.name), func() bool { return b.missing() == 0 })
	return at
}

// figures publishes what was done, for the table of docs/durability.md.
func (b *callBook) figures(t *testing.T, names map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kills, again := 0, 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name == "" { // it made fewer calls than the time before
			continue
		}
		t.Logf("killed at %s: %d times", name, names[name])
		kills += names[name]
	}
	for s, n := range b.arrived {
		again += n - 1
		if n > 2 { // a round kills once
			t.Errorf("P4: %s arrived %d times", s, n)
		}
	}
	if kills < 3*len(names)/4 || len(b.acked) < kills/2 {
		t.Errorf("%d kills, %d messages: the test shows nothing", kills, len(b.acked))
	}
	figures(t, "kill -9 at a system call, from accept to settle", kills, len(b.acked))
	t.Attr("again", strconv.Itoa(again))
}
