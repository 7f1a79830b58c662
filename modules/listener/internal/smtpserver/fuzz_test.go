package smtpserver

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

var wellFormed = regexp.MustCompile(`^(?:[2-5][0-5][0-9][ -][ -~]{0,500}\r\n)*$`)

// FuzzSession: whatever a client sends, the session ends, without a panic, a
// leaked draft or a reply that is none; and a message is accepted only if it
// was ended.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"EHLO c\r\n", "QUIT\r\n", "\x16\x03\x01", "EHLO c\r\nSTARTTLS\r\n\x16\x03\x01",
		"EHLO c\r\nMAIL FROM:<a@x.example> SIZE=1\r\nRCPT TO:<b@local.test>\r\nDATA\r\n",
		"Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n",
		"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 3\r\nabcBDAT 4 LAST\r\nab\r\nQUIT\r\n",
		"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 3\r\nabcRSET\r\nNOOP\r\nVRFY x\r\nHELP\r\nEXPN\r\n",
		"AUTH PLAIN =\r\nAUTH LOGIN\r\n*\r\n",
	} {
		f.Add([]byte(s), []byte("."))
		f.Add([]byte(s), []byte("\r\n.\r\n"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := newRig(t, small)
		r.srv.stopping = make(chan struct{})
		client, server := net.Pipe()
		s := newSession(r.srv, addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1024"))})
		done := make(chan struct{})
		go func() {
			s.serve(t.Context())
			close(done)
		}()
		go func() { // in two writes, so that the second can follow a 354
			_ = client.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = client.Write(first)
			_, _ = client.Write(second)
			_ = client.Close()
		}()
		var replies bytes.Buffer
		_, _ = io.Copy(&replies, onlyReader{client})
		<-done
		if !wellFormed.Match(replies.Bytes()) {
			t.Errorf("replies: %q", replies.Bytes())
		}
		if n := r.Spool.Open(); n != 0 {
			t.Errorf("%d drafts left open", n)
		}
		if r.logs.FilterMessageSnippet("panic").Len() > 0 {
			t.Errorf("panic: %v", r.logs.FilterMessageSnippet("panic").All())
		}
		input := string(first) + string(second)
		ended := strings.Contains(input, "\r\n.\r\n") || strings.Contains(strings.ToUpper(input), "BDAT")
		if len(r.Spool.Messages()) > 0 && !ended {
			t.Errorf("accepted: %q", input)
		}
	})
}

// onlyReader hides WriteTo and the like.
type onlyReader struct{ io.Reader }
