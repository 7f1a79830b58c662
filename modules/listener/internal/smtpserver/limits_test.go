package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// pipes is a net.Listener of connections in memory, for tests in which time is
// an illusion.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }

func (p *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1024"))}
	return client, nil
}

// addressed is a pipe with a client address.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

// inBubble runs a server on pipes; the clock is that of the bubble.
func inBubble(t *testing.T, f func(t *testing.T, r *rig, d *appliancetest.Dialogue, p *pipes), opts ...func(*options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, p := newRig(t, append(opts, func(o *options) { o.wait = true })...), newPipes()
		r.srv.serve(p)
		f(t, r, &appliancetest.Dialogue{Dial: p.dial, Directive: r.directive, Timeout: 24 * time.Hour}, p)
		r.stop(t)
	})
}

// TestR1_SlowCommand: the time is for the whole line, however it drips.
func TestR1_SlowCommand(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rig, _ *appliancetest.Dialogue, p *pipes) {
		c, _ := p.dial()
		br := bufio.NewReader(c)
		_, _ = br.ReadString('\n')
		began := time.Now()
		var drip sync.WaitGroup
		drip.Go(func() {
			for {
				if _, err := c.Write([]byte("N")); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		})
		rest, _ := io.ReadAll(br)
		if string(rest) != "421 4.4.2 Timeout, closing connection\r\n" || time.Since(began) != 5*time.Minute {
			t.Errorf("%q after %s", rest, time.Since(began))
		}
		_ = c.Close()
		drip.Wait()
	})
}

const untilData = `S: 220 <<.*
C: EHLO client.example
S: 250 <<.*
C: MAIL FROM:<a@sender.example>
S: 250 <<.*
C: RCPT TO:<b@local.test>
S: 250 <<.*
`

// TestG5_SlowContent: a client that pauses too long or is too slow on average
// gets 421 4.4.2 without a word about us, and one that is merely slow is served.
func TestG5_SlowContent(t *testing.T) {
	for _, c := range []struct {
		name  string
		octs  int           // in each write
		pause time.Duration // after it
		want  time.Duration // until the 421; 0: the message is taken
	}{
		{"stalls", 100, time.Hour, 5 * time.Minute},
		{"drips", 1, 10 * time.Second, 5 * time.Minute}, // R1
		{"creeps", 10240, 21 * time.Second, 20 * time.Minute},
		{"slow", 10240, 4 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig, d *appliancetest.Dialogue, p *pipes) {
				took, err := dripMessage(p, c.octs, c.pause)
				switch {
				case c.want == 0 && err == nil && len(r.Spool.Messages()) == 1:
				case c.want != 0 && errors.Is(err, errTimedOut) && took >= c.want && took < c.want+30*time.Second:
				default:
					t.Errorf("%v after %s", err, took)
				}
			}, func(o *options) { o.set.DataTimeout = 20 * time.Minute })
		})
	}
}

var errTimedOut = errors.New("421 4.4.2 Timeout, closing connection")

// dripMessage sends a message of 200 writes and says how long the reply to it
// took; the error is that reply.
func dripMessage(p *pipes, octets int, pause time.Duration) (took time.Duration, err error) {
	var c net.Conn
	d := &appliancetest.Dialogue{Timeout: 24 * time.Hour}
	d.Dial = func() (net.Conn, error) {
		c, err = p.dial()
		return c, err
	}
	d.Directive = func(string, string) error {
		began := time.Now()
		_ = c.SetDeadline(time.Time{})
		var reply string
		var reader sync.WaitGroup
		reader.Go(func() {
			reply, _ = bufio.NewReader(c).ReadString('\n')
			took = time.Since(began)
			_ = c.Close()
		})
		drip(c, octets, pause)
		reader.Wait()
		switch reply = strings.TrimSpace(reply); {
		case reply == errTimedOut.Error():
			return errTimedOut
		case !strings.HasPrefix(reply, "250 2.0.0 queued as "):
			return errors.New(reply)
		}
		return nil
	}
	err = d.Run(untilData + "C: DATA\nS: 354 <<.*\ndrip")
	return took, err
}

func drip(w io.Writer, octets int, pause time.Duration) {
	piece := "x"
	if octets > 1 {
		piece = strings.Repeat(strings.Repeat("x", 78)+"\r\n", (octets+79)/80)
	}
	for range 200 {
		if _, err := io.WriteString(w, piece); err != nil {
			return
		}
		time.Sleep(pause)
	}
	_, _ = io.WriteString(w, "\r\n.\r\n")
}

