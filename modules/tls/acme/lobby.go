package acme

import (
	"net"
	"slices"
	"sync"
)

// A lobby is a listener that lets in whoever comes. When it is full, who has
// been there for longest must go: an authority says at once what it wants, and
// must not have to wait behind those who come to say nothing.
type lobby struct {
	net.Listener

	mu       sync.Mutex
	visitors []*visitor // in the order in which they came
}

type visitor struct {
	net.Conn
	lobby *lobby
}

// Accept implements net.Listener.
func (l *lobby) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &visitor{c, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.visitors) == maxVisitors {
		l.visitors[0].Conn.Close() // its server notices, and has no more to do
		l.visitors = slices.Delete(l.visitors, 0, 1)
	}
	l.visitors = append(l.visitors, v)
	return v, nil
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.lobby.leave(v)
	return v.Conn.Close()
}

func (l *lobby) leave(v *visitor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.visitors, v); i >= 0 {
		l.visitors = slices.Delete(l.visitors, i, i+1)
	}
}
