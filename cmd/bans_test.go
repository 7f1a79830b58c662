package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// TestShowBans: a line for each, and what was cleared in words.
func TestShowBans(t *testing.T) {
	out := new(bytes.Buffer)
	p := &program{out: out, wide: true}
	err := p.showBans(admin.BanPage{Bans: []appliance.Ban{
		{Kind: appliance.BanNetwork, Name: "2001:db8::/64", Failures: 20, Until: time.Now().Add(15 * time.Minute), Reason: "failed log-ins"},
		{Kind: appliance.BanAccount, Name: "app\x1b[31m", Failures: 25, Until: time.Now().Add(time.Hour), Reason: "failed log-ins"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "KIND") || !strings.HasPrefix(lines[1], "network  2001:db8::/64") ||
		!strings.HasPrefix(lines[2], "account  app") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out)
	}
	out.Reset()
	if err := p.showCleared(admin.Cleared{Cleared: 2}); err != nil || out.String() != "2 entries cleared\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDescribeBan: an event of a ban says until when, not when an attempt follows.
func TestDescribeBan(t *testing.T) {
	got := describe(admin.Event{
		Kind: appliance.EventBanned, Client: "203.0.113.7", Next: time.Now(), Cause: "20 failed log-ins",
		Reply: &admin.Reply{Code: 421, Status: "4.7.0", Text: "try again in 15m"},
	})
	if !strings.HasPrefix(got, "banned client 203.0.113.7: 421 4.7.0 try again in 15m (20 failed log-ins); until ") {
		t.Errorf("%q", got)
	}
}