// TestC5_Errors: replies slow down and the connection is closed; G13.
func TestC5_Errors(t *testing.T) {
	for name, c := range map[string]struct {
		command, reply, last string
		answered             int
		atLeast              time.Duration
	}{
		"unknown":    {"FOO", "500", "421 4.7.0 Too many errors, closing connection", 20, 55 * time.Second},
		"recipients": {"RCPT TO:<b@elsewhere.example>", "550", "421 4.7.0 Too many errors, closing connection", 20, 55 * time.Second},
		"sequence":   {"MAIL FROM:<x@sender.example>", "503", "421 4.7.0 Too many errors, closing connection", 20, 55 * time.Second},
		"noop":       {"NOOP", "250", "421 4.7.0 Too many commands without a message, closing connection", 49, 0},
		"vrfy":       {"VRFY a", "252", "421 4.7.0 Too many commands without a message, closing connection", 49, 0},
		"help":       {"HELP", "214", "421 4.7.0 Too many commands without a message, closing connection", 49, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rig, d *appliancetest.Dialogue, _ *pipes) {
				script := "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\nC: MAIL FROM:<a@sender.example>\nS: 250 <<.*\n" +
					strings.Repeat("C: "+c.command+"\nS: "+c.reply+"<<.*\n", c.answered) +
					"C: " + c.command + "\nS: " + c.last + "\nclose\n"
				began := time.Now()
				if err := d.Run(script); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took < c.atLeast {
					t.Errorf("took %s only", took)
				}
			})
		})
	}
}

// TestC5_Reset: RSET is no way around the limit, a message is.
func TestC5_Reset(t *testing.T) {
	message := "C: MAIL FROM:<a@sender.example>\nS: 250 <<.*\nC: RCPT TO:<b@local.test>\nS: 250 <<.*\n" +
		"C: DATA\nS: 354 <<.*\nC: .\nS: 250 <<.*\n"
	bad := strings.Repeat("C: FOO\nS: 500 <<.*\n", 15) + strings.Repeat("C: NOOP\nS: 250 <<.*\n", 40)
	inBubble(t, func(t *testing.T, _ *rig, d *appliancetest.Dialogue, _ *pipes) {
		err := d.Run("S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n" +
			bad + message + bad + message + bad + "C: RSET\nS: 250 <<.*\n" +
			strings.Repeat("C: FOO\nS: 500 <<.*\n", 5) + "C: FOO\nS: 421 <<.*\nclose\n")
		if err != nil {
			t.Error(err)
		}
	})
}

// TestG13_Logins: a failed login counts as five errors, and the more the longer.
func TestG13_Logins(t *testing.T) {
	r := start(t, implicit)
	r.srv.second = time.Millisecond
	attempt := "C: AUTH PLAIN AGFwcAB3cm9uZw==\n"
	r.talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n"+
		strings.Repeat(attempt+"S: 535 5.7.8 <<.*\n", 4)+attempt+"S: 421 4.7.0 Too many errors, closing connection\nclose")
	failed := 0
	for _, e := range r.Events.All() {
		if e.Kind == appliance.EventAuthFailed && e.User == "app" {
			failed++
		}
	}
	if failed != 5 {
		t.Errorf("%d events of failed logins", failed)
	}
}

// TestC2_LongLines: bounded, refused, closed.
func TestC2_LongLines(t *testing.T) {
	for name, line := range map[string]string{
		"513":   "C: NOOP " + strings.Repeat("x", 506),
		"2049":  "C: MAIL FROM:<" + strings.Repeat("x", 2040) + ">",
		"16KiB": "C> " + strings.Repeat("x", readBuffer),
		"10MB":  "C> " + strings.Repeat("x", 10<<20),
	} {
		for _, w := range wires {
			t.Run(name+w.name, func(t *testing.T) {
				r := start(t, w.opt)
				r.talk(t, "S: 220 <<.*\n"+line+"\nS: 500 5.5.2 Line too long\nclose")
			})
		}
	}
	t.Run("512", func(t *testing.T) {
		start(t).talk(t, "S: 220 <<.*\nC: NOOP "+strings.Repeat("x", 505)+"\nS: 250 <<.*")
	})
	t.Run("auth", func(t *testing.T) { // A8
		start(t, implicit).talk(t, "S: 220 <<.*\nC: EHLO c\nS: 250 <<.*\nC: AUTH PLAIN\nS: 334 \nC: "+
			strings.Repeat("A", 100<<10)+"\nS: 500 5.5.6 <<.*\nclose")
	})
}

