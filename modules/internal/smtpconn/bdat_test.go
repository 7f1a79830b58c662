package smtpconn

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Begins of scripts of servers that offer CHUNKING.
const (
	chunking = hello + "S: 250-mx.test\nS: 250-CHUNKING\nS: 250 PIPELINING\n"
	slowly   = hello + "S: 250-mx.test\nS: 250 CHUNKING\n"
	toOne    = "C: MAIL\nC: RCPT\nS: 250 ok\nS: 250 ok\n"
	toTwo    = "C: MAIL\nC: RCPT\nC: RCPT\nS: 250 ok\nS: 250 ok\nS: 250 ok\n"
)

// size is that of the message simple.
const size = "21"

// TestChunking is BDAT as it is meant to be: what arrives is the message, with
// nothing doubled, and CRLF at its end.
func TestChunking(t *testing.T) {
	for _, tc := range []struct {
		name, body, octets, want string
		begin                    script
	}{
		{"pipelined", "\r\nhello\r\n", size, "Subject: x\r\n\r\nhello\r\n", chunking + toOne},
		{"no PIPELINING", "\r\nhello\r\n", size, "Subject: x\r\n\r\nhello\r\n", slowly + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\n"},
		{"dots", "\r\n.\r\n..\r\n", "21", "Subject: x\r\n\r\n.\r\n..\r\n", chunking + toOne},
		{"no CRLF at the end", "\r\nhello", size, "Subject: x\r\n\r\nhello\r\n", chunking + toOne},
		{"no body", "", "12", "Subject: x\r\n", chunking + toOne},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.begin+script("BDAT "+tc.octets+"\nS: 250 2.0.0 ok\n")+quit)
			p := pool(t)
			check(t, p.Deliver(t.Context(), envelope("one@b.test"), message("Subject: x\r\n", tc.body), targets(s.target())), "250 2.0.0 remote")
			stop(t, p)
			if diff := cmp.Diff([]string{tc.want}, s.contents); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func stop(t *testing.T, p *Pool) {
	t.Helper()
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestChunkingReplies: what a server says to BDAT is about the message, for
// everybody it had accepted, and RSET comes before the next one.
func TestChunkingReplies(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		script     script
	}{
		{"4yz", "452 4.3.1 remote, 452 4.3.1 remote", toTwo + "BDAT " + size + "\nS: 452 4.3.1 full\n" + quit},
		{"5yz", "554 5.7.1 remote, 554 5.7.1 remote", toTwo + "BDAT " + size + "\nS: 554 5.7.1 spam\n" + quit},
		{"one is refused", "250 2.0.0 remote, 550 5.1.1 remote", "C: MAIL\nC: RCPT\nC: RCPT\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\n" +
			"BDAT " + size + "\nS: 250 2.0.0 ok\n" + quit},
		{"nobody is accepted", "550 5.1.1 remote, 450 4.2.1 remote", "C: MAIL\nC: RCPT\nC: RCPT\nS: 250 ok\nS: 550 5.1.1 who?\nS: 450 4.2.1 later\n" + quit},
		{"too many recipients", "250 2.0.0 remote, 250 2.0.0 remote", "C: MAIL\nC: RCPT\nC: RCPT\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 too many\n" +
			"BDAT " + size + "\nS: 250 2.0.0 ok\nC: MAIL\nC: RCPT\nBDAT " + size + "\nS: 250 ok\nS: 250 ok\nS: 250 2.0.0 ok\n" + quit},
		{"421", "421 4.3.2 remote, 421 4.3.2 remote", toTwo + "BDAT " + size + "\nS: 421 4.3.2 bye\nCLOSE"},
		{"N6 lost", "451 4.4.2, 451 4.4.2", toTwo + "BDAT " + size + "\nCLOSE"},
		{"N5 354", "451 4.5.0, 451 4.5.0", toTwo + "BDAT " + size + "\nS: 354 go on\nHANG"},
		{"N5 refuses to know it", "451 4.5.1, 451 4.5.1", toTwo + "BDAT " + size + "\nS: 502 5.5.1 what?\nHANG"},
		{"N5 said before it is asked", "451 4.5.0, 451 4.5.0", "C: MAIL\nC: RCPT\nC: RCPT\nS! \"250 ok\\r\\n250 ok\\r\\n250 ok\\r\\n250 ok\\r\\n\"\nHANG"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, chunking+tc.script)
			check(t, pool(t).Deliver(t.Context(), envelope("one@b.test", "two@b.test"), simple, targets(s.target())), tc.want)
		})
	}
}

