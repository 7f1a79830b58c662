package smtpconn

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestSMTPSinkOtherAddress is what becomes of a message when the first address
// of its next hop has one of the faults of smtp-sink and the second has none: it
// goes to the second, unless the first has refused it for good or may have taken
// it (N5, N6). And whatever became of it, the next message to the second is
// delivered: the fault of one server, or the fate of one message, is not that
// of others.
func TestSMTPSinkOtherAddress(t *testing.T) {
	const second = "250 2.0.0 remote good.test"
	const first = "250 2.0.0 remote bad.test"
	good := Target{Name: "good.test", Addr: smtpSink(t), TLS: TLSNone}
	for _, c := range []struct{ command, q, Q, f, r string }{
		{"CONNECT", second, second, second, second},
		{"EHLO", second, second, first, second}, // 5yz is no ESMTP: HELO follows
		{"MAIL", second, second, "500 5.3.0 remote bad.test", second},
		{"RCPT", second, second, "500 5.3.0 remote bad.test", second},
		{"DATA", second, second, "500 5.3.0 remote bad.test", second},
		{".", "451 4.4.2 bad.test ambiguous", second, "500 5.3.0 remote bad.test", second},
		{"QUIT", first, first, first, first},
	} {
		for _, o := range []struct{ option, want string }{{"-q", c.q}, {"-Q", c.Q}, {"-f", c.f}, {"-r", c.r}} {
			t.Run(o.option+" "+c.command, func(t *testing.T) { otherAddress(t, good, o.want, o.option, c.command) })
		}
	}
	for _, c := range []struct{ options, want string }{
		{"-e -q HELO", second},
		{"-e -Q HELO", second},
		{"-e -f HELO", second},
		{"-e -r HELO", second},
		{"-A 0 -p", "550 5.0.0 remote bad.test, or " + second}, // it hangs up at once: its 550 may be lost
		// What it does late comes out of turn, unless commands come one by one.
		{"-p -W MAIL:1", first},
		{"-p -W .:1", first},
		{"-p -W RCPT:2 -t 1", second}, // it runs out of its own time
		{"-m 1", first},
	} {
		t.Run(c.options, func(t *testing.T) { otherAddress(t, good, c.want, strings.Fields(c.options)...) })
	}
}

// otherAddress sends one message to a faulty server and a good one, and another
// one to the good one alone.
func otherAddress(t *testing.T, good Target, want string, options ...string) {
	t.Helper()
	bad := Target{Name: "bad.test", Addr: smtpSink(t, options...), TLS: TLSNone}
	p := pool(t)
	got := fate(p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(bad, good)))
	if !strings.Contains(", or "+want+", or ", ", or "+got+", or ") {
		t.Errorf("%s, want %s", got, want)
	}
	if got := fate(p.Deliver(t.Context(), envelope("two@b.test"), simple, targets(good))); got != "250 2.0.0 remote good.test" {
		t.Errorf("the next message: %s", got)
	}
}

// fate is the result for the only recipient, and whose it is.
func fate(rs []appliance.Result) string {
	s := summary(rs) + " " + rs[0].Host
	if strings.Contains(rs[0].Reply.Text, "ambiguous") {
		s += " ambiguous"
	}
	return s
}

// TestSMTPSinkReset: a server that refuses every recipient, and cannot stand the
// RSET that follows, costs a connection; the next message gets its own answer,
// and does not wait because of what happened to the one before.
func TestSMTPSinkReset(t *testing.T) {
	for _, option := range []string{"-q", "-Q", "-f", "-r"} {
		t.Run(option, func(t *testing.T) {
			sink := Target{Name: "sink.test", Addr: smtpSink(t, option, "RSET", "-f", "RCPT"), TLS: TLSNone}
			p := pool(t)
			for range 3 {
				check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(sink)), "500 5.3.0 remote")
			}
		})
	}
}

// TestResetRefused: as long as a server has not said that the transaction before
// is over, it is told of no other: its recipients would get a message that is
// not theirs, or an innocent message would be refused.
func TestResetRefused(t *testing.T) {
	for name, hello := range map[string]string{"one by one": plain, "PIPELINING": quick, "CHUNKING": chunking} {
		t.Run(name, func(t *testing.T) {
			refused := hello + "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 451 4.3.0 no\n"
			if hello == plain {
				refused = hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 451 4.3.0 no\n"
			}
			if hello == chunking {
				refused = hello + "C: MAIL\nC: RCPT\nS: 250 ok\nS: 250 ok\nBDAT 21\nS: 451 4.3.0 no\n"
			}
			again := script(plain + taken + quit)
			s := serve(t, script(refused+"C= RSET\nS: 500 what?\nHANG"), again)
			p := pool(t)
			send(t, p, s, "451 4.3.0 remote")
			send(t, p, s, "250 2.0.0 remote")
		})
	}
}

// TestSMTPSinkLMTP is LMTP with the same faults: one session ends, and nobody
// is said to have got what he has not (RFC 2033, section 4.2).
func TestSMTPSinkLMTP(t *testing.T) {
	const lost, closing, hard, soft = "451 4.4.2", "421 4.0.0 remote", "500 5.3.0 remote", "450 4.3.0 remote"
	for _, c := range []struct{ command, q, Q, f, r string }{
		{"CONNECT", lost, "451 4.0.0", "451 4.3.0", "451 4.3.0"},
		{"LHLO", lost, "421 4.0.0", "500 5.3.0", "450 4.3.0"},
		{"MAIL", lost, closing, hard, soft},
		{"RCPT", lost, closing, hard, soft},
		{"DATA", lost, closing, hard, soft},
		{".", lost, closing, hard, soft},
		{"QUIT", "250 2.2.0 remote", "250 2.2.0 remote", "250 2.2.0 remote", "250 2.2.0 remote"},
	} {
		for _, o := range []struct{ option, want string }{{"-q", c.q}, {"-Q", c.Q}, {"-f", c.f}, {"-r", c.r}} {
			t.Run(o.option+" "+c.command, func(t *testing.T) {
				target := Target{Name: "sink.test", Addr: smtpSink(t, "-L", o.option, c.command), TLS: TLSNone}
				p := pool(t, func(c *Config) { c.LMTP = true })
				check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(target)), o.want)
			})
		}
	}
}
