package mx

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A picky server answers clients by their address. It is asked for each command
// of a transaction and, as ".", for the content; "" is what a server says that
// likes it, "HANG UP" ends the connection.
type picky struct {
	port   uint16
	answer func(from, line string) string

	mu   sync.Mutex
	said []string // "from MAIL", "from RCPT <u@a.test>", "from ."
}

func listenPicky(t *testing.T, addr string, answer func(from, line string) string) *picky {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &picky{port: netip.MustParseAddrPort(l.Addr().String()).Port(), answer: answer}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return s
}

// listenSix is listenPicky on the IPv6 address of loopback. A machine without one
// cannot run the test, which nobody must miss where all tests are run.
func listenSix(t *testing.T, port uint16, answer func(from, line string) string) *picky {
	t.Helper()
	if !slices.Contains(interfaceAddrs(), netip.IPv6Loopback()) && os.Getenv("CI") == "" {
		t.Skip("this machine has no IPv6")
	}
	return listenPicky(t, fmt.Sprintf("[::1]:%d", port), answer)
}

func (s *picky) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	from := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String()
	r := bufio.NewReader(c)
	reply, content := "220 mx", false
	for {
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
		line, err := r.ReadString('\n')
		for content && err == nil && line != ".\r\n" {
			line, err = r.ReadString('\n')
		}
		if err != nil {
			return
		}
		if reply = s.reply(from, strings.TrimSpace(line)); reply == "HANG UP" {
			return
		}
		content = strings.HasPrefix(reply, "354")
	}
}

func (s *picky) reply(from, line string) string {
	if strings.HasPrefix(line, "EHLO") || line == "RSET" || line == "QUIT" {
		return "250 mx.test"
	}
	verb, _, _ := strings.Cut(line, ":")
	s.mu.Lock()
	s.said = append(s.said, from+" "+verb)
	s.mu.Unlock()
	if reply := s.answer(from, line); reply != "" {
		return reply
	}
	if line == "DATA" {
		return "354 go"
	}
	return "250 ok"
}

// heard is what was said since it was last asked for.
func (s *picky) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.said, ", ")
	s.said = nil
	return all
}

const listed = "550 5.7.1 Your IP is on our block list"

// from9 refuses what comes from 127.0.0.9 and begins with a command.
func from9(command, reply string) func(from, line string) string {
	return func(from, line string) string {
		if from == "127.0.0.9" && strings.HasPrefix(line, command) {
			return reply
		}
		return ""
	}
}

// sendFrom is a relay with addresses 127.0.0.9, 127.0.0.10 and so on, whose
// mail goes to a server on 127.0.0.1.
func sendFrom(t *testing.T, s *picky, n int) *MX {
	return provision(t, zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1"}, func(m *MX) {
		loopback(s.port)(m)
		for i := range n {
			m.SendFrom = append(m.SendFrom, SendFrom{Address: fmt.Sprintf("127.0.0.%d", 9+i)})
		}
	})
}

const whole10 = "127.0.0.10 MAIL FROM, 127.0.0.10 RCPT TO, 127.0.0.10 DATA, 127.0.0.10 ."

