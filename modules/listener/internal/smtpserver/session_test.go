package smtpserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// oneMessage is a whole session, with a place for the expected reply to DATA.
const oneMessage = `S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
C: MAIL FROM:<a@sender.example>
S: 250 <<.*
C: RCPT TO:<b@local.test>
S: 250 <<.*
C: DATA
S: 354 <<.*
C: Subject: x
C: 
C: text
C: .
S: %s
C: QUIT
S: 221 <<.*
close
`

// TestG6_Errors: what is our fault is temporary, carries nothing of ours, and a
// Reply is found however deep it is wrapped.
func TestG6_Errors(t *testing.T) {
	path := "/data/queue/secret"
	for op, c := range map[string]struct {
		err  error
		want string
	}{
		"draft":  {fmt.Errorf("open %s: %w", path, syscall.ENOSPC), "451 4.3.0 Local error, please try again later"},
		"commit": {fmt.Errorf("fsync %s: %w", path, syscall.EIO), "451 4.3.0 Local error, please try again later"},
		"write":  {fmt.Errorf("write %s: %w", path, appliance.ErrFull), "452 4.3.1 Insufficient system storage, please try again later"},
	} {
		t.Run(op, func(t *testing.T) {
			r := start(t)
			r.Spool.Fail = func(at string) error {
				if at == op {
					return c.err
				}
				return nil
			}
			r.talk(t, fmt.Sprintf(oneMessage, c.want)+"accepted: 0")
		})
	}
}

// TestP9_Mail: a full disk is said to MAIL, before the client sends its message
// for nothing; when there is room again the session goes on.
func TestP9_Mail(t *testing.T) {
	r := start(t)
	full := true
	r.Spool.Fail = func(op string) error {
		if op == "room" && full {
			return appliance.ErrFull.With(errors.New("/data/bodies: no space left on device"))
		}
		return nil
	}
	d := r.dialogue()
	d.Directive = func(string, string) error { full = false; return nil }
	err := d.Run(hello + "C: MAIL FROM:<a@sender.example> SIZE=1000\nS: 452 4.3.1 Insufficient system storage, please try again later\n" +
		"C: RCPT TO:<b@local.test>\nS: 503 <<.*\nroom\nC: MAIL FROM:<a@sender.example> SIZE=1000\nS: 250 <<.*")
	if err != nil {
		t.Error(err)
	}
}

// TestReplies_Check: a check's reply is said as it is, in lines, in ASCII; 421
// closes; what is no refusal is taken for a fault.
func TestReplies_Check(t *testing.T) {
	for name, c := range map[string]struct {
		reply *appliance.Reply
		want  string
	}{
		"multiline": {appliance.NewReply(550, 7, 1, "Not you.\nReally\r\nnot ü."), "S: 550 5.7.1 not ?.\nhas: ^550-5.7.1 Not you[.]$\nhas: ^550-5.7.1 Really[?]$\n"},
		"long":      {appliance.NewReply(550, 7, 1, strings.Repeat("x", 1000)), "S: 550 5.7.1 <<x{40}\nhas: ^550-5.7.1 x{480}$\n"},
		"421":       {appliance.NewReply(421, 7, 0, "Come back later"), "S: 421 4.7.0 Come back later\nclose\n"},
		"positive":  {appliance.NewReply(250, 0, 0, "fine"), "S: 451 4.3.0 Local error, please try again later\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, within(appliancetest.WithCheck(func(at appliance.Stage, _ *appliance.Transaction) (appliance.Verdict, error) {
				if at == appliance.AtSender {
					return appliance.Verdict{Refuse: c.reply}, nil
				}
				return appliance.Verdict{}, nil
			})))
			r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<a@sender.example>\n"+c.want)
		})
	}
}