// TestG20_Connections: the total and that of one address are limited.
func TestG20_Connections(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*options)
		want string
	}{
		"total":  {func(o *options) { o.set.MaxConnections = 2 }, "421 4.7.0 Too many connections, please try again later"},
		"per IP": {func(o *options) { o.set.MaxConnectionsPerIP = 2 }, "421 4.7.0 Too many connections from your address; close some first"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.set)
			var held []net.Conn
			for range 2 {
				held = append(held, greeted(t, r))
			}
			r.talk(t, "S: "+c.want+"\nclose")
			for _, c := range held {
				fmt.Fprintf(c, "QUIT\r\n")
				_, _ = io.ReadAll(c)
				_ = c.Close()
			}
			waitFor(t, func() bool {
				r.srv.crowd.mu.Lock()
				defer r.srv.crowd.mu.Unlock()
				return len(r.srv.crowd.all) == 0 && len(r.srv.crowd.perIP) == 0
			})
			_ = greeted(t, r).Close()
		})
	}
	t.Run("implicit TLS", func(t *testing.T) { // closed, without the cost of a handshake
		r := start(t, implicit, func(o *options) { o.set.MaxConnections = 1 })
		defer greeted(t, r).Close()
		c, err := r.dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.(*tls.Conn).Handshake(); err == nil {
			t.Error("handshake beyond the limit")
		}
	})
}

// waitFor waits for what another goroutine does on its own.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

// greeted returns a connection whose greeting has been read.
func greeted(t *testing.T, r *rig) net.Conn {
	t.Helper()
	c, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 512)
	if n, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "220 ") {
		t.Fatalf("%q %v", b[:n], err)
	}
	return c
}

// TestNeighbourhood: what counts as one client.
func TestNeighbourhood(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1", true},
	} {
		a, _ := appliance.ClientNetwork(netip.MustParseAddr(c.a))
		b, _ := appliance.ClientNetwork(netip.MustParseAddr(c.b))
		if (a == b) != c.same {
			t.Errorf("%s and %s: %v and %v", c.a, c.b, a, b)
		}
	}
	if _, known := appliance.ClientNetwork(netip.Addr{}); known {
		t.Error("a unix socket has a neighbourhood")
	}
}

// TestC3_Pregreet: whoever talks before the greeting is sent away.
func TestC3_Pregreet(t *testing.T) {
	r := start(t, func(o *options) { o.role.GreetDelay = 50 * time.Millisecond }, func(o *options) { o.wait = true })
	r.talk(t, "C: EHLO client.example\nS: 554 5.5.0 You talked before the greeting; wait for it\nclose")
	r.talk(t, "S: 220 mail.test ESMTP\nC: QUIT\nS: 221 <<.*")
}

// TestR2_AcceptErrors: the loop waits and goes on.
func TestR2_AcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, p := newRig(t), newPipes()
		f := &failing{pipes: p, left: 5}
		began := time.Now()
		r.srv.serve(f)
		d := &appliancetest.Dialogue{Dial: p.dial}
		if err := d.Run("S: 220 <<.*\nC: QUIT\nS: 221 <<.*\nclose"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != (5+10+20+40+80)*time.Millisecond {
			t.Errorf("waited %s", took)
		}
		if n := testutil.ToFloat64(r.srv.metrics.acceptFailed); n != 5 {
			t.Errorf("%v failures are counted", n)
		}
		r.stop(t)
	})
}

type failing struct {
	*pipes
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, os.NewSyscallError("accept4", errors.New("too many open files"))
	}
	return f.pipes.Accept()
}

