package smtpconn

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A moody server hangs up, closes the channel, talks nonsense and defers at
// random, and remembers whom it has taken a message for.
type moody struct {
	mu     sync.Mutex
	random *rand.Rand
	taken  map[string]int // by subject and mailbox
}

func (s *moody) chance(percent int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(100) < percent
}

// counts is how often it has taken a message for each recipient of env.
func (s *moody) counts(subject string, env appliance.Envelope) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int
	for _, to := range env.Recipients {
		all = append(all, s.taken[subject+" "+to.Mailbox.String()])
	}
	return all
}

func (s *moody) take(subject string, to []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range to {
		s.taken[subject+" "+r]++
	}
}

// leaves says that the connection is to end, and may say so.
func (s *moody) leaves(c net.Conn) bool {
	switch {
	case s.chance(3):
	case s.chance(2):
		_, _ = io.WriteString(c, "421 4.3.2 not now\r\n")
	case s.chance(1):
		_, _ = io.WriteString(c, "\x00what?\r\n")
	default:
		return false
	}
	return true
}

// serve is one connection.
func (s *moody) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	var to []string
	var mail bool
	for say := "220 moody"; ; {
		if _, err := fmt.Fprintf(c, "%s\r\n", say); err != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil || s.leaves(c) {
			return
		}
		switch verb := line[:4]; verb {
		case "EHLO":
			say = s.either(50, "250-moody\r\n250 PIPELINING", "250-moody\r\n250-CHUNKING\r\n250 PIPELINING")
		case "BDAT":
			subject, ok := chunkSubject(r, line)
			if !ok || s.leaves(c) {
				return
			}
			if len(to) == 0 {
				say = "554 5.5.1 nobody"
				break
			}
			if say = s.either(85, "250 2.0.0 ok", "452 4.3.1 full", "502 5.5.1 what?"); say[0] == '2' {
				s.take(subject, to)
				if s.chance(5) {
					return
				}
			}
			to = nil
		case "RCPT":
			if say = "503 5.5.1 MAIL first"; mail {
				say = s.either(90, "250 ok", "450 4.2.0 busy", "452 4.5.3 too many")
			}
			if say == "250 ok" {
				to = append(to, strings.Trim(line[len("RCPT TO:"):], "<>\r\n"))
			}
		case "DATA":
			if say = "354 go"; len(to) == 0 {
				say = "554 5.5.1 nobody"
			}
		case "QUIT":
			return
		case "MAIL", "RSET":
			to, say = nil, s.either(95, "250 ok", "451 4.3.0 no")
			mail = verb == "MAIL" && say == "250 ok"
		default: // the content begins with "Subject: n"
			subject := strings.TrimSpace(strings.TrimPrefix(line, "Subject:"))
			for line != ".\r\n" && err == nil {
				line, err = r.ReadString('\n')
			}
			if err != nil || s.leaves(c) {
				return
			}
			if say = s.either(90, "250 2.0.0 ok", "452 4.3.1 full"); say[0] == '2' {
				s.take(subject, to)
				if s.chance(5) {
					return // without a word
				}
			}
			to = nil
		}
	}
}

// chunkSubject reads a chunk, and the subject in it.
func chunkSubject(r *bufio.Reader, line string) (string, bool) {
	var n int
	if _, err := fmt.Sscanf(line, "BDAT %d LAST\r\n", &n); err != nil {
		return "", false
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	first, _, _ := strings.Cut(string(b), "\r\n")
	return strings.TrimPrefix(first, "Subject: "), err == nil
}

// either is the first answer in so many of a hundred cases.
func (s *moody) either(percent int, usual string, others ...string) string {
	if s.chance(percent) {
		return usual
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return others[s.random.IntN(len(others))]
}

// TestChaos_P4: whatever a server does, it has taken what is said to be
// delivered, and has not taken what is said to wait, except where the result
// says that nobody can know (N6).
func TestChaos_P4(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &moody{random: rand.New(rand.NewPCG(1, 2)), taken: make(map[string]int)}
	var serving, clients sync.WaitGroup
	serving.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			serving.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	p := pool(t)
	target := targets(Target{Name: "moody.test", Addr: netip.MustParseAddrPort(l.Addr().String()), TLS: TLSNone})
	p.unchunked.time = time.Millisecond
	for n := range 8 {
		clients.Go(func() {
			for i := range 40 {
				subject := fmt.Sprintf("%d-%d", n, i)
				msg := message("Subject: "+subject+"\r\n", "\r\nhello\r\n")
				waiting := envelope("a@b.test", "b@b.test", "c@b.test")
				for len(waiting.Recipients) > 0 && !t.Failed() {
					before := s.counts(subject, waiting)
					results := p.Deliver(t.Context(), waiting, msg, target)
					waiting.Recipients = compare(t, waiting, results, before, s.counts(subject, waiting))
				}
			}
		})
	}
	clients.Wait()
}

// compare holds the results of an attempt against what the server has done, and
// returns who still waits.
func compare(t *testing.T, env appliance.Envelope, results []appliance.Result, before, after []int) (rest []appliance.Recipient) {
	for i, to := range env.Recipients {
		r, times := &results[i].Reply, after[i]-before[i]
		ambiguous := strings.Contains(r.Text, "ambiguous")
		switch {
		case r.Positive() && times == 1:
			continue
		case r.Temporary() && (times == 0 || times == 1 && ambiguous):
			rest = append(rest, to)
		default:
			t.Errorf("the message to %s was taken %d times, and the result is %v", to.Mailbox, times, r)
		}
	}
	return rest
}