// TestConnect: a client that is not welcome learns it in the greeting.
func TestConnect(t *testing.T) {
	refuse := func(code int) func(*options) {
		return within(appliancetest.WithCheck(func(at appliance.Stage, _ *appliance.Transaction) (appliance.Verdict, error) {
			return appliance.Verdict{Refuse: appliance.NewReply(code, 7, 1, "Not welcome")}, nil
		}))
	}
	start(t, refuse(550)).talk(t, "S: 554 5.7.1 Not welcome\nC: EHLO c\nS: 503 5.5.1 <<.*\nC: MAIL FROM:<>\nS: 503 <<.*\nC: QUIT\nS: 221 <<.*\nclose")
	// G7: nor is a chunk of such a client taken for commands.
	start(t, refuse(550)).talk(t, "S: 554 5.7.1 Not welcome\nC> BDAT 6 LAST\\r\\nQUIT\\r\\nNOOP\\r\\n\nS: 503 5.5.1 Bad sequence of commands\nS: 503 5.5.1 Bad sequence of commands\nC: QUIT\nS: 221 <<.*\nclose")
	start(t, refuse(450)).talk(t, "S: 421 4.7.1 Not welcome\nclose")
}

// TestR14_Panic: a panic ends in a temporary reply, in a module or in between.
func TestR14_Panic(t *testing.T) {
	panics := func(stage appliance.Stage) func(*options) {
		return within(appliancetest.WithCheck(func(at appliance.Stage, _ *appliance.Transaction) (appliance.Verdict, error) {
			if at == stage {
				panic("check")
			}
			return appliance.Verdict{}, nil
		}))
	}
	r := start(t, panics(appliance.AtContent))
	r.talk(t, fmt.Sprintf(oneMessage, "451 4.3.0 Local error, please try again later")+"accepted: 0")
	r = start(t)
	r.Spool.Fail = func(op string) error { // not guarded by the pipeline
		if op == "draft" {
			panic(op)
		}
		return nil
	}
	r.talk(t, strings.Split(fmt.Sprintf(oneMessage, "421 4.3.0 <<.*"), "C: QUIT")[0]+"close")
	if r.logs.FilterMessage("panic in a session; the client is told to try again").Len() != 1 {
		t.Error("the panic is not in the log")
	}
	r.Spool.Fail = nil
	r.talk(t, fmt.Sprintf(oneMessage, "250 <<.*")) // the process lives
}

// TestSession is what checks and the Received field are told of a client.
func TestSession(t *testing.T) {
	var seen []appliance.Session
	r := start(t, submission, trusting, within(appliancetest.WithCheck(func(_ appliance.Stage, tx *appliance.Transaction) (appliance.Verdict, error) {
		seen = append(seen, *tx.Session)
		return appliance.Verdict{}, nil
	})))
	r.talk(t, `S: 220 <<.*
C: HELO First.Example
S: 250 mail.test
C: MAIL FROM:<a@local.test>
S: 250 <<.*
C: STARTTLS
S: 220 <<.*
starttls
C: EHLO [192.0.2.1]
S: 250 <<.*
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 235 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*`)
	if len(seen) != 3 {
		t.Fatalf("%d calls", len(seen))
	}
	connect, plain, secure := seen[0], seen[1], seen[2]
	if connect.ID == "" || connect.Listener.String() != "listener.test" || !connect.Client.Addr().IsLoopback() ||
		connect.Local.String() != r.srv.Addrs()[0].String() || connect.Trusted != "127.0.0.0/8" || !connect.Submission {
		t.Errorf("at connect: %+v", connect)
	}
	if plain.Hello != "first.example" || plain.Extended || plain.TLS != nil || plain.Identity != nil || plain.ID != connect.ID {
		t.Errorf("in clear: %+v", plain)
	}
	if secure.Hello != "[192.0.2.1]" || !secure.Extended || secure.TLS == nil || secure.User() != "app" ||
		secure.Protocol(false) != "ESMTPSA" || secure.ID != connect.ID {
		t.Errorf("under TLS: %+v", secure)
	}
}

