package smtpconn

import (
	"slices"
	"strings"
	"testing"
)

// TestSMTPSinkFaults is every fault that smtp-sink can be told to have, at
// every command (N5, N6, N8, N9). What it answers to a command for which the
// outcome is known already changes nothing.
func TestSMTPSinkFaults(t *testing.T) {
	const (
		taken     = "250 2.0.0 remote"
		ambiguous = "451 4.4.2 ambiguous"
		lost      = "451 4.4.2"
		hard      = "500 5.3.0 remote"
		soft      = "450 4.3.0 remote"
		closing   = "421 4.0.0 remote"
	)
	for _, c := range []struct{ command, q, Q, f, r string }{
		{"CONNECT", lost, "451 4.0.0", "451 4.3.0", "451 4.3.0"},
		// EHLO that is not known is followed by HELO; 4yz is about the server.
		{"EHLO", lost, "421 4.0.0", taken, "450 4.3.0"},
		{"MAIL", lost, closing, hard, soft},
		{"RCPT", lost, closing, hard, soft},
		{"DATA", lost, closing, hard, soft},
		{".", ambiguous, closing, hard, soft},
		{"RSET", taken, taken, taken, taken},
		{"QUIT", taken, taken, taken, taken},
	} {
		for option, want := range map[string]string{"-q": c.q, "-Q": c.Q, "-f": c.f, "-r": c.r} {
			t.Run(option+" "+c.command, func(t *testing.T) {
				if got := throughSink(t, option, c.command); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
	for _, c := range []struct{ name, options, want string }{
		// Its 550 follows the 354, and can come before there is content to refuse.
		{"aborts instead of reading", "-A 0", "550 5.0.0 remote, or 451 4.5.0"},
		{"reads late", "-H 1", taken},
		{"answers late", "-w 1", taken},
		{"a small window", "-T 1", taken},
		{"no 8BITMIME", "-8", taken},
		{"no ESMTP", "-e", taken},
		{"no enhanced codes", "-E", taken},
		{"no DSN", "-N", taken},
		{"no AUTH", "-a", taken},
		{"no PIPELINING", "-p", taken},
		{"a PIX", "-P", taken},
		{"a banner", "-h mx\x01\xff", taken},
		{"logs", "-s MAIL,RCPT,DATA,.,QUIT", taken},
		{"one session", "-n 1", taken},
		{"ends with the first message", "-M 1", ambiguous},
		{"its own words, hard", "-f . -B 554\x005.7.1\x00spam", "554 5.7.1 remote"},
		{"its own words, soft", "-r RCPT -b 452\x004.2.2\x00full", "452 4.2.2 remote"},
		{"LMTP", "-L", "250 2.2.0 remote"},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := strings.Fields(c.options)
			for i := range options {
				options[i] = strings.ReplaceAll(options[i], "\x00", " ")
			}
			if got := throughSink(t, options...); !slices.Contains(strings.Split(c.want, ", or "), got) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// throughSink sends one message of two recipients, who share its fate.
func throughSink(t *testing.T, options ...string) string {
	t.Helper()
	target := Target{Name: "sink.test", Addr: smtpSink(t, options...), TLS: TLSNone}
	p := pool(t, func(c *Config) { c.LMTP = options[0] == "-L" })
	rs := p.Deliver(t.Context(), envelope("one@b.test", "two@b.test"), simple, targets(target))
	all := strings.Split(summary(rs), ", ")
	if all[0] != all[1] {
		t.Errorf("two fates: %q", all)
	}
	if strings.Contains(rs[0].Reply.Text, "ambiguous") {
		all[0] += " ambiguous"
	}
	return all[0]
}
