package acme

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// during runs f while the challenge for the host is waiting to be answered, which
// is when its authority is about to look.
func (w *world) during(f func(c certmagic.Challenge)) {
	w.t.Helper()
	var came atomic.Bool
	w.ca.Inject(func(r *http.Request) *acmetest.Problem {
		if acmetest.ResourceOf(r) != acmetest.Challenge || came.Swap(true) {
			return nil
		}
		if c, ok := certmagic.GetACMEChallenge(w.host); ok {
			f(c)
		} else {
			w.t.Error("no challenge")
		}
		return nil
	})
}

// ask sends a request and returns the status and the body of the answer.
func ask(t *testing.T, address, request string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, request)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("%.40q: %v", request, err)
		return 0, ""
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// TestX7HostileHTTP: port 80 answers the one question, and nothing else.
func TestX7HostileHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	at := w.ca.HTTPAddress()
	w.during(func(c certmagic.Challenge) {
		path := challengePath + c.Token
		get := func(path, host string) string {
			return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		}
		for _, q := range []struct {
			name, request string
			status        int
		}{
			{"the question", get(path, w.host), 200},
			{"in capitals, with a port", get(path, strings.ToUpper(w.host)+":80"), 200},
			{"a proxy's own host", get(path, "127.0.0.1:8080"), 200},
			{"no host", "GET " + path + " HTTP/1.0\r\n\r\n", 200},
			{"a token of another order", get(challengePath+strings.Repeat("a", len(c.Token)), w.host), 404},
			{"host with a path", get(path, w.host+"/../x"), 400},
			{"another token", get(path+"x", w.host), 404},
			{"no token", get(challengePath, w.host), 404},
			{"long token", get(challengePath+strings.Repeat("a", 4000), w.host), 404},
			{"path traversal", get(challengePath+"../../../etc/passwd", w.host), 404},
			{"encoded path traversal", get(challengePath+"%2e%2e%2f"+c.Token, w.host), 404},
			{"a token behind a path", get(challengePath+"x/"+c.Token, w.host), 404},
			{"root", get("/", w.host), 404},
			{"HEAD", "HEAD " + path + " HTTP/1.1\r\nHost: " + w.host + "\r\n\r\n", 404},
			{"POST", "POST " + path + " HTTP/1.1\r\nHost: " + w.host + "\r\nContent-Length: 0\r\n\r\n", 404},
			{"1 GB", "POST " + path + " HTTP/1.1\r\nHost: " + w.host + "\r\nContent-Length: 1073741824\r\n\r\nx", 404},
			{"large header", "GET " + path + " HTTP/1.1\r\nHost: " + w.host + "\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
			{"no HTTP", "EHLO there\r\n\r\n", 400},
		} {
			status, body := ask(t, at, q.request)
			if status != q.status || strings.Contains(body, c.KeyAuthorization) != (q.status == 200) {
				t.Errorf("%s: %d %q, want %d", q.name, status, body, q.status)
			}
		}
	})
	w.ready(w.start(w.instance(only(http01))), w.host)
}

// TestX7Slowloris: who says nothing is sent away, and until then a limited
// number of such visitors is let in; the door closes although some are there.
func TestX7Slowloris(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Listener) func(){
		http01:    serveHTTP(func() []string { return nil }, 100*time.Millisecond),
		tlsALPN01: serveALPN(func(string) bool { return true }, 100*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			d := door{address: "127.0.0.1:0", serve: serve}
			var l net.Listener
			d.listen = func(address string) (_ net.Listener, err error) {
				l, err = net.Listen("tcp", address)
				return l, err
			}
			if err := d.open(); err != nil {
				t.Fatal(err)
			}
			slow := make([]net.Conn, 0, maxVisitors+2)
			for range maxVisitors + 2 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				slow = append(slow, c)
			}
			for _, c := range slow { // also those that had to wait
				c.SetDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("a visitor stays")
				}
			}
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			d.close()
			if !refuses(l.Addr().String()) {
				t.Error("the door is open")
			}
		})
	}
}

// TestX7HostileTLS: port 443 makes a handshake with who comes for the
// challenge, and with nobody else.
func TestX7HostileTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	w.during(func(certmagic.Challenge) {
		for _, c := range []struct {
			sni    string
			protos []string
			ok     bool
		}{
			{w.host, []string{acmez.ACMETLS1Protocol}, true},
			{w.host, nil, false},
			{w.host, []string{"h2"}, false},
			{w.host, []string{acmez.ACMETLS1Protocol, "h2"}, false},
			{"other.example.com", []string{acmez.ACMETLS1Protocol}, false},
			{"", []string{acmez.ACMETLS1Protocol}, false},
		} {
			conn, err := tls.Dial("tcp", w.ca.TLSAddress(), &tls.Config{ServerName: c.sni, NextProtos: c.protos, InsecureSkipVerify: true})
			if (err == nil) != c.ok {
				t.Errorf("%q %v: %v", c.sni, c.protos, err)
			}
			if err == nil {
				conn.Close()
			}
		}
	})
	w.ready(w.start(w.instance(only(tlsALPN01))), w.host)
}

// TestA12UnknownNames: ten thousand names that we do not have cost nothing.
func TestA12UnknownNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance())
	w.ready(a, w.host)
	orders, keys := w.ca.Requests(acmetest.NewOrder), w.keys()
	config := a.ServerConfig(appliance.TLSUse{})
	t.Attr("tried", "10000")
	for n := range 10_000 {
		c, err := config.GetCertificate(&tls.ClientHelloInfo{
			ServerName: fmt.Sprintf("name%d.example.net", n), SupportedVersions: []uint16{tls.VersionTLS13},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		})
		if err != nil || c.Leaf.DNSNames[0] != w.host {
			t.Fatalf("%v, %v", c, err)
		}
	}
	if n := w.ca.Requests(acmetest.NewOrder); n != orders || w.keys() != keys || len(a.Certificates()) != 1 {
		t.Errorf("%d orders, then %d; keys %q, then %q", orders, n, keys, w.keys())
	}
}

// keys are what the store has.
func (w *world) keys() string {
	w.t.Helper()
	list, err := w.values.List(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, i := range list {
		fmt.Fprintf(&all, "%s ", i.Key)
	}
	return all.String()
}

// TestClosedDoors: a port that cannot be had is told in words. The other one
// is enough; without both the authority is not asked.
func TestClosedDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	var alpn atomic.Bool
	a := w.instance()
	a.retry = func(int) time.Duration { return 50 * time.Millisecond }
	if err := a.Provision(&appliance.Context{Log: w.log, Hostname: w.host, Values: w.values, Sockets: w.sockets}); err != nil {
		t.Fatal(err)
	}
	listen := a.listen
	a.http.listen = func(string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	a.alpn.listen = func(address string) (net.Listener, error) {
		if alpn.Load() {
			return listen(address)
		}
		return nil, syscall.EADDRINUSE
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(context.Background())
	eventually(t, "an error", func() bool { return info(t, a, w.host).Error != "" })
	for _, want := range []string{
		"http-01: cannot listen on " + w.ca.HTTPAddress() + ": permission denied", "CAP_NET_BIND_SERVICE",
		"tls-alpn-01: cannot listen on " + w.ca.TLSAddress() + ": address already in use", "tls_alpn_address",
	} {
		if problem := info(t, a, w.host).Error; !strings.Contains(problem, want) {
			t.Errorf("%q is not in %q", want, problem)
		}
	}
	if n := w.ca.Requests(acmetest.NewOrder); n != 0 {
		t.Errorf("%d orders", n)
	}
	alpn.Store(true)
	w.ready(a, w.host)
}
