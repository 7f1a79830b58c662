package smtpconn

import "testing"

const lhlo = "S: 220 lmtp.test\nC= LHLO client.test\nS: 250-lmtp.test\nS: 250-CHUNKING\nS: 250 PIPELINING\n"

// TestLMTP: after the content, everybody who was accepted gets a reply (RFC
// 2033, section 4.2).
func TestLMTP(t *testing.T) {
	const unknownUsers = "S: 550 5.1.1 who?\nS: 550 5.1.1 who?\nS: 550 5.1.1 who?\n"
	const begin = lhlo + "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nS: 250 ok\nS: 354 go\nCONTENT\n"
	for _, tc := range []struct {
		name, want string
		final      []bool
		script     script
	}{
		{"each its own", "250 2.0.0 remote, 550 5.1.1 remote, 452 4.2.2 remote", []bool{true, false, false},
			begin + "S: 250 2.0.0 one\nS: 452 4.2.2 full\n" + quit},
		{"all", "250 2.0.0 remote, 550 5.1.1 remote, 250 2.0.0 remote", []bool{true, false, true},
			begin + "S: 250 2.0.0 one\nS: 250 2.0.0 three\n" + quit},
		{"N6 lost after the first", "250 2.0.0 remote, 550 5.1.1 remote, 451 4.4.2", []bool{true, false, false},
			begin + "S: 250 2.0.0 one\nCLOSE"},
		{"421 for the first", "421 4.3.0 remote, 550 5.1.1 remote, 451 4.4.2", []bool{false, false, false},
			begin + "S: 421 4.3.0 going\nCLOSE"},
		{"nobody is accepted", "550 5.1.1 remote, 550 5.1.1 remote, 550 5.1.1 remote", []bool{false, false, false},
			lhlo + "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\n" + unknownUsers + "S: 503 5.5.1 nobody\n" + quit},
		{"DATA all the same", "550 5.1.1 remote, 550 5.1.1 remote, 550 5.1.1 remote", []bool{false, false, false},
			lhlo + "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\n" + unknownUsers + "S: 354 go\nC= .\nHANG"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, tc.script)
			rs := pool(t, func(c *Config) { c.LMTP = true }).
				Deliver(t.Context(), envelope("one@b.test", "two@b.test", "three@b.test"), simple, targets(s.target()))
			check(t, rs, tc.want)
			for i, r := range rs {
				if r.Final != tc.final[i] {
					t.Errorf("recipient %d: final is %t", i, r.Final)
				}
			}
		})
	}
}

// TestLMTPNoHELO: a server that does not know LHLO does not speak LMTP.
func TestLMTPNoHELO(t *testing.T) {
	s := serve(t, "S: 220 mx.test\nC= LHLO client.test\nS: 500 5.5.1 what?\nHANG")
	rs := pool(t, func(c *Config) { c.LMTP, c.Configured = true, true }).Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target()))
	check(t, rs, "451 4.5.1")
}
