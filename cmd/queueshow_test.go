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

// TestShowDue: a delivery whose time has come and that is not under way says
// where to look for the reason; one that waits for its time does not.
func TestShowDue(t *testing.T) {
	text := func(due time.Duration, state string) string {
		s := &sheet{now: noon}
		s.delivery(&admin.QueuedDelivery{Destination: "internet/example.org", State: state, Due: noon.Add(due)})
		return strings.Join(strings.Fields(s.b.String()), " ")
	}
	const where = `now: it waits for its turn, or for a limit of its site, of which "waxwing queue sites" tells`
	if got := text(-time.Minute, "waiting"); !strings.Contains(got, where) {
		t.Error(got)
	}
	for _, got := range []string{text(time.Minute, "waiting"), text(-time.Minute, "held"), text(-time.Minute, "active")} {
		if strings.Contains(got, "queue sites") {
			t.Error(got)
		}
	}
}
