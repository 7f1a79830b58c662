package smtpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of the buffers of a session, in octets. A command line must fit into
// the first: RFC 4954, section 4 lets an AUTH line have 12,288.
const (
	readBuffer  = 16 << 10
	writeBuffer = 2 << 10
)

// What reading a line can end with, apart from the errors of the connection.
var (
	errLineTooLong = errors.New("line too long")
	errBareLF      = errors.New("line does not end with CRLF")
	errBareChunk   = errors.New("BDAT does not end with CRLF") // and its chunk follows
	errClientHello = errors.New("TLS client hello in plain text")
	errIdle        = errors.New("timeout")
	errDraining    = errors.New("server is stopping")
)

// A wire is the connection of one session: buffers, TLS, deadlines, and the
// switch that ends a wait when the server stops.
//
// It is a cork: replies are held back until the client has to be waited for,
// so that the replies to a pipelined group leave in one segment (RFC 2920,
// section 3.2 asks for this).
type wire struct {
	raw  net.Conn // as accepted
	conn net.Conn // raw, or TLS on top of it
	r    *bufio.Reader
	w    *bufio.Writer

	idle  time.Duration
	until time.Time // absolute deadline of a command line; zero within content
	pace  pace      // of the content being read

	mu       sync.Mutex
	draining bool
	busy     bool // content is under way: draining waits for it
}

func newWire(c net.Conn, idle time.Duration) *wire {
	w := &wire{raw: c, conn: c, idle: idle}
	w.r = bufio.NewReaderSize(readFunc(w.fill), readBuffer)
	w.w = bufio.NewWriterSize(writeFunc(w.emit), writeBuffer)
	return w
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// fill is the only place that waits for the client.
func (w *wire) fill(p []byte) (int, error) {
	if err := w.w.Flush(); err != nil {
		return 0, err
	}
	w.arm()
	n, err := w.conn.Read(p)
	w.pace.count(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errIdle
		if w.stopping() {
			err = errDraining
		}
	}
	return n, err
}

// emit is the only place that writes to the client.
func (w *wire) emit(p []byte) (int, error) {
	if err := w.raw.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// arm sets the deadline of the next read.
func (w *wire) arm() {
	now := time.Now()
	deadline := w.until
	if deadline.IsZero() {
		deadline = w.pace.deadline(now, w.idle)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining && !w.busy {
		deadline = now
	}
	_ = w.raw.SetReadDeadline(deadline) // if the connection is gone, Read says so
}

// drain ends the wait for a command, now or the next time there is one.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if !w.busy {
		_ = w.raw.SetReadDeadline(time.Now())
	}
}

func (w *wire) stopping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining && !w.busy
}

// setBusy says whether content is under way.
func (w *wire) setBusy(busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = busy
}

// readLine reads a command line and returns it without its CRLF. It is valid
// until the next read. After errBareLF the line has been consumed.
func (w *wire) readLine() ([]byte, error) {
	w.until = time.Now().Add(w.idle)
	defer func() { w.until = time.Time{} }()
	first, err := w.r.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == 0x16 && w.conn == w.raw {
		return nil, errClientHello // there may be no line end to wait for
	}
	line, err := w.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLineTooLong
	case err != nil:
		return nil, err
	case len(line) >= 2 && line[len(line)-2] == '\r':
		return line[:len(line)-2], nil
	case len(line) > 5 && bytes.EqualFold(line[:5], []byte("BDAT ")):
		return nil, errBareChunk
	}
	// RFC 5321, section 2.3.8: only CRLF is a line end.
	return nil, errBareLF
}

// ahead says whether the client has sent something already that has not been
// asked for.
func (w *wire) ahead() bool {
	if w.r.Buffered() > 0 {
		return true
	}
	return w.conn == w.raw && pending(w.raw)
}

// handshake puts TLS on top of the connection. What the client has sent in
// plain text after STARTTLS has been refused by the caller.
func (w *wire) handshake(ctx context.Context, config *tls.Config) (*tls.ConnectionState, error) {
	if err := w.w.Flush(); err != nil {
		return nil, err
	}
	if w.stopping() {
		return nil, errDraining
	}
	_ = w.raw.SetDeadline(time.Now().Add(min(w.idle, handshakeTimeout)))
	if w.stopping() { // drain may have come between the two
		return nil, errDraining
	}
	c := tls.Server(w.raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	w.conn = c
	state := c.ConnectionState()
	return &state, nil
}

// handshakeTimeout bounds a TLS handshake, unless idle_timeout is shorter.
const handshakeTimeout = time.Minute

// close ends the connection. With linger the client gets a moment to read the
// last reply: closing a socket with unread input makes the kernel throw away
// what the client has not read yet (RFC 1122, section 4.2.2.13).
func (w *wire) close(linger bool) {
	_ = w.w.Flush()
	if linger {
		w.linger()
	}
	_ = w.conn.Close()
}

// What linger reads at most.
const (
	lingerOctets = 1 << 20
	lingerTime   = time.Second
)

func (w *wire) linger() {
	half, ok := w.raw.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	if c, ok := w.conn.(*tls.Conn); ok {
		_ = c.CloseWrite() // close_notify
	}
	if half.CloseWrite() != nil {
		return
	}
	_ = w.raw.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, w.raw, lingerOctets)
}

// pace says how fast the content of a message must come.
type pace struct {
	started  time.Time
	received int64
	total    time.Duration
	rate     int64 // octets per second, 0 is none
}

func (p *pace) count(n int) { p.received += int64(n) }

// deadline is the earliest of: a pause of idle, the end of the total time,
// and the moment at which the average falls below the rate.
func (p *pace) deadline(now time.Time, idle time.Duration) time.Time {
	d := now.Add(idle)
	if p.started.IsZero() {
		return d
	}
	if end := p.started.Add(p.total); end.Before(d) {
		d = end
	}
	if p.rate > 0 {
		earned := time.Duration(float64(p.received) / float64(p.rate) * float64(time.Second))
		if slow := p.started.Add(idle + earned); slow.Before(d) {
			d = slow
		}
	}
	return d
}
