package mx

import (
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
)

// TestChunking: what the file says about CHUNKING holds, and the default is to
// use it.
func TestChunking(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*MX)
		want   string
	}{
		"default": {func(*MX) {}, "BDAT"},
		"false":   {func(m *MX) { m.Chunking = false }, "DATA"},
	} {
		addr, verb := offersChunking(t)
		m := provision(t, zone{"MX a.test": "10 mx.test", "A mx.test": "127.0.0.1"}, func(m *MX) {
			loopback(addr.Port())(m)
			tc.change(m)
		})
		m.Deliver(t.Context(), envelope("u@a.test"), msg)
		if got := <-verb; got != tc.want {
			t.Errorf("%s: the content began with %s, want %s", name, got, tc.want)
		}
	}
}

// offersChunking is a server that hangs up when the content begins, and says
// with which command it did.
func offersChunking(t *testing.T) (netip.AddrPort, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	verb := make(chan string, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			verb <- err.Error()
			return
		}
		c := textproto.NewConn(nc)
		defer c.Close()
		reply := "220 mx.test"
		for err == nil {
			_ = c.PrintfLine("%s", reply)
			var line string
			line, err = c.ReadLine()
			switch word, _, _ := strings.Cut(line, " "); word {
			case "EHLO":
				reply = "250-mx.test\r\n250 CHUNKING"
			case "BDAT", "DATA":
				verb <- word
				return
			default:
				reply = "250 ok"
			}
		}
		verb <- err.Error()
	}()
	return netip.MustParseAddrPort(l.Addr().String()), verb
}