// TestA2_Identity: AUTH made void by STARTTLS cannot happen, since AUTH needs
// TLS; so the identity is that of the encrypted session alone. Here: a second
// STARTTLS does not log anybody out, and a stranger stays one.
func TestA2_Identity(t *testing.T) {
	r := start(t, implicit)
	r.talk(t, `S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 235 <<.*
C: STARTTLS
S: 503 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*
connect
S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: MAIL FROM:<a@local.test>
S: 530 5.7.0 Authentication required`)
}

// TestA4_Handshake: after a failed handshake nothing more is said in clear; G14.
func TestA4_Handshake(t *testing.T) {
	for name, octets := range map[string]string{
		"commands": "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@local.test>\r\n",
		"SSLv2":    "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
		"TLS 1.0":  "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01" + strings.Repeat("x", 32) + "\x00\x00\x04\x00\x2f\x00\xff\x01\x00",
		"nothing":  "",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c := greeted(t, r)
			defer c.Close()
			br := bufio.NewReader(c)
			say(t, c, br, "EHLO client.example", "250 ")
			say(t, c, br, "STARTTLS", "220 ")
			_, _ = io.WriteString(c, octets)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(br)
			if len(rest) > 0 && rest[0] != 0x15 { // a TLS alert
				t.Errorf("said in clear: %q", rest)
			}
			waitFor(t, func() bool { return r.logs.FilterMessage("session ended").Len() == 1 })
			if warned := r.logs.FilterMessage("TLS handshake failed").Len() == 1; warned != (octets != "") {
				t.Errorf("warned: %v", warned)
			}
		})
	}
}

// TestA4_Silence: a client that does not go on with its handshake is cut.
func TestA4_Silence(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, d *appliancetest.Dialogue, _ *pipes) {
		began := time.Now()
		if err := d.Run("S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: STARTTLS\nS: 220 <<.*\nclose"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != handshakeTimeout {
			t.Errorf("cut after %s", took)
		}
	})
}

// TestA5_Versions: TLS 1.1 and older are refused, 1.2 and 1.3 served.
func TestA5_Versions(t *testing.T) {
	r := start(t, implicit)
	for version, ok := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		config := r.clientTLS()
		config.MinVersion, config.MaxVersion = version, version
		c, err := tls.Dial("tcp", r.srv.Addrs()[0].String(), config)
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

// TestNoTickets: the exchanger hands out no TLS session tickets, so that a
// second handshake is a full one.
func TestNoTickets(t *testing.T) {
	for _, c := range []struct {
		role    func(*options)
		resumes bool
	}{{implicit, true}, {func(o *options) { o.role = Role{ImplicitTLS: true, Opportunistic: true} }, false}} {
		r := start(t, c.role)
		config := r.clientTLS()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		resumed := false
		for range 2 {
			conn, err := tls.Dial("tcp", r.srv.Addrs()[0].String(), config)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = bufio.NewReader(conn).ReadString('\n') // the ticket comes before it
			resumed = conn.ConnectionState().DidResume
			_ = conn.Close()
		}
		if resumed != c.resumes {
			t.Errorf("resumed: %v", resumed)
		}
	}
}

// TestS20_Truncated: a message that breaks off, in DATA or in a chunk, by the
// end of the connection or of TLS alone, is never accepted.
func TestS20_Truncated(t *testing.T) {
	for name, last := range map[string]string{
		"chunk":      "BDAT 1000 LAST\r\nSubject: x\r\n\r\ntext\r\n",
		"last chunk": "BDAT 4\r\ntextBDAT 10 LAST\r\ntext",
		"no last":    "BDAT 4\r\ntext",
		"data":       "DATA\r\n",
	} {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%v", name, encrypted), func(t *testing.T) {
				r := start(t)
				raw := greeted(t, r)
				defer raw.Close()
				c, br := raw, bufio.NewReader(raw)
				if encrypted {
					say(t, c, br, "STARTTLS", "220 ")
					c = tls.Client(raw, r.clientTLS())
					br = bufio.NewReader(c)
				}
				say(t, c, br, "EHLO client.example", "250 ")
				say(t, c, br, "MAIL FROM:<a@sender.example>", "250 ")
				say(t, c, br, "RCPT TO:<b@local.test>", "250 ")
				_, _ = io.WriteString(c, last)
				if name == "data" {
					_, _ = br.ReadString('\n')
					_, _ = io.WriteString(c, "Subject: x\r\n\r\ntext\r\n")
				}
				if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if encrypted {
					_, _ = raw.Write([]byte("x")) // CVE-2026-45185
				}
				_, _ = io.ReadAll(br)
				waitFor(t, func() bool { return r.logs.FilterMessage("session ended").Len() == 1 })
				if n := len(r.Spool.Messages()) + r.Spool.Open(); n != 0 {
					t.Errorf("%d messages or drafts", n)
				}
			})
		}
	}
}

