package acme

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
)

// TestX7CrowdedDoor: those who come to say nothing, and come again, do not keep
// an authority out.
func TestX7CrowdedDoor(t *testing.T) {
	t.Parallel()
	const forever = time.Hour
	var l net.Listener
	for name, c := range map[string]struct {
		serve func(net.Listener) func()
		visit func() error
	}{
		http01: {serveHTTP(func() []string { return nil }, forever), func() error {
			status, _ := ask(t, l.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if status != http.StatusNotFound {
				t.Errorf("answer %d", status)
			}
			return nil
		}},
		tlsALPN01: {serveALPN(func(string) bool { return true }, forever), func() error {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			alert := tls.Client(conn, &tls.Config{ServerName: "x", NextProtos: []string{acmez.ACMETLS1Protocol}}).Handshake()
			if op, ok := errors.AsType[*net.OpError](alert); !ok || op.Op != "remote error" {
				return alert
			}
			return nil // it was told at once that nobody asks for x
		}},
	} {
		d := door{address: "127.0.0.1:0", serve: c.serve, listen: func(address string) (_ net.Listener, err error) {
			l, err = net.Listen("tcp", address)
			return l, err
		}}
		if err := d.open(); err != nil {
			t.Fatal(err)
		}
		silent := make([]net.Conn, 2*maxVisitors)
		for i := range silent {
			one, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer one.Close()
			silent[i] = one
		}
		if err := c.visit(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// Half of the crowd and one more are gone; the others were left alone.
		first, last := silent[0], silent[len(silent)-1]
		first.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, first); isTimeout(err) {
			t.Errorf("%s: who came first is still there", name)
		}
		last.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := io.Copy(io.Discard, last); !isTimeout(err) {
			t.Errorf("%s: who came last is gone: %v", name, err)
		}
		d.close()
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
