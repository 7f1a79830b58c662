package appliancetest

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
)

// A Sink is a next hop for tests and benchmarks: a small, fast SMTP server
// that takes every message and hands it to a function. It offers PIPELINING,
// 8BITMIME, SMTPUTF8 and SIZE.
type Sink struct {
	got   func(m *SinkMessage) string
	l     net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// A SinkMessage is a message as a Sink received it.
type SinkMessage struct {
	From string
	To   []string
	Data []byte // dot-unstuffed, with its CRLF line ends
}

// ListenSink starts a Sink on address. got is called for each message after
// its final dot, from many goroutines; it may wait. The reply is "250 2.0.0 Ok" if got
// returns "", and what it returns otherwise; "drop" closes the connection
// without a reply.
func ListenSink(address string, got func(m *SinkMessage) string) (*Sink, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Sink{got: got, l: l, conns: make(map[net.Conn]bool)}
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is where the sink listens, "127.0.0.1:40123".
func (s *Sink) Addr() string { return s.l.Addr().String() }

// Close closes the listening socket and every connection, and waits for them.
func (s *Sink) Close() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Sink) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Sink) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	w := bufio.NewWriter(c)
	w.WriteString("220 sink.test ESMTP\r\n")
	var m SinkMessage
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			w.WriteString("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 104857600\r\n")
		case "MAIL":
			m = SinkMessage{From: path(line)}
			w.WriteString("250 2.1.0 Ok\r\n")
		case "RCPT":
			m.To = append(m.To, path(line))
			w.WriteString("250 2.1.5 Ok\r\n")
		case "DATA":
			w.WriteString("354 Go on\r\n")
			if w.Flush() != nil {
				return
			}
			if m.Data, err = readDots(r); err != nil {
				return
			}
			reply := s.got(&m)
			switch reply {
			case "":
				reply = "250 2.0.0 Ok"
			case "drop":
				return
			}
			w.WriteString(reply + "\r\n")
		case "QUIT":
			w.WriteString("221 2.0.0 Bye\r\n")
			_ = w.Flush()
			return
		case "HELO", "RSET", "NOOP":
			w.WriteString("250 2.0.0 Ok\r\n")
		default:
			w.WriteString("500 5.5.1 Unknown command\r\n")
		}
	}
}

func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	p, _, _ := strings.Cut(rest, ">")
	return p
}

// readDots reads up to CRLF.CRLF and undoes the dot-stuffing.
func readDots(r *bufio.Reader) ([]byte, error) {
	var data []byte
	for start := true; ; {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if start {
			if string(line) == ".\r\n" {
				return data, nil
			}
			line = bytes.TrimPrefix(line, []byte("."))
		}
		data = append(data, line...)
		start = err == nil
	}
}
