package doctor

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReply: whatever a server says, there is an end to it, and what is shown
// is short.
func TestReply(t *testing.T) {
	for _, c := range []struct {
		name, said string
		code       int
		text       string
		bad        bool
	}{
		{"one line", "220 mx.test ready\r\n", 220, "mx.test ready", false},
		{"several", "250-mx.test\r\n250-SIZE 10\r\n250 STARTTLS\r\n", 250, "STARTTLS", false},
		{"code alone", "250\r\n", 250, "", false},
		{"LF alone", "250 ok\n", 250, "ok", false},
		{"a long text", "554 " + strings.Repeat("x", 600) + "\r\n", 554, strings.Repeat("x", maxSaid), false},
		{"no UTF-8", "554 \xff\xfe\r\n", 554, "?", false},
		{"a line without end", strings.Repeat("2", 2*maxReplyLine), 0, "", true},
		{"lines without end", strings.Repeat("250-more\r\n", 2*maxReply), 0, "", true},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", 0, "", true},
		{"a code of none", "999 no\r\n", 0, "", true},
		{"too short", "25\r\n", 0, "", true},
		{"nothing", "", 0, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			us, them := net.Pipe()
			defer us.Close()
			go func() {
				them.Write([]byte(c.said))
				them.Close()
			}()
			code, text, err := newDialogue(t.Context(), us).reply()
			if code != c.code || text != c.text || (err != nil) != c.bad {
				t.Errorf("%d %q, %v", code, text, err)
			}
		})
	}
}

// TestDialogueEndsWithItsContext: a server that says nothing is waited for no
// longer than the examination has time, and not when the check-up ends.
func TestDialogueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		us, them := net.Pipe()
		defer them.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d := newDialogue(ctx, us)
		defer d.quit()
		begin := time.Now()
		if _, _, err := d.reply(); err == nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if _, _, err := d.ask("NOOP"); err == nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}