// TestS17_Sizes: limit-1 and limit pass, limit+1 does not, by DATA and by BDAT,
// and nothing is taken for an end while the rest is discarded.
func TestS17_Sizes(t *testing.T) {
	for _, w := range wires {
		t.Run("wire"+w.name, func(t *testing.T) { sizes(t, w.opt) })
	}
}

func sizes(t *testing.T, opt func(*options)) {
	const limit = 2000
	for _, c := range []struct {
		size int
		want string
	}{{limit - 1, "250 2.0.0 <<.*"}, {limit, "250 2.0.0 <<.*"}, {limit + 1, "552 5.3.4 <<.*"}} {
		content := "X: y\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 30)
		content = content[:c.size-2] + "\r\n"
		r := start(t, small, opt)
		preamble := "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\n"
		envelope := "C: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*\n"
		r.talk(t, preamble+
			envelope+"C: DATA\nS: 354 <<.*\nC> "+escape(content)+`.\r\n`+"\nS: "+c.want+"\n"+
			envelope+fmt.Sprintf("C: BDAT %d LAST\nC> %s\nS: %s\n", c.size, escape(content), c.want)+
			envelope+fmt.Sprintf("C: BDAT 8\nC> %s\nS: 250 <<.*\nC: BDAT %d LAST\nC> %s\nS: %s\n",
			escape(content[:8]), c.size-8, escape(content[8:]), c.want)+"C: NOOP\nS: 250 <<.*")
		r.stop(t)
	}
	r := start(t, small, opt)
	r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*\n"+
		"C: DATA\nS: 354 <<.*\nC> "+escape(strings.Repeat("xxxxxxx\r\n", 300)+"\n.\nMAIL FROM:<smuggled@sender.example>\r\n.\r\n")+
		"\nS: 552 5.3.4 <<.*\nC: QUIT\nS: 221 <<.*\nclose\naccepted: 0")
}

// TestS18_Discarded: what is left of a refused chunk is read and is no command,
// be the chunk the first or a later one.
func TestS18_Discarded(t *testing.T) {
	const commands = 5000
	rest := strings.Repeat("NOOP\r\n", commands)
	for i := range 2 * len(wires) {
		first := []string{"", "C> BDAT 5\\r\\nX: y\nS: 250 <<.*\n"}[i%2]
		r := start(t, wires[i/2].opt)
		script := untilData + strings.ReplaceAll(first, "X: y", `X:y\r\n`)
		script += fmt.Sprintf("C> BDAT %d LAST\\r\\n", 3+len(rest)) + `a\nb` + escape(rest) + "\nC: QUIT\nS: 550 5.6.0 <<.*\nS: 221 <<.*\nclose\naccepted: 0"
		r.talk(t, script)
		r.stop(t)
	}
}

// TestS19_LaterChunk: a later chunk is held to the same limits as the first.
func TestS19_LaterChunk(t *testing.T) {
	for announced, want := range map[string]string{"99999999999": "552 5.3.4 <<.*", "4 LST": "501 5.5.4 <<.*", "": "501 5.5.4 <<.*"} {
		r := start(t)
		r.talk(t, untilData+`C> BDAT 5\r\nX:y\r\n`+"\nS: 250 <<.*\nC: BDAT "+announced+"\nC: NOOP injected\nS: "+want+"\nclose\naccepted: 0")
		r.stop(t)
	}
}

