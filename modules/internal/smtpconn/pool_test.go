package smtpconn

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// observed returns a logger and what it wrote.
func observed() (func() string, *zap.Logger) {
	var mu sync.Mutex
	var b bytes.Buffer
	w := zapcore.Lock(zapcore.AddSync(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})))
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), w, zap.DebugLevel)
	return func() string { mu.Lock(); defer mu.Unlock(); return b.String() }, zap.New(core)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// send delivers one simple message and expects the result.
func send(t *testing.T, p *Pool, s *server, want string) {
	t.Helper()
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target())), want)
}

func TestReuse(t *testing.T) {
	s := serve(t, plain+taken+taken+taken+quit)
	p := pool(t)
	for range 3 {
		send(t, p, s, "250 2.0.0 remote")
	}
}

// TestReuseAfterFailure: a transaction that did not end is ended with RSET.
func TestReuseAfterFailure(t *testing.T) {
	s := serve(t, plain+"C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC= RSET\nS: 250 ok\n"+taken+quit)
	p := pool(t)
	send(t, p, s, "550 5.1.1 remote")
	send(t, p, s, "250 2.0.0 remote")
}

// TestReuseOfRefusal: a message that cannot go to a server costs no connection.
func TestReuseOfRefusal(t *testing.T) {
	s := serve(t, plain+taken+quit)
	p := pool(t)
	rs := p.Deliver(t.Context(), envelope("one@b.test"), message("", "\r\n\xe9\r\n"), targets(s.target()))
	check(t, rs, "554 5.6.3")
	send(t, p, s, "250 2.0.0 remote")
}

// TestMaxMessagesOfTarget: a server that is known to want fewer gets fewer.
func TestMaxMessagesOfTarget(t *testing.T) {
	s := serve(t, plain+taken+taken+quit, plain+taken+quit)
	p := pool(t)
	to := s.target()
	to.MaxMessages = 2
	for range 3 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(to)), "250 2.0.0 remote")
	}
}

func TestMaxMessages(t *testing.T) {
	s := serve(t, plain+taken+taken+quit, plain+taken+quit)
	p := pool(t, func(c *Config) { c.MaxMessages = 2 })
	for range 3 {
		send(t, p, s, "250 2.0.0 remote")
	}
}

func TestMaxIdle(t *testing.T) {
	first, second := serve(t, plain+taken+quit), serve(t, plain+taken+quit, plain+taken+quit)
	p := pool(t, func(c *Config) { c.MaxIdle = 1 })
	send(t, p, first, "250 2.0.0 remote")
	send(t, p, second, "250 2.0.0 remote") // there is no room to keep it
	send(t, p, second, "250 2.0.0 remote")
}

// TestStale: a kept connection that turns out to be dead is no attempt.
func TestStale(t *testing.T) {
	for name, end := range map[string]string{
		"closed at MAIL":     "C: MAIL\nCLOSE",
		"421 at MAIL":        "C: MAIL\nS: 421 4.4.2 idle for too long\nCLOSE",
		"closed while idle":  "CLOSE",
		"421 while idle":     "S: 421 4.4.2 idle for too long\nHANG",
		"garbage while idle": "S: hello?\nHANG",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, script(plain+taken+end), plain+taken+quit)
			p := pool(t)
			send(t, p, s, "250 2.0.0 remote")
			send(t, p, s, "250 2.0.0 remote")
		})
	}
	t.Run("N8 extra reply", func(t *testing.T) {
		s := serve(t, script(plain+strings.TrimSuffix(taken, "S: 250 2.0.0 ok\n")+`S! "250 2.0.0 ok\r\n250 again\r\n"`+"\nHANG"), plain+taken+quit)
		p := pool(t)
		send(t, p, s, "250 2.0.0 remote")
		send(t, p, s, "250 2.0.0 remote")
	})
}

// TestStaleOnce: dying at MAIL on a new connection is a failure.
func TestStaleOnce(t *testing.T) {
	s := serve(t, plain+taken+"C: MAIL\nCLOSE", plain+"C: MAIL\nCLOSE")
	p := pool(t)
	send(t, p, s, "250 2.0.0 remote")
	send(t, p, s, "451 4.4.2")
}

func TestReuseTLS(t *testing.T) {
	s := serve(t, upgraded+afterTLS+taken+taken+quit)
	p := pool(t)
	for range 2 {
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.with(TLSVerified))), "250 2.0.0 remote")
	}
}

