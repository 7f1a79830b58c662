package appliance

import (
	"net"
	"strings"
	"sync"
)

// Sockets is the set of listening sockets of the process. Two instances that
// listen on the same address share one socket, so that on a reload the new
// instance of a listener is there before the old one stops, and no connection
// is refused or lost in between.
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
//
// A unix socket can be used by the user that the server runs as, and by nobody
// else (mode 0600, from its first moment on). One that nobody listens on any
// more is replaced; if somebody does, the error is syscall.EADDRINUSE.
func (s *Sockets) Listen(address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sock := s.open[address]; sock != nil {
		return sock.handle(), nil
	}
	network, rest := SplitNetwork(address)
	l, err := listen(network, rest)
	if err != nil {
		return nil, err
	}
	sock := &socket{
		Listener: l, set: s, address: address,
		conns: make(chan accepted), done: make(chan struct{}), ended: make(chan struct{}),
	}
	if shared := network == "unix" || !strings.HasSuffix(rest, ":0"); shared {
		if s.open == nil {
			s.open = make(map[string]*socket)
		}
		s.open[address] = sock
	}
	go sock.accept()
	return sock.handle(), nil
}

func listen(network, address string) (net.Listener, error) {
	if network == "unix" {
		return listenUnix(address)
	}
	return net.Listen(network, address)
}

// release gives up one handle. With the last one the socket is closed, at
// once and before anybody can ask for the address again.
func (s *Sockets) release(sock *socket) (last bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sock.handles--
	if sock.handles > 0 {
		return false, nil
	}
	if s.open[sock.address] == sock {
		delete(s.open, sock.address)
	}
	close(sock.done)
	return true, sock.Close()
}

type accepted struct {
	conn net.Conn
	err  error
}

// socket accepts for all its handles: who is free takes the connection.
type socket struct {
	net.Listener
	set     *Sockets
	address string
	handles int           // guarded by set.mu
	conns   chan accepted // unbuffered: what nobody took is still with accept
	done    chan struct{} // closed with the last handle
	ended   chan struct{} // closed when accept has returned
}

// handle is called with set.mu held.
func (s *socket) handle() net.Listener {
	s.handles++
	return &socketHandle{socket: s, closed: make(chan struct{})}
}

func (s *socket) accept() {
	defer close(s.ended)
	for {
		c, err := s.Accept()
		if !s.give(accepted{c, err}) {
			return
		}
	}
}

// give hands a to whichever handle accepts first. It is false when none is
// left; the connection is then closed.
func (s *socket) give(a accepted) bool {
	select {
	case s.conns <- a:
		return true
	case <-s.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

type socketHandle struct {
	*socket
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener. Once it is closed, a handle takes no
// connection from the others: one that came at the same moment it passes on.
func (h *socketHandle) Accept() (net.Conn, error) {
	select {
	case <-h.closed:
		return nil, net.ErrClosed
	case a := <-h.conns:
		select {
		case <-h.closed:
			h.give(a)
			return nil, net.ErrClosed
		default:
			return a.conn, a.err
		}
	}
}

// Close implements net.Listener. Close of the last handle returns when
// nothing of the socket is left.
func (h *socketHandle) Close() (err error) {
	h.once.Do(func() {
		close(h.closed)
		var last bool
		if last, err = h.set.release(h.socket); last {
			<-h.ended
		}
	})
	return err
}
