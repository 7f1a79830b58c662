package smarthost

import (
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestChunking: what the file says about CHUNKING holds, and the default is to
// use it.
func TestChunking(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Smarthost)
		verb   string
	}{
		"default": {func(*Smarthost) {}, "|BDAT "},
		"false":   {func(s *Smarthost) { s.Chunking = false }, "|DATA|"},
	} {
		port, heard := provider(t, map[string]string{"EHLO": "250-provider\r\n250 CHUNKING"})
		s, _ := relay(t, port, func(s *Smarthost) {
			s.TLS, s.Username, s.Password, s.CAFile = "none", "", appliance.Secret{}, ""
			tc.change(s)
		})
		if r := deliver(t, s); r.Reply.Code != 250 {
			t.Errorf("%s: %v", name, r.Reply)
		}
		if got := heard(); !strings.Contains(got, tc.verb) {
			t.Errorf("%s: no %q in %q", name, tc.verb, got)
		}
	}
}