func TestStop(t *testing.T) {
	t.Run("later deliveries", func(t *testing.T) {
		p := NewPool(Config{Hello: "client.test"})
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets()), "451 4.3.2")
	})
	t.Run("cuts what does not end", func(t *testing.T) {
		p := NewPool(Config{Hello: "client.test"})
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, quick+"C: MAIL\nC: RCPT\nC: DATA\nCALL\nHANG")
		s.call = cancel
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { send(t, p, s, "451 4.3.2") })
		<-ctx.Done()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A pipeServer is a server on a net.Pipe, for tests in which time is not real.
func pipeServer(answer func(line string) string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, conn := net.Pipe()
		go func() {
			defer func() { _ = conn.Close() }()
			r := bufio.NewReader(conn)
			for line := "connect"; ; {
				if _, err := io.WriteString(conn, answer(line)); err != nil {
					return
				}
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				line = strings.TrimSpace(line)
			}
		}()
		return addressed{client}, nil
	}
}

type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// obliging answers each command as a server without extensions would, after
// it has waited for the delay of the command.
func obliging(delays map[string]time.Duration) func(string) string {
	content := false
	return func(line string) string {
		verb, _, _ := strings.Cut(line, " ")
		if content && line != "." {
			return ""
		}
		time.Sleep(delays[verb])
		content = verb == "DATA"
		switch verb {
		case "connect":
			return "220 mx.test\r\n"
		case "DATA":
			return "354 go\r\n"
		}
		return "250 ok\r\n"
	}
}

// TestTimeouts: each stage waits as long as RFC 5321, section 4.5.3.2 says,
// and not much longer.
func TestTimeouts(t *testing.T) {
	for _, tc := range []struct {
		verb string
		wait time.Duration
	}{
		{"connect", 5 * time.Minute}, {"EHLO", 5 * time.Minute}, {"MAIL", 5 * time.Minute}, {"RCPT", 5 * time.Minute},
		{"DATA", 2 * time.Minute}, {".", 10 * time.Minute}, // N7
	} {
		for late, want := range map[time.Duration]string{-time.Second: "250 2.0.0 remote", time.Second: "451 4.4.2"} {
			t.Run(fmt.Sprintf("%s %+v", tc.verb, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := NewPool(Config{Hello: "client.test", Dial: pipeServer(obliging(map[string]time.Duration{tc.verb: tc.wait + late}))})
					target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}
					rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target))
					check(t, rs, want)
					if err := p.Stop(t.Context()); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Minute) // the late server finds nobody
				})
			})
		}
	}
}

// TestIdle: a connection that nobody uses says QUIT after a while.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		answer := obliging(nil)
		p := NewPool(Config{Hello: "client.test", Idle: 20 * time.Second, Dial: pipeServer(func(line string) string {
			heard = append(heard, line)
			return answer(line)
		})})
		target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}
		for range 2 {
			check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target)), "250 2.0.0 remote")
			time.Sleep(19 * time.Second)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		all := strings.Join(heard, "|")
		if strings.Count(all, "EHLO") != 1 || strings.Count(all, "MAIL") != 2 || !strings.HasSuffix(all, "|QUIT") {
			t.Error(all)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delays := map[string]time.Duration{"RCPT": 4 * time.Minute}
		p := NewPool(Config{Hello: "client.test", Dial: pipeServer(obliging(delays))})
		var to []string
		for i := range 30 {
			to = append(to, fmt.Sprintf("u%d@b.test", i))
		}
		target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}
		begin := time.Now()
		rs := p.Deliver(t.Context(), envelope(to...), simple, targets(target))
		check(t, rs[:1], "451 4.4.2")
		if d := time.Since(begin); d != time.Hour {
			t.Errorf("the attempt took %v", d)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute) // the server notices
	})
}

// TestConcurrent shares one pool between many deliveries.
func TestConcurrent(t *testing.T) {
	p := pool(t, func(c *Config) {
		c.Dial = pipeServerEach(func() func(string) string { return obliging(nil) })
		c.MaxIdle = 3
	})
	target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSNone}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target)), "250 2.0.0 remote")
			}
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nIdle > 3 {
		t.Errorf("%d idle connections", p.nIdle)
	}
}

func pipeServerEach(answer func() func(string) string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return pipeServer(answer())(ctx, network, address)
	}
}
