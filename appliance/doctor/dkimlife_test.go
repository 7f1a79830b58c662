package doctor

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestLived: a key that does not sign yet, or no more, hurts no mail by a record
// that is missing.
func TestLived(t *testing.T) {
	const at = "s._domainkey.example.com"
	for _, c := range []struct {
		state      appliance.KeyState
		was, want  appliance.Standing
		text       string
		fixMayStay bool
	}{
		{"", appliance.FoundFail, appliance.FoundFail, "as it was", true},
		{appliance.KeyCurrent, appliance.FoundFail, appliance.FoundFail, "as it was", true},
		{appliance.KeyNext, appliance.FoundOK, appliance.FoundOK, at + " holds the next key", true},
		{appliance.KeyNext, appliance.FoundFail, appliance.FoundSkipped, "does not sign before all name servers show its record at " + at, false},
		{appliance.KeyNext, appliance.FoundWarn, appliance.FoundSkipped, "does not sign before", false},
		{appliance.KeyOld, appliance.FoundOK, appliance.FoundOK, at + " holds the key before", true},
		{appliance.KeyOld, appliance.FoundFail, appliance.FoundWarn, "mail that it has signed", true},
		{appliance.KeyOld, appliance.FoundWarn, appliance.FoundWarn, "as it was", true},
	} {
		f := lived(appliance.Finding{Name: "DKIM key s", Status: c.was, Text: "as it was", Fix: "publish"}, at, c.state)
		if f.Name != "DKIM key s" || f.Status != c.want || !strings.Contains(f.Text, c.text) || (f.Fix != "") != c.fixMayStay {
			t.Errorf("%s, %s: %+v", c.state, c.was, f)
		}
	}
}
