package smtpconn

import "testing"

// TestNoChunking: who was told not to use CHUNKING does not, whatever is
// offered.
func TestNoChunking(t *testing.T) {
	s := serve(t, chunking+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go on\nCONTENT\nS: 250 2.0.0 ok\n"+quit)
	p := pool(t, func(c *Config) { c.NoChunking = true })
	check(t, p.Deliver(t.Context(), envelope("one@b.test"), simple, targets(s.target())), "250 2.0.0 remote")
	stop(t, p)
	if len(s.contents) != 1 {
		t.Errorf("%d messages arrived by DATA, want 1", len(s.contents))
	}
}
