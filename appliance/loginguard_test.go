package appliance

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestLoginSettings: the defaults are right, and what makes no sense is blamed
// on its attribute, with what to write.
func TestLoginSettings(t *testing.T) {
	good := DefaultSettings().Logins
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		attr, says string
		change     func(*LoginSettings)
	}{
		{"ban_after", "write 0", func(s *LoginSettings) { s.BanAfter = -1 }},
		{"ban_for", "ban_after = 0", func(s *LoginSettings) { s.BanFor = time.Millisecond }},
		{"account_failures", "write 0", func(s *LoginSettings) { s.AccountFailures = -1 }},
		{"never_ban", `write "10.0.0.0/24"`, func(s *LoginSettings) { s.NeverBan = []string{"10.0.0.1/24"} }},
		{"never_ban", "is not an IP address", func(s *LoginSettings) { s.NeverBan = []string{"office"} }},
	} {
		s := good
		c.change(&s)
		e, ok := errors.AsType[*AttrError](s.Check())
		if !ok || e.Attr != c.attr || !strings.Contains(e.Msg, c.says) {
			t.Errorf("%+v: %v, want %s: %s", s, s.Check(), c.attr, c.says)
		}
	}
}