// TestLadderRefusedSource: who does not want an address of ours, whenever it
// says so, gets the message from another one in the same attempt, once; the
// next message begins with that.
func TestLadderRefusedSource(t *testing.T) {
	for command, first := range map[string]string{
		"MAIL": "127.0.0.9 MAIL FROM",
		"RCPT": "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO",
		"DATA": "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.9 DATA",
		".":    "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.9 DATA, 127.0.0.9 .",
	} {
		for _, reply := range []string{listed, "421 4.7.0 Your IP has a bad reputation", "450 4.7.1 Client host blocked using zen.spamhaus.org"} {
			t.Run(command+" "+reply[:3], func(t *testing.T) {
				s := listenPicky(t, "127.0.0.1:0", from9(command, reply))
				m := sendFrom(t, s, 2)
				if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "250 2.0.0 mx.test" {
					t.Error(got)
				}
				if diff := gocmp.Diff(first+", "+whole10, s.heard()); diff != "" {
					t.Error(diff)
				}
				if got := summary(m.Deliver(t.Context(), envelope("v@a.test"), msg)); got != "250 2.0.0 mx.test" {
					t.Error(got)
				}
				if diff := gocmp.Diff(whole10, s.heard()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestLadderStays: what is not about our address, or what somebody has got, is
// not said again from another one.
func TestLadderStays(t *testing.T) {
	const all9 = "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.9 DATA, 127.0.0.9 ."
	for _, tc := range []struct {
		name   string
		answer func(from, line string) string
		to     []string
		want   string
		heard  string
	}{
		{"the recipient", from9("RCPT", "550 5.1.1 No such user"), []string{"u@a.test"}, "550 5.1.1 mx.test", "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO"},
		{"greylisting", from9("RCPT", "450 4.2.0 Greylisted, try again in 300 seconds"), []string{"u@a.test"}, "450 4.2.0 mx.test", "127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO"},
		{"the content", from9(".", "554 5.7.1 This looks like spam"), []string{"u@a.test"}, "554 5.7.1 mx.test", all9},
		{"P4 in doubt", from9(".", "HANG UP"), []string{"u@a.test"}, "451 4.4.2 mx.test", all9},
		{"one has got it", from9("RCPT TO:<v@", listed), []string{"u@a.test", "v@a.test"}, "250 2.0.0 mx.test, 550 5.7.1 mx.test",
			"127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.9 RCPT TO, 127.0.0.9 DATA, 127.0.0.9 ."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := listenPicky(t, "127.0.0.1:0", tc.answer)
			m := sendFrom(t, s, 2)
			if got := summary(m.Deliver(t.Context(), envelope(tc.to...), msg)); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if diff := gocmp.Diff(tc.heard, s.heard()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLadderSomeRefused: recipients who are refused for other reasons are not
// asked about again.
func TestLadderSomeRefused(t *testing.T) {
	s := listenPicky(t, "127.0.0.1:0", func(from, line string) string {
		switch {
		case strings.HasPrefix(line, "RCPT TO:<gone@"):
			return "550 5.1.1 No such user"
		case from == "127.0.0.9" && strings.HasPrefix(line, "RCPT"):
			return listed
		}
		return ""
	})
	m := sendFrom(t, s, 2)
	if got := summary(m.Deliver(t.Context(), envelope("gone@a.test", "u@a.test"), msg)); got != "550 5.1.1 mx.test, 250 2.0.0 mx.test" {
		t.Error(got)
	}
	if diff := gocmp.Diff("127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, 127.0.0.9 RCPT TO, "+whole10, s.heard()); diff != "" {
		t.Error(diff)
	}
}

// TestLadderEnds: a message that nobody wants from anywhere is offered from four
// addresses at most; as long as they are refused, from one.
func TestLadderEnds(t *testing.T) {
	var mu sync.Mutex
	angry := true
	s := listenPicky(t, "127.0.0.1:0", func(_, line string) string {
		mu.Lock()
		defer mu.Unlock()
		if angry && strings.HasPrefix(line, "MAIL") {
			return listed
		}
		return ""
	})
	m := sendFrom(t, s, 4)
	for _, want := range []string{
		"127.0.0.9 MAIL FROM, 127.0.0.10 MAIL FROM, 127.0.0.11 MAIL FROM, 127.0.0.12 MAIL FROM",
		"127.0.0.9 MAIL FROM",
	} {
		if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "550 5.7.1 mx.test" {
			t.Error(got)
		}
		if diff := gocmp.Diff(want, s.heard()); diff != "" {
			t.Error(diff)
		}
	}
	mu.Lock()
	angry = false
	mu.Unlock()
	_ = m.Deliver(t.Context(), envelope("u@a.test"), msg)
	site, first := "mx.test", netip.MustParseAddr("127.0.0.9")
	if m.refusals.has(refusal{site, first}, time.Now()) || !m.refusals.has(refusal{site, first.Next()}, time.Now()) {
		t.Errorf("a message that is taken is not remembered: %v", m.refusals.until)
	}

	s = listenPicky(t, "127.0.0.1:0", func(string, string) string { return listed })
	if got := summary(sendFrom(t, s, 6).Deliver(t.Context(), envelope("u@a.test"), msg)); got != "550 5.7.1 mx.test" {
		t.Error(got)
	}
	if got := strings.Count(s.heard(), "MAIL"); got != 4 {
		t.Errorf("a message was offered from %d addresses", got)
	}
}

// TestLadderOtherExchanger: who refuses an address of ours is not asked from it
// at another exchanger; one that takes it is asked at the first exchanger.
func TestLadderOtherExchanger(t *testing.T) {
	answer := from9("RCPT", "450 4.7.1 Client host blocked using zen.spamhaus.org")
	first := listenPicky(t, "127.0.0.2:0", answer)
	second := listenPicky(t, fmt.Sprintf("127.0.0.3:%d", first.port), answer)
	z := zone{"MX a.test": "10 mx1.test, 20 mx2.test", "A mx1.test": "127.0.0.2", "A mx2.test": "127.0.0.3"}
	m := provision(t, z, func(m *MX) {
		loopback(first.port)(m)
		m.SendFrom = []SendFrom{{Address: "127.0.0.9"}, {Address: "127.0.0.10"}}
	})
	if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "250 2.0.0 mx1.test" {
		t.Error(got)
	}
	if diff := gocmp.Diff("127.0.0.9 MAIL FROM, 127.0.0.9 RCPT TO, "+whole10, first.heard()); diff != "" {
		t.Error(diff)
	}
	if got := second.heard(); got != "" {
		t.Errorf("the second exchanger heard %s", got)
	}
}

// TestLadderTold: whoever looks at an attempt sees from where it was made, and
// why it was made again from somewhere else.
func TestLadderTold(t *testing.T) {
	s := listenPicky(t, "127.0.0.1:0", from9("MAIL", listed))
	m := sendFrom(t, s, 2)
	var all []appliance.Try
	ctx := appliance.WithAttemptTrace(t.Context(), &appliance.AttemptTrace{Tried: func(x appliance.Try) { all = append(all, x) }})
	_ = m.Deliver(ctx, envelope("u@a.test"), msg)
	if len(all) != 2 || all[0].Reply.String() != listed || all[1].Reply.Code != 0 {
		t.Fatalf("told %+v", all)
	}
	for _, words := range []string{"-- from 127.0.0.9\n", "C: MAIL FROM", "-- our address 127.0.0.9 is refused here"} {
		if !strings.Contains(all[0].Dialogue, words) {
			t.Errorf("no %q in\n%s", words, all[0].Dialogue)
		}
	}
}

// TestLadderOtherFamily: an exchanger that cannot be reached by IPv4, or does
// not want our IPv4 address, is reached by IPv6.
func TestLadderOtherFamily(t *testing.T) {
	s := listenPicky(t, "127.0.0.1:0", func(from, _ string) string {
		if from == "127.0.0.9" {
			return listed
		}
		return ""
	})
	six := listenSix(t, s.port, func(string, string) string { return "" })
	for name, v4 := range map[string]string{"refused": "127.0.0.1", "unreachable": "127.0.0.66"} {
		m := provision(t, zone{"MX a.test": "10 mx.test", "A mx.test": v4 + ", ::1"}, func(m *MX) {
			loopback(s.port)(m)
			m.AllowNetworks = append(m.AllowNetworks, "::1")
			m.Source = []string{"127.0.0.9", "::1"}
		})
		if got := summary(m.Deliver(t.Context(), envelope("u@a.test"), msg)); got != "250 2.0.0 mx.test" {
			t.Errorf("%s: %s", name, got)
		}
		if got := six.heard(); got != "::1 MAIL FROM, ::1 RCPT TO, ::1 DATA, ::1 ." {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestTurns: what has been refused comes last, in the order of the file, and a
// family whose addresses all are comes after the other one.
func TestTurns(t *testing.T) {
	m := New()
	m.SendFrom = []SendFrom{{Address: "192.0.2.1"}, {Address: "192.0.2.2"}, {Address: "192.0.2.3"}, {Address: "2001:db8::1"}}
	s, err := m.parseSources()
	if err != nil {
		t.Fatal(err)
	}
	for refused, want := range map[string]string{
		"":                                "192.0.2.1 2001:db8::1, 192.0.2.2, 192.0.2.3 | ",
		"192.0.2.1":                       "192.0.2.2 2001:db8::1, 192.0.2.3 | 192.0.2.1",
		"192.0.2.1 192.0.2.2 192.0.2.3":   "2001:db8::1 | 192.0.2.1, 192.0.2.2, 192.0.2.3",
		"192.0.2.2 2001:db8::1 192.0.2.1": "192.0.2.3 | 192.0.2.1 2001:db8::1, 192.0.2.2",
	} {
		all := s.turns(func(ip netip.Addr) bool { return slices.Contains(strings.Fields(refused), ip.String()) })
		if got := describeTurns(all.list[:all.doubtful]) + " | " + describeTurns(all.list[all.doubtful:]); got != want {
			t.Errorf("%q refused: %s, want %s", refused, got, want)
		}
	}
	if all := sources(nil).turns(nil); len(all.list) != 1 || all.doubtful != 1 {
		t.Errorf("without addresses: %+v", all)
	}
}

func describeTurns(list []turn) string {
	texts := make([]string, len(list))
	for i, t := range list {
		var words []string
		for _, f := range families {
			if s, ok := t.of(f); ok {
				words = append(words, s.addr.String())
			}
		}
		texts[i] = strings.Join(words, " ")
	}
	return strings.Join(texts, ", ")
}

// TestRefusals: they are forgotten after an hour, and are bounded.
func TestRefusals(t *testing.T) {
	var r refusals
	now := time.Now()
	key := refusal{"google", netip.MustParseAddr("192.0.2.1")}
	r.add(key, now)
	for after, want := range map[time.Duration]bool{0: true, refusedFor - 1: true, refusedFor: false, -time.Second: false} {
		if r.has(key, now.Add(after)) != want {
			t.Errorf("after %s: %v", after, !want)
		}
	}
	if r.has(refusal{"yahoo", key.from}, now) {
		t.Error("another site has refused it")
	}
	for i := range 2 * maxRefusals {
		r.add(refusal{fmt.Sprint(i), key.from}, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(r.until) > maxRefusals {
		t.Errorf("%d are remembered", len(r.until))
	}
}
