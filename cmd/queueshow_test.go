package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestShowFallback: an attempt that went to the fallback of a relay too says
// who answered what; one that did not names no relay.
func TestShowFallback(t *testing.T) {
	outcome := func(relay, reply string) admin.AttemptOutcome {
		return admin.AttemptOutcome{To: []appliance.Mailbox{{Local: "bob", Domain: "example.org"}}, Relay: relay, Reply: &admin.Reply{Code: 450, Text: reply}}
	}
	text := func(all ...admin.AttemptOutcome) string {
		s := &sheet{now: time.Unix(0, 0)}
		s.attempt(&admin.QueuedAttempt{Number: 1, Outcomes: all})
		return strings.Join(strings.Fields(s.b.String()), " ")
	}
	both := text(outcome("internet", "Listed"), outcome("provider", "Busy"))
	if !strings.Contains(both, "<bob@example.org> by relay.internet: 450 Listed") || !strings.Contains(both, "<bob@example.org> by relay.provider: 450 Busy") {
		t.Error(both)
	}
	if one := text(outcome("internet", "Listed"), outcome("internet", "Busy")); strings.Contains(one, "relay.") {
		t.Error(one)
	}
}
