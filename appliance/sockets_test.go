package appliance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func listenOn(t *testing.T, s *Sockets, address string) net.Listener {
	t.Helper()
	l, err := s.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// freePort is an address of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// greet accepts on l until it is closed and says hello on each connection.
func greet(l net.Listener, hello string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(c, hello)
		c.Close()
	}
}

// TestSocketsHandover is P12: while one instance after the other takes over
// the address, no connection is refused, reset or left without an answer, and
// none is accepted by an instance that has closed.
func TestSocketsHandover(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var s Sockets
	address := freePort(t)
	var instances sync.WaitGroup
	start := func(i int) net.Listener {
		l, err := s.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		instances.Go(func() { greet(l, "hello") })
		return l
	}
	l := start(0)
	var stop atomic.Bool
	var served atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(c)
				c.Close()
				if string(got) != "hello" || err != nil {
					t.Errorf("got %q, %v", got, err)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := range 200 {
		next := start(i + 1)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l = next
		for n := served.Load(); served.Load() == n && i%20 == 0 && !t.Failed(); { // let traffic pass in between
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}
	stop.Store(true)
	clients.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	instances.Wait()
	if served.Load() == 0 {
		t.Error("no client was served")
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the address still accepts after the last handle has closed")
	}
}

// TestSocketsPassesOn: the connection that arrived at a closed handle goes to
// the one that is left.
func TestSocketsPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{conns: make(chan accepted), done: make(chan struct{})}
		old, next := &socketHandle{socket: s, closed: make(chan struct{})}, &socketHandle{socket: s, closed: make(chan struct{})}
		close(old.closed)
		ours, theirs := net.Pipe()
		defer theirs.Close()
		for range 100 { // a closed handle with a connection at the door chooses at random
			go s.give(accepted{conn: ours})
			synctest.Wait()
			go func() {
				if _, err := old.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed handle: %v", err)
				}
			}()
			synctest.Wait()
			if c, err := next.Accept(); c != ours || err != nil {
				t.Fatalf("got %v, %v", c, err)
			}
		}
		// With nobody left it is closed, not leaked.
		close(s.done)
		if s.give(accepted{conn: ours}) {
			t.Error("given to nobody")
		}
		if _, err := theirs.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open: %v", err)
		}
	})
}

func TestSocketsClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var s Sockets
	l := listenOn(t, &s, "127.0.0.1:0")
	waiting := make(chan error)
	go func() {
		_, err := l.Accept()
		waiting <- err
	}()
	// A connection that nobody takes any more is closed with the socket.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	late, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("a connection of a closed socket is answered")
	}
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	}
}

func TestSocketsPortZero(t *testing.T) {
	var s Sockets
	a, b := listenOn(t, &s, "127.0.0.1:0"), listenOn(t, &s, "127.0.0.1:0")
	if a.Addr().String() == b.Addr().String() {
		t.Errorf("both are %s", a.Addr())
	}
	if len(s.open) != 0 {
		t.Error("a socket on a port of its own is shared")
	}
}

func TestSocketsAgain(t *testing.T) {
	var s Sockets
	address := freePort(t)
	for range 20 { // as soon as Close returns the address is free
		l, err := s.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.(*socketHandle).ended:
		default:
			t.Fatal("Close does not wait for the goroutine that accepts")
		}
	}
	if len(s.open) != 0 {
		t.Errorf("%d sockets are remembered", len(s.open))
	}
	other, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := s.Listen(address); err == nil {
		t.Error("an address in use is listened on")
	}
}

func TestSocketsUnix(t *testing.T) {
	var s Sockets
	path := filepath.Join(t.TempDir(), "s:0")
	address := "unix:" + path
	a := listenOn(t, &s, address)
	b := listenOn(t, &s, address)
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	go greet(b, "hello")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays behind: %v", err)
	}
}

// TestSocketsStale: what a crash left behind is removed, and nothing else is.
func TestSocketsStale(t *testing.T) {
	var s Sockets
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	listenOn(t, &s, "unix:"+stale)

	alive := filepath.Join(dir, "alive")
	other, err := net.Listen("unix", alive)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(alive, link); err != nil {
		t.Fatal(err)
	}
	datagram := filepath.Join(dir, "datagram") // in use, although it cannot be connected to
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, path := range []string{alive, file, link, datagram} {
		if _, err := s.Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("listens on %s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestSplitNetwork(t *testing.T) {
	for in, want := range map[string][2]string{
		"unix:/run/x.sock": {"unix", "/run/x.sock"}, ":25": {"tcp", ":25"}, "[::1]:25": {"tcp", "[::1]:25"},
	} {
		if network, rest := SplitNetwork(in); network != want[0] || rest != want[1] {
			t.Errorf("%s: %s, %s", in, network, rest)
		}
	}
}
