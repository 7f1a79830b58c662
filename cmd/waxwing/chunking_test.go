package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// TestPostfixChunking: Postfix takes a message by BDAT, and by DATA if the relay
// is told so; what it stores has a signature that holds either way.
func TestPostfixChunking(t *testing.T) {
	postfix := startPostfix(t)
	for name, c := range map[string]struct{ subject, setting, used, unused string }{
		"default":          {"chunk", "", "\r\nBDAT ", "\r\nDATA\r\n"},
		"chunking = false": {"lines", "  chunking = false\n", "\r\nDATA\r\n", "\r\nBDAT "},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(postfix.stored(t))
			w := wiretap(t, postfix.address)
			p := newProcess(t, fmt.Sprintf("relay \"smarthost\" \"out\" {\n  address = %q\n  tls = \"none\"\n%s}", w.address, c.setting))
			p.start()
			s, err := appliancetest.DialSubmitter(p.login())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			submitDotted(t, s, c.subject, 2000, "someone@example.net")
			var mail [][]byte
			until(t, 30*time.Second, "Postfix has stored the message", func() bool {
				mail = postfix.stored(t)
				return len(mail) == before+1
			})
			p.terminate()
			heard := w.heard()
			if !bytes.Contains(heard, []byte(c.used)) || bytes.Contains(heard, []byte(c.unused)) {
				t.Errorf("Postfix should have heard %q and not %q:\n%s", c.used, c.unused, heard)
			}
			p.start() // it tells its keys
			records := dkimRecords(t, p)
			for _, m := range mail {
				if bytes.Contains(m, []byte("\nSubject: "+c.subject+"\n")) {
					m = bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n"))
					dkimVerify(t, records, m)
					if !bytes.HasSuffix(m, []byte(dotted)) {
						t.Errorf("it does not end as it was sent: %q", m[max(0, len(m)-50):])
					}
					return
				}
			}
			t.Error("Postfix has stored something else")
		})
	}
}

// A tap is between a client and a server, and hears what the client says.
type tap struct {
	address string
	mu      sync.Mutex
	said    bytes.Buffer
}

// Write implements io.Writer.
func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(p)
}

func (w *tap) heard() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.said.Bytes())
}

// wiretap listens, and passes everything on to address and back.
func wiretap(t *testing.T, address string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &tap{address: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.pass(c, address) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return w
}

func (w *tap) pass(c net.Conn, address string) {
	defer c.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(c, server); c.Close() })
	_, _ = io.Copy(server, io.TeeReader(c, w))
	server.Close()
	back.Wait()
}
