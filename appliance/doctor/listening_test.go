package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
)

// listens gives the world a listener on all addresses. The script is what it
// says to who connects from this machine.
func (w *world) listens(script string) *Listener {
	w.peers.scripts["127.0.0.1:587"] = script
	w.Listeners = []Listener{{Addr: "listener.public", Type: "submission", Addresses: []string{"[::]:587", "unix:/run/x.sock"}}}
	return &w.Listeners[0]
}

// refusing is a server that refuses strangers at MAIL.
const refusing = "220 mail.example.com ESMTP\n250 mail.example.com\n530 5.7.0 Authentication required"

func init() {
	findingTests = append(findingTests,
		findingTest{name: "relay-refused", words: "open", change: func(w *world) { w.listens(refusing) }},
		findingTest{name: "relay-hangs-up", words: "open", change: func(w *world) {
			w.listens("220 mail.example.com ESMTP\n250 mail.example.com\n421 4.7.0 Too many errors")
		}},
		findingTest{name: "relay-open", words: "open", change: func(w *world) {
			w.listens("220 mail.example.com ESMTP\n250 mail.example.com\n250 2.1.0 Ok\n250 2.1.5 Ok")
		}},
		findingTest{name: "relay-percent", words: "open", change: func(w *world) {
			w.listens("220 mail.example.com ESMTP\n250 mail.example.com\n250 2.1.0 Ok\n550 5.7.1 No\n250 2.0.0 Ok\n250 2.1.0 Ok\n250 2.1.5 Ok")
		}},
		findingTest{name: "relay-claimed", words: "open", change: func(w *world) {
			w.listens("220 mail.example.com ESMTP\n250 mail.example.com\n250 2.1.0 Ok\n550 5.7.1 No\n250 2.0.0 Ok\n250 2.1.0 Ok\n250 2.1.5 Ok\n250 2.0.0 Ok\n530 5.7.0 No").
				Claims = func(to appliance.Mailbox) bool { return to.Domain == "mail.example.com" }
		}},
		findingTest{name: "relay-silent", words: "open", change: func(w *world) {
			w.listens("")
			delete(w.peers.scripts, "127.0.0.1:587")
		}},
		findingTest{name: "relay-not-running", words: "listeners", change: func(w *world) { w.listens(refusing); w.Healthy = nil }},
		findingTest{name: "inwards-well", words: "outside", change: func(w *world) {
			w.listens(refusing)
			w.peers.scripts["203.0.113.5:587"] = refusing
		}},
		findingTest{name: "inwards-unknown", words: "outside", change: func(w *world) { w.listens(refusing) }},
	)
}

// TestTrustedIsNoStranger: what a listener lets this machine do says nothing of
// others.
func TestTrustedIsNoStranger(t *testing.T) {
	l := &Listener{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		if c, err := server.Accept(); err == nil {
			c.Write([]byte("220 here\r\n"))
			c.Read(make([]byte, 100))
			c.Close()
		}
	}()
	_, r := serve(t, wellZone)
	w := newWorld(t, r)
	w.Dial = new(net.Dialer).DialContext
	f := w.openRelay(t.Context(), "open relay", l, netip.MustParseAddrPort(server.Addr().String()))
	if f.Status != appliance.FoundSkipped || !strings.Contains(f.Text, "127.0.0.1 is in its trusted networks (10.0.0.0/8, 127.0.0.0/8)") {
		t.Errorf("%+v", f)
	}
}

// TestOpenRelayIsTriedWithTLS: what a listener refuses without TLS, it may take
// with it.
func TestOpenRelayIsTriedWithTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		answer(there, "220 here", "250-here|250 STARTTLS", "220 go ahead")
		answer(tls.Server(there, web.TLS), "", "250 here", "250 sender", "250 recipient")
	}()
	_, r := serve(t, wellZone)
	w := newWorld(t, r)
	w.Dial = func(context.Context, string, string) (net.Conn, error) { return tcp{here}, nil }
	f := w.openRelay(t.Context(), "open relay", new(Listener), netip.MustParseAddrPort("127.0.0.1:587"))
	if f.Status != appliance.FoundFail || !strings.Contains(f.Text, "this is an open relay") {
		t.Errorf("%+v", f)
	}
}

// answer greets, if there is a greeting, and then answers line by line.
func answer(c net.Conn, greeting string, replies ...string) {
	if greeting != "" {
		fmt.Fprintf(c, "%s\r\n", greeting)
	}
	lines := bufio.NewScanner(c)
	for _, reply := range replies {
		if !lines.Scan() {
			return
		}
		fmt.Fprintf(c, "%s\r\n", strings.ReplaceAll(reply, "|", "\r\n"))
	}
}

// A tcp is a connection of this machine with itself.
type tcp struct{ net.Conn }

func (tcp) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }
