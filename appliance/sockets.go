package appliance

import (
	"net"
	"os"
	"strings"
	"sync"
)

// Sockets is the set of listening sockets of the process. Two instances that
// listen on the same address share one socket, so that on a reload the new
// instance of a listener is there before the old one stops, and no connection
// is refused in between.
type Sockets struct {
	mu   sync.Mutex
	open map[string]*socket
}

// SplitNetwork splits an address of the configuration: "unix:/run/x.sock" is
// a unix socket, everything else a TCP address.
func SplitNetwork(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// Listen returns a handle on the socket that listens on address, which is
// opened if need be. Close of the last handle closes the socket. Port 0 is a
// new socket every time.
func (s *Sockets) Listen(address string) (net.Listener, error) {
	network, rest := SplitNetwork(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sock := s.open[address]; sock != nil {
		return sock.handle(), nil
	}
	if network == "unix" {
		if err := removeStale(rest); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, rest)
	if err != nil {
		return nil, err
	}
	sock := &socket{Listener: l, conns: make(chan accepted), done: make(chan struct{})}
	sock.forget = func() bool { return s.release(address, sock) }
	if s.open == nil {
		s.open = make(map[string]*socket)
	}
	if !strings.HasSuffix(rest, ":0") {
		s.open[address] = sock
	}
	h := sock.handle()
	go sock.accept()
	return h, nil
}

// removeStale removes a unix socket that nobody listens on any more.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&os.ModeSocket == 0 {
		return nil // the error of Listen says more
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil
	}
	return os.Remove(path)
}

// release gives up one handle and says whether it was the last.
func (s *Sockets) release(address string, sock *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sock.handles--
	if sock.handles > 0 {
		return false
	}
	if s.open[address] == sock {
		delete(s.open, address)
	}
	return true
}

type accepted struct {
	conn net.Conn
	err  error
}

// socket accepts for all its handles: who is free takes the connection.
type socket struct {
	net.Listener
	handles int // guarded by Sockets.mu
	conns   chan accepted
	done    chan struct{}
	forget  func() bool
}

func (s *socket) handle() net.Listener {
	s.handles++
	return &socketHandle{socket: s, closed: make(chan struct{})}
}

func (s *socket) accept() {
	for {
		c, err := s.Listener.Accept()
		select {
		case s.conns <- accepted{c, err}:
		case <-s.done:
			if c != nil {
				c.Close()
			}
			return
		}
	}
}

type socketHandle struct {
	*socket
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (h *socketHandle) Accept() (net.Conn, error) {
	select {
	case <-h.closed: // before a connection that is ready too
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-h.conns:
		return a.conn, a.err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *socketHandle) Close() (err error) {
	h.once.Do(func() {
		close(h.closed)
		if h.forget() {
			close(h.done)
			err = h.Listener.Close()
		}
	})
	return err
}