// TestR1_SlowChunks: the total time of a message counts when it comes in chunks.
func TestR1_SlowChunks(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, d *appliancetest.Dialogue, _ *pipes) {
		d.Directive = func(string, string) error {
			time.Sleep(4 * time.Minute) // shorter than idle_timeout
			return nil
		}
		chunk := "C> BDAT 1\\r\\nx\nS: 250 <<.*\nsleep\n"
		if err := d.Run(untilData + strings.Repeat(chunk, 15) + `C> BDAT 1\r\nx` + "\nS: 421 4.4.2 <<.*\nclose"); err != nil {
			t.Error(err)
		}
		if len(r.Spool.Messages()) != 0 {
			t.Error("accepted")
		}
	}, func(o *options) { o.set.MinRate = 0; o.set.DataTimeout = 58 * time.Minute })
}

// TestS19_ManyChunks: 100,000 chunks of one octet cost no memory.
func TestS19_ManyChunks(t *testing.T) {
	const n = 100_000
	r := start(t)
	c := greeted(t, r)
	br := bufio.NewReaderSize(c, 1<<16)
	say(t, c, br, "EHLO client.example", "250 ")
	say(t, c, br, "MAIL FROM:<a@sender.example>", "250 ")
	say(t, c, br, "RCPT TO:<b@local.test>", "250 ")
	go func() {
		chunk := []byte("BDAT 1\r\nx")
		for i := range n {
			if i%70 == 69 {
				_, _ = c.Write([]byte("BDAT 2\r\n\r\n"))
			} else {
				_, _ = c.Write(chunk)
			}
		}
		_, _ = c.Write([]byte("BDAT 0 LAST\r\n"))
	}()
	for range n {
		if line, err := br.ReadString('\n'); line != "250 2.0.0 Chunk OK\r\n" {
			t.Fatal(line, err)
		}
	}
	if line, err := br.ReadString('\n'); !strings.HasPrefix(line, "250 2.0.0 queued as ") {
		t.Fatal(line, err)
	}
	_ = c.Close()
}

// TestCork: the replies to a pipelined group leave in one segment.
func TestCork(t *testing.T) {
	r := start(t)
	c := greeted(t, r)
	defer c.Close()
	br := bufio.NewReader(c)
	say(t, c, br, "EHLO client.example", "250 ")
	_, _ = io.WriteString(c, "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@local.test>\r\nRCPT TO:<c@local.test>\r\nDATA\r\n")
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	if got := bytes.Count(b[:n], []byte("\r\n")); got != 4 {
		t.Errorf("%d replies in the first segment: %q", got, b[:n])
	}
}

// TestP19_Secrets: neither password nor response is in a log, however the login
// goes.
func TestP19_Secrets(t *testing.T) {
	r := start(t, implicit)
	responses := []string{"AGFwcABzZWNyZXQ=", "AGFwcABodW50ZXIy", "AGJyb2tlbgBodW50ZXIy"} // app secret, app hunter2, broken hunter2
	script := "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\n"
	for _, resp := range []string{responses[2], responses[1], responses[0]} {
		script += "C: AUTH PLAIN " + resp + "\nS: <<.*\n"
	}
	r.talk(t, script+"C: QUIT\nS: 221 <<.*\nclose")
	waitFor(t, func() bool { return r.logs.FilterMessage("session ended").Len() == 1 })
	for _, e := range r.logs.All() {
		line := fmt.Sprint(e.Message, e.ContextMap())
		for _, secret := range append(responses, "secret", "hunter2") {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in the log: %s", secret, line)
			}
		}
	}
	for _, e := range r.Events.All() {
		if line := fmt.Sprintf("%+v", e); strings.Contains(line, "hunter2") {
			t.Errorf("in an event: %s", line)
		}
	}
}

