package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// ledger compares what was answered 250 with what has arrived.
type ledger struct {
	mu      sync.Mutex
	acked   map[string]bool
	arrived map[string]int
}

var subject = regexp.MustCompile(`(?m)^Subject: (ledger \d+ \d+)\r$`)

func (l *ledger) got(m *appliancetest.SinkMessage) string {
	time.Sleep(10 * time.Millisecond) // a slow sink: many deliveries are under way at each kill
	s := subject.FindSubmatch(m.Data)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == nil {
		l.arrived["(torn message)"]++
		return ""
	}
	l.arrived[string(s[1])]++
	return ""
}

func (l *ledger) ack(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[subject] = true
}

// missing says how many messages were answered 250 and have not arrived.
func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.acked {
		if l.arrived[s] == 0 {
			n++
		}
	}
	return n
}

// P1, P2, P3, P4: kill -9 while 20 clients submit and a slow sink receives,
// ten times. Every message answered 250 arrives; what arrives twice was in
// flight when the process died.
func TestKillLosesNothing(t *testing.T) {
	const kills, clients = 10, 20
	const inFlight = 20 // queue.concurrency of the configuration
	if testing.Short() {
		t.Skip("takes half a minute; the plain go test ./... runs it")
	}
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, book.got)
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { submitUntil(stop, p, book, c) })
	}
	for range kills {
		time.Sleep(time.Duration(300+rand.IntN(700)) * time.Millisecond)
		p.kill()
		p.start()
	}
	close(stop)
	wg.Wait()

	until(t, time.Minute, "everything answered 250 has arrived", func() bool { return book.missing() == 0 })
	p.terminate()
	p.start() // and nothing comes again
	time.Sleep(time.Second)
	p.terminate()
	report(t, book, kills*inFlight)
	figures(t, "kill -9 at random, under load", kills, len(book.acked))
}

// figures publishes what a test did, for the table of docs/durability.md: how
// often it tried to break the server, and how many messages were answered 250
// and looked for. That none was missing is that the test has passed.
func figures(t *testing.T, what string, tried, messages int) {
	t.Helper()
	t.Attr("what", what)
	t.Attr("tried", strconv.Itoa(tried))
	t.Attr("messages", strconv.Itoa(messages))
}

func report(t *testing.T, book *ledger, allowed int) {
	t.Helper()
	book.mu.Lock()
	defer book.mu.Unlock()
	again, ghosts := 0, 0
	for s, n := range book.arrived {
		again += n - 1
		if !book.acked[s] {
			ghosts++ // the client got no answer; it may arrive once (P2)
		}
	}
	t.Logf("%d answered 250, %d arrived, %d of them again, %d without an answer to the client",
		len(book.acked), len(book.arrived), again, ghosts)
	if len(book.acked) < 100 {
		t.Errorf("only %d messages were submitted: the test shows nothing", len(book.acked))
	}
	if again > allowed {
		t.Errorf("%d duplicates, at most %d can have been in flight", again, allowed)
	}
	t.Attr("again", strconv.Itoa(again))
	if n := book.arrived["(torn message)"]; n > 0 {
		t.Errorf("%d messages arrived torn", n)
	}
}

// submitUntil is one client, which connects again whenever the server dies.
func submitUntil(stop chan struct{}, p *process, book *ledger, client int) {
	n := 0
	for {
		c, err := appliancetest.DialSubmitter(p.login())
		for err == nil {
			select {
			case <-stop:
				c.Close()
				return
			default:
			}
			n++
			s := fmt.Sprintf("ledger %d %d", client, n)
			_, err = c.Submit("app@example.com", []string{"someone@example.net"},
				appliancetest.Message("app@example.com", "someone@example.net", s, 4096))
			if err == nil {
				book.ack(s)
			} else {
				c.Close()
			}
		}
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