// TestChunkingFlight: over a connection that a chunk was taken over, envelope
// and content go together, and every reply still finds its recipient.
func TestChunkingFlight(t *testing.T) {
	const flight = "C: MAIL\nC: RCPT\nC: RCPT\nBDAT " + size + "\n"
	for _, tc := range []struct {
		name, want, text string
		script           script
	}{
		{"taken", "250 2.0.0 remote, 250 2.0.0 remote", "", flight + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 2.0.0 ok\n" + quit},
		{"one is refused", "550 5.1.1 remote, 250 2.0.0 remote", "", flight + "S: 250 ok\nS: 550 5.1.1 who?\nS: 250 ok\nS: 250 2.0.0 ok\n" + quit},
		{"nobody is accepted", "550 5.1.1 remote, 450 4.2.1 remote", "", flight + "S: 250 ok\nS: 550 5.1.1 who?\nS: 450 4.2.1 later\nS: 503 5.5.1 nobody\n" + quit},
		{"MAIL is refused", "550 5.7.1 remote, 550 5.7.1 remote", "", flight + "S: 550 5.7.1 not you\nS: 503 first\nS: 503 first\nS: 503 first\n" + quit},
		{"the content is refused", "554 5.7.1 remote, 554 5.7.1 remote", "", flight + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 554 5.7.1 spam\n" + quit},
		{"421 to a recipient", "421 4.3.2 remote, 421 4.3.2 remote", "bye", flight + "S: 250 ok\nS: 421 4.3.2 bye\nCLOSE"},
		{"N6 lost before all replies", "451 4.4.2, 451 4.4.2", "ambiguous", flight + "CLOSE"},
		{"N6 lost after some replies", "550 5.1.1 remote, 451 4.4.2", "", flight + "S: 250 ok\nS: 550 5.1.1 who?\nCLOSE"},
		{"N6 lost before the last reply", "451 4.4.2, 451 4.4.2", "ambiguous", flight + "S: 250 ok\nS: 250 ok\nS: 250 ok\nCLOSE"},
		{"N5 nonsense", "451 4.4.2, 451 4.4.2", "ambiguous", flight + "S! \"\\x00\\r\\n\"\nHANG"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, chunking+toOne+"BDAT "+size+"\nS: 250 2.0.0 ok\n"+tc.script)
			p := pool(t)
			check(t, p.Deliver(t.Context(), envelope("zero@b.test"), simple, targets(s.target())), "250 2.0.0 remote")
			rs := p.Deliver(t.Context(), envelope("one@b.test", "two@b.test"), simple, targets(s.target()))
			check(t, rs, tc.want)
			if !strings.Contains(rs[0].Reply.Text, tc.text) {
				t.Errorf("text %q, want %q", rs[0].Reply.Text, tc.text)
			}
		})
	}
}

// TestChunkingLargeWaits: a large message is not sent to nobody.
func TestChunkingLargeWaits(t *testing.T) {
	s := serve(t, chunking+toOne+"BDAT "+size+"\nS: 250 2.0.0 ok\nC: MAIL\nC: RCPT\nS: 250 ok\nS: 550 5.1.1 who?\n"+quit)
	p := pool(t)
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target())), "250 2.0.0 remote")
	large := message("Subject: x\r\n", "\r\n"+strings.Repeat("0123456789\r\n", maxFlight/12))
	check(t, p.Deliver(t.Context(), envelope("two@b.test"), large, targets(s.target())), "550 5.1.1 remote")
}

// TestChunkingHeals: a server with which BDAT has failed gets DATA the next time.
func TestChunkingHeals(t *testing.T) {
	for _, tc := range []struct{ name, fails string }{
		{"lost", "CLOSE"},
		{"refuses to know it", "S: 500 what?\nHANG"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, chunking+toOne+"BDAT "+size+"\n"+script(tc.fails),
				chunking+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\n"+quit)
			p := pool(t)
			first := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target()))
			if !first[0].Reply.Temporary() {
				t.Fatal(first[0].Reply)
			}
			check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target())), "250 2.0.0 remote")
			stop(t, p)
		})
	}
	var u unchunked
	now := time.Now()
	u.add(Target{}.Addr, now)
	if !u.has(Target{}.Addr, now.Add(unchunkedTime-1)) || u.has(Target{}.Addr, now.Add(unchunkedTime)) {
		t.Error("it is not remembered for unchunkedTime")
	}
}

// TestChunkingChanged: a body that is not what it was does not become a
// command, and not a message.
func TestChunkingChanged(t *testing.T) {
	for _, tc := range []struct {
		name string
		body appliance.Body
	}{
		{"longer", &changing{bodies: []string{"\r\nhi\r\n", "\r\nhi\r\nQUIT\r\n"}}},
		{"shorter", &changing{bodies: []string{"\r\nhi\r\n", "\r\n"}}},
		{"unreadable", &fragileBody{good: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, chunking+toOne+"HANG")
			msg := message("Subject: x\r\n", "")
			msg.Body = tc.body
			check(t, pool(t).Deliver(t.Context(), envelope("one@b.test"), msg, targets(s.target())), "451 4.3.0")
		})
	}
}

// changing is another body each time.
type changing struct{ bodies []string }

func (c *changing) Size() int64 { return 6 }

func (c *changing) Open() (io.ReadCloser, error) {
	if len(c.bodies) == 0 {
		return nil, errors.New("opened too often")
	}
	b := c.bodies[0]
	c.bodies = c.bodies[1:]
	return appliance.BytesBody(b).Open()
}