// TestAuthOff: where nobody can log in AUTH is neither announced nor taken, and
// a submission listener without trust takes no mail.
func TestAuthOff(t *testing.T) {
	r := start(t, implicit, within(func(h *appliancetest.House, _ *appliance.House) { h.Users = nil }))
	r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nlacks: AUTH\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 502 5.5.1 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 <<.*")
	r = start(t, submission, func(o *options) { o.noTLS = true })
	r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nlacks: AUTH|STARTTLS\nC: STARTTLS\nS: 502 <<.*\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 538 <<.*\nC: MAIL FROM:<a@local.test>\nS: 530 <<.*")
}

// TestA8_EmptyPassword: an empty password is never right, even where an
// authenticator would take it (RFC 4513, section 5.1.2: an anonymous bind).
func TestA8_EmptyPassword(t *testing.T) {
	r := start(t, implicit, within(func(h *appliancetest.House, _ *appliance.House) { h.Users = appliancetest.Users{"app": ""} }))
	r.talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: AUTH PLAIN AGFwcAA=\nS: 535 5.7.8 <<.*\n"+
		"C: AUTH LOGIN YXBw\nS: 334 <<.*\nC: =\nS: 535 5.7.8 <<.*")
}

// TestTrusted: a trusted network may send in clear and without AUTH.
func TestTrusted(t *testing.T) {
	start(t, submission, trusting).talk(t, `S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*
C: RCPT TO:<b@elsewhere.example>
S: 250 <<.*
C: DATA
S: 354 <<.*
C: From: a@local.test
C: 
C: .
S: 250 <<.*
accepted: 1`)
}

// TestC6_AuthInTransaction: not while a message is on its way.
func TestC6_AuthInTransaction(t *testing.T) {
	start(t, implicit, trusting).talk(t, `S: 220 <<.*
C: EHLO c
S: 250 <<.*
C: MAIL FROM:<a@local.test>
S: 250 <<.*
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 503 5.5.1 <<A transaction is open.*
C: RSET
S: 250 <<.*
C: AUTH PLAIN AGFwcABzZWNyZXQ=
S: 235 <<.*`)
}

// TestReload: a transaction finishes on the pipeline it began with, the next
// one uses the new.
func TestReload(t *testing.T) {
	r := start(t)
	next := appliancetest.NewHouse(t)
	d := r.dialogue()
	d.Directive = func(word, _ string) error {
		if word == "attach" {
			r.srv.Attach(next.Pipeline)
			return nil
		}
		if len(r.Spool.Messages()) != 1 || len(next.Spool.Messages()) != 1 {
			return errors.New("not one message each")
		}
		return nil
	}
	message := "C: RCPT TO:<b@local.test>\nS: 250 <<.*\nC: DATA\nS: 354 <<.*\nC: .\nS: 250 <<.*\n"
	err := d.Run("S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nattach\n" + message +
		"C: MAIL FROM:<a@sender.example>\nS: 250 <<.*\n" + message + "each")
	if err != nil {
		t.Error(err)
	}
}

// TestUnixSocket: a listener can be a path; its clients have no address.
func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/smtp.sock"
	r := start(t, func(o *options) { o.set.Address = "unix:" + path; o.set.MaxConnectionsPerIP = 1 })
	hold, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	d := r.dialogue()
	d.Dial = func() (net.Conn, error) { return net.Dial("unix", path) }
	if err := d.Run(fmt.Sprintf(oneMessage, "250 <<.*")); err != nil {
		t.Error(err)
	}
	if got := r.Spool.Messages()[0].Origin.Client; got != "" {
		t.Errorf("client %q", got)
	}
}

// TestListenFails: the error names the attribute.
func TestListenFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRig(t, func(o *options) { o.set.Address = l.Addr().String() })
	attr, ok := errors.AsType[*appliance.AttrError](r.srv.Start(t.Context()))
	if !ok || attr.Attr != "address" || !errors.Is(attr, syscall.EADDRINUSE) {
		t.Error(attr)
	}
}
