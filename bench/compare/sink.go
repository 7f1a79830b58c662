package compare

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// A sink is the next hop of all peers. It takes every message, tells the
// ledger and forgets it. It has to cost less than any peer: it does not look at
// lines, only for the end of a message.
type sink struct {
	l      net.Listener
	ledger atomic.Pointer[ledger]

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once it is closed
	wg    sync.WaitGroup
}

func listenSink(address string) (*sink, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &sink{l: l, conns: make(map[net.Conn]bool)}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *sink) address() string { return s.l.Addr().String() }

// close ends every connection and returns when they have ended.
func (s *sink) close() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *sink) accept() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			c := &sinkConn{s: s, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 512)}
			c.serve()
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

type sinkConn struct {
	s    *sink
	r    *bufio.Reader
	w    *bufio.Writer
	data []byte // of the message that is being received
}

// say queues a reply. Errors show when it is flushed.
func (c *sinkConn) say(reply string) { _, _ = c.w.WriteString(reply + "\r\n") }

func (c *sinkConn) serve() {
	c.say("220 sink.test ESMTP")
	for {
		if c.r.Buffered() == 0 && c.w.Flush() != nil {
			return
		}
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return
		}
		if !c.command(line) {
			_ = c.w.Flush() // the last reply
			return
		}
	}
}

// command answers a command and says whether the connection goes on.
func (c *sinkConn) command(line []byte) bool {
	switch verb := bytes.ToUpper(line[:min(4, len(line))]); string(verb) {
	case "EHLO":
		c.say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600")
	case "MAIL":
		c.say("250 2.1.0 Ok")
	case "RCPT":
		c.say("250 2.1.5 Ok")
	case "DATA":
		return c.message()
	case "QUIT":
		c.say("221 2.0.0 Bye")
		return false
	case "HELO", "RSET", "NOOP":
		c.say("250 2.0.0 Ok")
	default:
		c.say("500 5.5.1 Unknown command")
	}
	return true
}

func (c *sinkConn) message() bool {
	c.say("354 Go on")
	if c.w.Flush() != nil {
		return false
	}
	l := c.s.ledger.Load()
	whole := l.wants(l.count.Load())
	size, err := c.read(whole)
	if err != nil {
		return false
	}
	l.note(c.data, size, whole)
	c.say("250 2.0.0 Ok")
	return true
}

// Of a message that is larger than sinkHolds, and not wanted whole, only
// sinkHead octets stay.
const (
	sinkHolds = 256 << 10
	sinkHead  = 16 << 10
)

var finalDot = []byte("\r\n.\r\n")

// read reads a message into c.data and returns its size without the final
// dot.
func (c *sinkConn) read(whole bool) (size int, err error) {
	c.data = c.data[:0]
	for dropped := 0; ; {
		if _, err := c.r.Peek(1); err != nil {
			return 0, err
		}
		chunk, _ := c.r.Peek(c.r.Buffered())
		from := max(0, len(c.data)-len(finalDot)+1)
		c.data = append(c.data, chunk...)
		if i := bytes.Index(c.data[from:], finalDot); i >= 0 {
			end := from + i + len("\r\n")
			rest := len(c.data) - (from + i + len(finalDot))
			_, err := c.r.Discard(len(chunk) - rest)
			c.data = c.data[:end]
			return dropped + end, err
		}
		if _, err := c.r.Discard(len(chunk)); err != nil {
			return 0, err
		}
		if len(c.data) > sinkHolds && !whole {
			tail := len(c.data) - len(finalDot) + 1
			dropped += tail - sinkHead
			c.data = append(c.data[:sinkHead], c.data[tail:]...)
		}
	}
}
