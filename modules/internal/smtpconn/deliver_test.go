package smtpconn

import (
	"context"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDialogue: one message, one server, what each recipient is told.
func TestDialogue(t *testing.T) {
	slow := func(c *Config) { c.Timeouts = Timeouts{Greeting: 50 * time.Millisecond, Final: 50 * time.Millisecond} }
	for _, tc := range []struct {
		name   string
		script script
		to     []string // default: one@b.test
		change func(*Config)
		want   string
	}{
		{name: "HELO only", script: hello + "S: 502 no\nC= HELO client.test\nS: 250 mx.test\n" +
			"C= MAIL FROM:<from@a.test>\nS: 250 ok\nC= RCPT TO:<one@b.test>\nS: 250 ok\nC= DATA\nS: 354 go\nCONTENT\nS: 250 2.0.0 taken\n" + quit,
			want: "250 2.0.0 remote"},
		{name: "no PIPELINING: a refused MAIL is the end", script: plain + "C: MAIL\nS: 550 5.7.1 no\n" + quit, want: "550 5.7.1 remote"},
		{name: "no PIPELINING: no recipient, no DATA", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\n" + quit, want: "550 5.1.1 remote"},
		{name: "PIPELINING", script: quick + "C= MAIL FROM:<from@a.test> SIZE=21\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 taken\n" + quit,
			want: "250 2.0.0 remote"},
		{name: "PIPELINING: MAIL refused", script: quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 450 4.7.1 later\nS: 503 no\nS: 503 no\n" + quit, want: "450 4.7.1 remote"},
		{name: "RFC 2920: a lone dot after 354 without recipients", script: quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 550 5.1.1 no\nS: 354 go\nC= .\nS: 250 empty\n" + quit,
			want: "550 5.1.1 remote"},
		{name: "P5 per-recipient truth", to: []string{"a@b.test", "b@b.test", "c@b.test"},
			script: quick + "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 450 4.2.1 busy\nS: 550 5.1.1 no\nS: 354 go\nCONTENT\nS: 250 2.0.0 taken\n" + quit,
			want:   "250 2.0.0 remote, 450 4.2.1 remote, 550 5.1.1 remote"},
		{name: "N9 too many recipients: the others at once", to: []string{"a@b.test", "b@b.test", "c@b.test"},
			script: quick + "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 too many\nS: 552 too many\nS: 354 go\nCONTENT\nS: 250 first\n" +
				"C: MAIL\nC= RCPT TO:<b@b.test>\nC= RCPT TO:<c@b.test>\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 no\nS: 354 go\nCONTENT\nS: 250 second\n" + quit,
			want: "250 2.0.0 remote, 250 2.0.0 remote, 550 5.1.1 remote"},
		{name: "N9 a full mailbox is not too many recipients", to: []string{"a@b.test", "b@b.test"},
			script: quick + "C: MAIL\nC: RCPT\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 452 4.2.2 full\nS: 354 go\nCONTENT\nS: 250 ok\n" + quit,
			want:   "250 2.0.0 remote, 452 4.2.2 remote"},
		{name: "N9 all 4yz", to: []string{"a@b.test", "b@b.test"},
			script: quick + "C: MAIL\nC: RCPT\nC: RCPT\nC= DATA\nS: 250 ok\nS: 450 4.7.1 grey\nS: 452 4.5.3 many\nS: 554 no\n" + quit,
			want:   "450 4.7.1 remote, 452 4.5.3 remote"},
		{name: "content refused", script: quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 550 5.7.1 spam\n" + quit, want: "550 5.7.1 remote"},
		{name: "DATA refused", script: quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 451 4.3.0 no\n" + quit, want: "451 4.3.0 remote"},
		{name: "N8 trouble after the 250 changes nothing", script: quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\nC= QUIT\nS: 451 what\nCLOSE\n",
			want: "250 2.0.0 remote"},

		{name: "N5 no greeting", script: "HANG", change: slow, want: "451 4.4.2"},
		{name: "N5 closed without a greeting", script: "CLOSE", want: "451 4.4.2"},
		{name: "N5 554 greeting", script: "S: 554 5.7.1 go away\nHANG", want: "451 4.7.1"},
		{name: "N5 421 greeting", script: "S: 421 4.3.2 busy\nHANG", want: "451 4.3.2"},
		{name: "N5 EHLO and HELO refused", script: hello + "S: 550 5.7.1 no\nC: HELO\nS: 550 5.7.1 no\nHANG", want: "550 5.7.1"},
		{name: "N5 421 to EHLO", script: hello + "S: 421 4.7.0 no\nHANG", want: "421 4.7.0"},
		{name: "N5 421 to MAIL", script: plain + "C: MAIL\nS: 421 4.7.0 no\nHANG", want: "421 4.7.0 remote"},
		{name: "N5 421 to one RCPT", to: []string{"a@b.test", "b@b.test", "c@b.test"},
			script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: RCPT\nS: 421 4.7.0 no\nHANG", want: "550 5.1.1 remote, 421 4.7.0 remote, 421 4.7.0 remote"},
		{name: "N5 421 to DATA", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 421 4.7.0 no\nHANG", want: "421 4.7.0 remote"},
		{name: "N5 421 to the content", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nCONTENT\nS: 421 4.7.0 no\nHANG", want: "421 4.7.0 remote"},
		{name: "N5 binary greeting", script: `S! "\x16\x03\x01\x00\x00\n"` + "\nHANG", want: "451 4.5.0"},
		{name: "N5 NUL in a greeting is text", script: `S! "220 a\x00b\r\n"` + "\nC: EHLO\nS: 550 no\nC: HELO\nS: 550 no\nHANG", want: "550 5.0.0"},
		{name: "N5 no code", script: "S: hello\nHANG", want: "451 4.5.0"},
		{name: "N5 code 000", script: "S: 000 hello\nHANG", want: "451 4.5.0"},
		{name: "N5 code 999", script: "S: 999 hello\nHANG", want: "451 4.5.0"},
		{name: "N5 code 199", script: "S: 199 hello\nHANG", want: "451 4.5.0"},
		{name: "N5 a colon after the code", script: "S: 220:hello\nHANG", want: "451 4.5.0"},
		{name: "N5 two codes in one reply", script: hello + "S: 250-mx\nS: 251 mx\nHANG", want: "451 4.5.0"},
		{name: "N5 250 to DATA", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 250 ok\nHANG", want: "451 4.5.0"},
		{name: "N5 354 to RCPT", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 354 go\nHANG", want: "451 4.5.0"},
		{name: "N5 354 to the content", script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nCONTENT\nS: 354 go on\nHANG", want: "451 4.5.0"},
		{name: "N5 an early 250 is no delivery", script: quick + "C: MAIL\nC: RCPT\nC: DATA\n" + `S! "250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n"` + "\nHANG", want: "451 4.5.0"},
		{name: "N5 an extra reply before MAIL", script: hello + `S! "250 mx.test\r\n250 again\r\n"` + "\nHANG", want: "451 4.5.0"},
		{name: "N5 a wrong class of the enhanced code is text", script: plain + "C: MAIL\nS: 250 5.1.1 ok\nC: RCPT\nS: 550 4.1.1 no\n" + quit, want: "550 5.0.0 remote"},
		{name: "N6 lost after the dot", script: quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nCLOSE", want: "451 4.4.2"},
		{name: "N6 garbage after the dot", script: quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: tnx\nHANG", want: "451 4.4.2"},
		{name: "N7 no answer to the dot", script: quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nHANG", change: slow, want: "451 4.4.2"},
		{name: "lost at RCPT, those refused stay refused", to: []string{"a@b.test", "b@b.test"},
			script: plain + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: RCPT\nCLOSE", want: "550 5.1.1 remote, 451 4.4.2"},
		{name: "our own name is a loop", script: hello + "S: 250-CLIENT.TEST hi\nS: 250 SIZE\nHANG", change: func(c *Config) { c.RefuseSelf = true }, want: "554 5.4.6"},
		{name: "SIZE too small", script: hello + "S: 250-mx.test\nS: 250 size 20\n" + quit, want: "552 5.3.4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.to == nil {
				tc.to = []string{"one@b.test"}
			}
			if tc.change == nil {
				tc.change = func(*Config) {}
			}
			s := serve(t, tc.script)
			rs := pool(t, tc.change).Deliver(t.Context(), envelope(tc.to...), simple, targets(s.target()))
			check(t, rs, tc.want)
			ambiguous := strings.HasPrefix(tc.name, "N6") || strings.HasPrefix(tc.name, "N7")
			if got := strings.Contains(rs[0].Reply.Text, "ambiguous"); got != ambiguous {
				t.Errorf("text %q, ambiguous: want %t", rs[0].Reply.Text, ambiguous)
			}
			if rs[0].Host != "mx.test" || rs[0].Peer != s.addr.String() {
				t.Errorf("host %q, peer %q", rs[0].Host, rs[0].Peer)
			}
		})
	}
}

// TestG21Endless: a reply that never ends costs its bounds and no more.
func TestG21Endless(t *testing.T) {
	for name, piece := range map[string]string{
		"lines":            "250-x\r\n",
		"long lines":       "250-" + strings.Repeat("x", 4000) + "\r\n",
		"without line end": strings.Repeat("x", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, script(hello+"ENDLESS "+strconv.Quote(piece)))
			p := pool(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rs := p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target()))
			runtime.ReadMemStats(&after)
			check(t, rs, "451 4.5.0")
			if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
				t.Errorf("%d octets were allocated", used)
			}
		})
	}
}

func TestTargetsInTurn(t *testing.T) {
	const taken = "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.0.0 ok\n"
	for _, tc := range []struct {
		name    string
		scripts []script // one server each
		want    string
	}{
		{"the first that takes it", []script{quick + taken + quit}, "250 2.0.0 remote"},
		{"past a 554 greeting", []script{"S: 554 no\nCLOSE", quick + taken + quit}, "250 2.0.0 remote"},
		{"past a 421 to MAIL", []script{quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 421 busy\nHANG", quick + taken + quit}, "250 2.0.0 remote"},
		{"past a 4yz", []script{quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 450 no\nS: 503 no\nS: 503 no\n" + quit, quick + taken + quit}, "250 2.0.0 remote"},
		{"a 5yz is final", []script{quick + "C: MAIL\nC: RCPT\nC: DATA\nS: 550 no\nS: 503 no\nS: 503 no\n" + quit, ""}, "550 5.0.0 remote"},
		{"N6 doubt is final", []script{script(quick + strings.TrimSuffix(taken, "S: 250 2.0.0 ok\n") + "CLOSE"), ""}, "451 4.4.2"},
		{"all permanent", []script{hello + "S: 550 no\nC: HELO\nS: 550 no\nHANG", hello + "S: 550 no\nC: HELO\nS: 550 no\nHANG"}, "550 5.0.0"},
		{"one of them temporary", []script{hello + "S: 550 no\nC: HELO\nS: 550 no\nHANG", "S: 421 4.3.2 no\nHANG"}, "451 4.3.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ts []Target
			for _, sc := range tc.scripts {
				if sc == "" {
					ts = append(ts, serve(t).target())
					continue
				}
				ts = append(ts, serve(t, sc).target())
			}
			check(t, pool(t).Deliver(t.Context(), envelope("one@b.test"), simple, targets(ts...)), tc.want)
		})
	}
}

// TestMixedServers: each server is asked only about whom the one before deferred.
func TestMixedServers(t *testing.T) {
	first := serve(t, quick+"C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 450 4.2.0 later\nS: 550 5.1.1 no\nS: 354 go\nCONTENT\nS: 250 ok\n"+quit)
	second := serve(t, quick+"C: MAIL\nC= RCPT TO:<b@b.test>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.5.0 ok\n"+quit)
	rs := pool(t).Deliver(t.Context(), envelope("a@b.test", "b@b.test", "c@b.test"), simple, targets(first.target(), second.target()))
	check(t, rs, "250 2.0.0 remote, 250 2.5.0 remote, 550 5.1.1 remote")
	// N9: a 552 for too many recipients is as temporary as a 452.
	first = serve(t, quick+"C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 552 too many\nS: 354 go\nCONTENT\nS: 451 later\n"+quit)
	second = serve(t, quick+"C: MAIL\nC= RCPT TO:<a@b.test>\nC= RCPT TO:<b@b.test>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 2.5.0 ok\n"+quit)
	rs = pool(t).Deliver(t.Context(), envelope("a@b.test", "b@b.test"), simple, targets(first.target(), second.target()))
	check(t, rs, "250 2.5.0 remote, 250 2.5.0 remote")
}

func TestConnectionRefused(t *testing.T) {
	port := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1) // tcpmux: nobody serves it
	rs := pool(t).Deliver(t.Context(), envelope("one@b.test"), simple, targets(Target{Name: "mx.test", Addr: port}))
	check(t, rs, "451 4.4.1")
	if rs[0].Reply.Text != "mx.test: connection refused" {
		t.Error(rs[0].Reply.Text)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, quick+"C: MAIL\nC: RCPT\nC: DATA\nCALL\nHANG")
	s.call = cancel
	check(t, pool(t).Deliver(ctx, envelope("one@b.test"), simple, targets(s.target())), "451 4.3.2")
}

// TestLastWords: a server that has heard enough may say so and hang up; what
// it says counts, because it cannot have taken what was not finished.
func TestLastWords(t *testing.T) {
	large := message("Subject: x\r\n", "\r\n"+strings.Repeat(strings.Repeat("x", 98)+"\r\n", 80_000))
	for said, want := range map[string]string{
		"S: 552 5.3.4 enough\n": "552 5.3.4 remote",
		"S: 250 2.0.0 fine\n":   "451 4.4.2", // it cannot have it all
		"":                      "451 4.4.2",
	} {
		t.Run(said, func(t *testing.T) {
			s := serve(t, script(quick+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nREAD 100000\n"+said+"CLOSE"))
			rs := pool(t).Deliver(t.Context(), envelope("one@b.test"), large, targets(s.target()))
			check(t, rs, want)
			if strings.Contains(rs[0].Reply.Text, "ambiguous") {
				t.Errorf("text %q", rs[0].Reply.Text)
			}
		})
	}
}

func TestManyRecipients(t *testing.T) {
	var to, want []string
	sc := quick + "C: MAIL\n"
	var replies strings.Builder
	for i := range 250 {
		to = append(to, "u"+strings.Repeat("x", i%40)+string(rune('a'+i%26))+"@b.test")
		want = append(want, "250 2.0.0 remote")
	}
	// Groups of 100: MAIL + 99, 100, 51 + DATA.
	for group, n := range []int{99, 100, 51} {
		replies.Reset()
		sc += strings.Repeat("C: RCPT\n", n)
		if group == 2 {
			sc += "C: DATA\n"
		}
		sc += strings.Repeat("S: 250 ok\n", n)
		if group == 0 {
			sc += "S: 250 ok\n"
		}
	}
	s := serve(t, script(sc+"S: 354 go\nCONTENT\nS: 250 ok\n"+quit))
	rs := pool(t).Deliver(t.Context(), envelope(to...), simple, targets(s.target()))
	if diff := cmp.Diff(strings.Join(want, ", "), summary(rs)); diff != "" {
		t.Error(diff)
	}
}

func TestTranscriptOfFailure(t *testing.T) {
	s := serve(t, hello+"S: 421 4.7.0 go\nHANG")
	_, err := pool(t).dial(t.Context(), s.target())
	want := "S: 220 mx.test\nC: EHLO client.test\nS: 421 4.7.0 go\n"
	if got := asFailure(err).Transcript; got != want {
		t.Errorf("transcript:\n%s\nwant:\n%s", got, want)
	}
}

// TestMidway: a server that is lost while it answers for a message was there;
// one that is lost before was not.
func TestMidway(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script script
		want   string
		midway bool
	}{
		{"before the greeting", "CLOSE", "451 4.4.2", false},
		{"before MAIL is answered", quick + "C: MAIL\nCLOSE", "451 4.4.2", false},
		{"after MAIL", plain + "C: MAIL\nS: 250 ok\nC: RCPT\nCLOSE", "451 4.4.2", true},
		{"N6 after the final dot", quick + "C: MAIL\nC: RCPT\nC= DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nCLOSE", "451 4.4.2", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.script)
			rs := pool(t).Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target()))
			check(t, rs, tc.want)
			if rs[0].Midway != tc.midway {
				t.Errorf("midway is %v", rs[0].Midway)
			}
		})
	}
}
