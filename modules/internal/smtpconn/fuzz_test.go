package smtpconn

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzServer: whatever a server says, each recipient has one result, nobody is
// said to be served before the message was sent, and what was said is harmless
// text. A | in what it says is where it waits for the client.
func FuzzServer(f *testing.F) {
	const ehlo = "220 mx\r\n|250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 CHUNKING\r\n|"
	for _, s := range []string{
		"220 mx\r\n|250 mx\r\n|250 ok\r\n|250 ok\r\n|550 5.1.1 no\r\n|354 go\r\n|250 2.0.0 ok\r\n|221 bye\r\n",
		ehlo + "250 ok\r\n250 ok\r\n450 4.2.1 x\r\n|250 2.0.0 ok\r\n|",
		ehlo + "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n",
		"220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 early\r\n",
		"220 mx\r\n|250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n|220 go\r\n\x16\x03\x01|",
		"\x16\x03\x01|", "421 \x1b[31m\x00\xff\r\n", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, says string) {
		heard := new(bytes.Buffer)
		done := make(chan struct{})
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer close(done)
				converse(server, says, heard)
			}()
			return client, nil
		}
		p := pool(t, func(c *Config) { c.Dial = dial })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		target := Target{Name: "mx.test", Addr: netip.MustParseAddrPort("192.0.2.1:25"), TLS: TLSOpportunistic}
		results := p.Deliver(ctx, envelope("a@b.test", "c@b.test"), simple, targets(target))
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		<-done
		if len(results) != 2 || ctx.Err() != nil {
			t.Fatalf("%d results, %v", len(results), ctx.Err())
		}
		sent := strings.Contains(heard.String(), "hello\r\n")
		for _, r := range results {
			if r.Reply.Code < 200 || r.Reply.Code > 599 || r.Reply.Positive() && !sent {
				t.Errorf("%v, and the message was sent: %t", r.Reply, sent)
			}
			if strings.ContainsFunc(r.Reply.Text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("text %q", r.Reply.Text)
			}
		}
	})
}

// converse says each part after the client has said something, or while it
// waits for more, and hangs up.
func converse(c net.Conn, says string, heard *bytes.Buffer) {
	defer func() { _ = c.Close() }()
	said := make([]byte, 64<<10)
	for part := range strings.SplitSeq(says, "|") {
		_ = c.SetDeadline(time.Now().Add(2 * time.Millisecond))
		if part != "" {
			if _, err := c.Write([]byte(part)); err != nil {
				return
			}
		}
		n, err := c.Read(said)
		heard.Write(said[:n])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}
