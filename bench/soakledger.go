package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"sync"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// A soakLedger is what clients and next hop know together of each message of
// a soak, by its number. At the end every message that was answered 250 must
// have arrived or been reported, whole.
type soakLedger struct {
	mu    sync.Mutex
	mail  map[int]soakMail
	torn  int // arrived with other octets than were sent
	alien int // arrived, and nobody sent it
}

type soakMail struct {
	acked    bool // answered 250
	refused  bool // answered 4yz or 5yz
	seen     int  // attempts at the next hop
	arrived  int
	reported int
}

// soakFigures are the sums of a ledger.
type soakFigures struct {
	acked, arrived, reported int // messages
	unanswered               int // arrived, and their clients got no answer
	lost, ghosts, torn       int
	again                    int // arrivals and reports after the first
}

func newSoakLedger() *soakLedger { return &soakLedger{mail: make(map[int]soakMail)} }

func (l *soakLedger) note(n int, change func(m *soakMail)) soakMail {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.mail[n]
	change(&m)
	l.mail[n] = m
	return m
}

// missing is how many messages were answered 250 and have come to no end.
func (l *soakLedger) missing() (n int) { return l.figures().lost }

func (l *soakLedger) figures() soakFigures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := soakFigures{torn: l.torn, ghosts: l.alien}
	for _, m := range l.mail {
		f.acked += count(m.acked)
		f.arrived += count(m.arrived > 0)
		f.reported += count(m.reported > 0)
		ended := m.arrived+m.reported > 0
		f.lost += count(m.acked && !ended)
		f.ghosts += count(m.refused && ended)
		f.unanswered += count(ended && !m.acked && !m.refused)
		f.again += max(m.arrived-1, 0) + max(m.reported-1, 0)
	}
	return f
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// soakMessage is message n. Its size goes by n as well: most are small, some
// are bodies of a file of their own.
func soakMessage(n int) []byte {
	head := appliancetest.Message(soakSender(n), "someone@example.net", fmt.Sprintf("soak %d", n), 0)
	return append(head, soakBody(n)...)
}

func soakSender(n int) string { return fmt.Sprintf("app%d@example.com", n) }

func soakBody(n int) []byte {
	size := 500 + 97*(n%40)
	if n%50 == 11 {
		size = 300 << 10
	}
	body := make([]byte, 0, size+80)
	for line := 0; len(body) < size; line++ {
		body = fmt.Appendf(body, "Line %d of message %d, which is to arrive as it was sent.\r\n", line, n)
	}
	return body
}

var soakSubject = regexp.MustCompile(`(?m)^Subject: soak (\d+)\r$`)

// soakNumber is the number of a message, or of the one that a report is about.
func soakNumber(data []byte) (int, bool) {
	s := soakSubject.FindSubmatch(data)
	if s == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(s[1]))
	return n, err == nil
}

// take enters what has arrived at the next hop for good.
func (l *soakLedger) take(n int, m *appliancetest.SinkMessage) {
	_, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	if !bytes.Equal(body, soakBody(n)) {
		l.mu.Lock()
		l.torn++
		l.mu.Unlock()
	}
	l.note(n, func(m *soakMail) { m.arrived++ })
}

// stranger enters what nobody has sent.
func (l *soakLedger) stranger() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alien++
}