// TestG19_Stop: idle clients are told and closed at once, a message under way
// is finished, and new clients are not taken.
func TestG19_Stop(t *testing.T) {
	r := start(t)
	idle, sending := greeted(t, r), greeted(t, r)
	br := bufio.NewReader(sending)
	say(t, sending, br, "EHLO client.example", "250 ")
	say(t, sending, br, "MAIL FROM:<a@sender.example>", "250 ")
	say(t, sending, br, "RCPT TO:<b@local.test>", "250 ")
	say(t, sending, br, "DATA", "354 ")
	stopped := make(chan error)
	go func() { stopped <- r.srv.Stop(context.Background()) }()
	rest, err := io.ReadAll(idle)
	if string(rest) != "421 4.3.2 Server is restarting, please try again in a moment\r\n" || err != nil {
		t.Errorf("idle client: %q, %v", rest, err)
	}
	if c, err := r.dial(); err == nil {
		t.Errorf("a connection after Stop: %v", c)
	}
	select {
	case <-stopped:
		t.Error("Stop did not wait for the message")
	default:
	}
	say(t, sending, br, "text\r\n.", "250 2.0.0 queued as ")
	rest, _ = io.ReadAll(br)
	if !strings.HasPrefix(string(rest), "421 4.3.2 ") {
		t.Errorf("after the message: %q", rest)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(r.Spool.Messages()) != 1 {
		t.Error("the message is lost")
	}
	_, _ = idle.Close(), sending.Close()
}

// TestP12_Retire: clients of a listener that a reload has replaced go on until
// they have done what they came for; Stop ends who has not.
func TestP12_Retire(t *testing.T) {
	r := start(t)
	idle, sending := greeted(t, r), greeted(t, r)
	ctx, over := context.WithCancel(t.Context())
	retired := make(chan struct{})
	go func() {
		r.srv.Retire(ctx)
		close(retired)
	}()
	for { // until it takes no more connections
		c, err := r.dial()
		if err != nil {
			break
		}
		_ = c.Close()
	}
	br := bufio.NewReader(sending)
	for range 2 {
		say(t, sending, br, "EHLO client.example", "250 ")
		say(t, sending, br, "MAIL FROM:<a@sender.example>", "250 ")
		say(t, sending, br, "RCPT TO:<b@local.test>", "250 ")
		say(t, sending, br, "DATA", "354 ")
		say(t, sending, br, "text\r\n.", "250 2.0.0 queued as ")
	}
	say(t, sending, br, "QUIT", "221 ")
	select {
	case <-retired:
		t.Error("Retire did not wait for the idle client")
	default:
	}
	over()
	<-retired
	go func() { _ = r.srv.Stop(context.Background()) }()
	if rest, err := io.ReadAll(idle); !strings.HasPrefix(string(rest), "421 4.3.2 ") {
		t.Errorf("idle client after Stop: %q, %v", rest, err)
	}
	_, _ = idle.Close(), sending.Close()
}

func say(t *testing.T, c net.Conn, br *bufio.Reader, line, want string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		t.Fatal(err)
	}
	for {
		got, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if got[3] == ' ' {
			if !strings.HasPrefix(got, want) {
				t.Fatalf("%s: %q", line, got)
			}
			return
		}
	}
}

// TestR13_Cut: when the time for stopping is over, a message under way is cut
// and not accepted.
func TestR13_Cut(t *testing.T) {
	r := newRig(t)
	if err := r.srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := greeted(t, r)
	br := bufio.NewReader(c)
	say(t, c, br, "EHLO client.example", "250 ")
	say(t, c, br, "MAIL FROM:<a@sender.example>", "250 ")
	say(t, c, br, "RCPT TO:<b@local.test>", "250 ")
	say(t, c, br, "DATA", "354 ")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.srv.Stop(ctx); err != nil {
		t.Error(err)
	}
	if n := len(r.Spool.Messages()) + r.Spool.Open(); n != 0 {
		t.Errorf("%d messages or drafts", n)
	}
	_ = c.Close()
}

// TestStopUnstarted: Stop is harmless where Start was not reached.
func TestStopUnstarted(t *testing.T) {
	if err := newRig(t).srv.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCrowdedCostsNothing: no session is made for a connection that is sent
// away.
func TestCrowdedCostsNothing(t *testing.T) {
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	made := 0
	begin := func() *session {
		made++
		return &session{info: new(appliance.Session)}
	}
	c := &crowd{maxTotal: 1}
	first, reply := c.enter(conn, false, begin)
	if reply != nil {
		t.Fatal(reply)
	}
	if _, reply := c.enter(other, false, begin); reply != refusedTotal || made != 1 {
		t.Errorf("%v, %d sessions were made", reply, made)
	}
	c.leave(first)
	if _, reply := c.enter(other, false, begin); reply != nil || made != 2 {
		t.Errorf("%v, %d sessions were made", reply, made)
	}
}
