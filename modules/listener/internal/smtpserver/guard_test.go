package smtpserver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// guard is a LoginGuard that answers as it is told, and remembers what it was told.
type guard struct {
	appliance.LoginGuard
	welcome, begin *appliance.Reply

	mu   sync.Mutex
	seen []string
}

func (g *guard) see(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, what)
}

func (g *guard) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.seen)
}

func (g *guard) Welcome(_ netip.Addr, users bool) *appliance.Reply {
	g.see(fmt.Sprint("welcome ", users))
	return g.welcome
}

func (g *guard) Begin(_ context.Context, l appliance.LoginAttempt) (func(appliance.LoginOutcome), error) {
	g.see("begin " + l.User)
	if g.begin != nil {
		return nil, g.begin
	}
	return func(o appliance.LoginOutcome) { g.see(fmt.Sprint("end ", o)) }, nil
}

func (g *guard) Offended(client netip.Addr) { g.see("offended " + client.String()) }

func guarded(g *guard) func(*options) {
	return within(func(_ *appliancetest.House, h *appliance.House) { h.Logins = g })
}

var errBannedForTest = appliance.NewReply(421, 7, 0, "Too many failed log-ins or errors from your network; try again in 15m")

// TestA6_Banned: who is banned is told so and is gone, before it can say
// anything, and when a log-in in mid session is refused.
func TestA6_Banned(t *testing.T) {
	const told = "S: 421 4.7.0 Too many failed log-ins or errors from your network; try again in 15m\nclose"
	t.Run("connect", func(t *testing.T) {
		g := &guard{welcome: errBannedForTest}
		start(t, guarded(g)).talk(t, told)
		if got := fmt.Sprint(g.all()); got != "[welcome false]" {
			t.Errorf("the guard saw %s", got)
		}
	})
	t.Run("log-in", func(t *testing.T) {
		g := &guard{begin: errBannedForTest}
		r := start(t, implicit, guarded(g))
		r.talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\nC: AUTH PLAIN AGFwcABzZWNyZXQ=\n"+told)
		if got := fmt.Sprint(g.all()); got != "[welcome true begin app]" {
			t.Errorf("the guard saw %s", got)
		}
	})
	t.Run("account", func(t *testing.T) { // the session goes on
		g := &guard{begin: appliance.NewReply(454, 7, 0, "Too many failed log-ins for this account")}
		start(t, implicit, guarded(g)).talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\n"+
			strings.Repeat("C: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 454 4.7.0 Too many failed log-ins for this account\n", 3)+"C: NOOP\nS: 250 <<.*")
	})
}

// TestOffended: each way to be sent away for what one did is held against the
// network once; what ends by itself is not.
func TestOffended(t *testing.T) {
	for name, c := range map[string]struct {
		dialogue string
		want     int
	}{
		"errors":    {"S: 220 <<.*\n" + strings.Repeat("C: BOGUS\nS: 500 <<.*\n", 20) + "C: BOGUS\nS: 421 <<.*\nclose", 1},
		"junk":      {"S: 220 <<.*\n" + strings.Repeat("C: NOOP\nS: 250 <<.*\n", maxJunk) + "C: NOOP\nS: 421 <<.*\nclose", 1},
		"few":       {"S: 220 <<.*\n" + strings.Repeat("C: BOGUS\nS: 500 <<.*\n", 3) + "C: QUIT\nS: 221 <<.*\nclose", 0},
		"line":      {"S: 220 <<.*\nC: NOOP " + strings.Repeat("x", 600) + "\nS: 500 <<.*\nclose", 0},
		"in a good": {"S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\nC: QUIT\nS: 221 <<.*\nclose", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := new(guard)
			start(t, guarded(g)).talk(t, c.dialogue)
			n := 0
			for _, s := range g.all() {
				if s == "offended 127.0.0.1" {
					n++
				}
			}
			if n != c.want {
				t.Errorf("the guard saw %v", g.all())
			}
		})
	}
}

// TestA6_Outcome: the guard learns of each log-in what came of it.
func TestA6_Outcome(t *testing.T) {
	g := new(guard)
	r := start(t, implicit, guarded(g))
	r.talk(t, "S: 220 <<.*\nC: EHLO client.example\nS: 250 <<.*\nC: AUTH PLAIN AGFwcAB3cm9uZw==\nS: 535 5.7.8 <<.*\n"+
		"C: AUTH PLAIN AGFwcABzZWNyZXQ=\nS: 235 2.7.0 <<.*")
	want := fmt.Sprintf("[welcome true begin app end %d begin app end %d]", appliance.LoginBad, appliance.LoginGood)
	if got := fmt.Sprint(g.all()); got != want {
		t.Errorf("the guard saw %s, want %s", got, want)
	}
}

// TestStopWhileGuarded: a log-in that waits for its turn does not keep the
// server from stopping in time.
func TestStopWhileGuarded(t *testing.T) {
	waiting := make(chan struct{})
	r := newRig(t, implicit, within(func(_ *appliancetest.House, h *appliance.House) { h.Logins = &slowGuard{waiting: waiting} }))
	if err := r.srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "EHLO c\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	for got := ""; !strings.Contains(got, "250 "); {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += string(b[:n])
	}
	fmt.Fprintf(c, "AUTH PLAIN AGFwcABzZWNyZXQ=\r\n")
	<-waiting
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_ = r.srv.Stop(ctx) // it had to cut
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Stop took %s", took)
	}
}

// slowGuard lets every log-in wait for ever.
type slowGuard struct {
	guard
	waiting chan struct{}
}

func (g *slowGuard) Begin(ctx context.Context, _ appliance.LoginAttempt) (func(appliance.LoginOutcome), error) {
	close(g.waiting)
	<-ctx.Done()
	return nil, ctx.Err()
}
