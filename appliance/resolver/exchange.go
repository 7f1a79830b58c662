package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// An asker sends a question to one server and returns what it says, whatever
// that is. The context bounds one try.
type asker func(ctx context.Context, server netip.AddrPort, o options, q question) (response, error)

// options are how to ask.
type options struct {
	edns   bool // RFC 6891
	dnssec bool // with signatures and the AD bit
	direct bool // of the server's own zones: it is not to ask others
}

// ednsSize is how large an answer over UDP may be: what goes through any
// network in one piece (DNS Flag Day 2020; RFC 9715, section 3.2).
const ednsSize = 1232

// exchange is the asker that uses the network.
func exchange(ctx context.Context, server netip.AddrPort, o options, q question) (response, error) {
	id := dns.Id()
	msg, err := pack(id, o, q)
	if err != nil {
		return response{}, err
	}
	r, err := overUDP(ctx, server, msg, q)
	if err == nil && !r.truncated {
		return r, nil
	}
	if err != nil && !unlike(err) {
		return response{}, err
	}
	// RFC 7766, section 5, for what is cut off. What is not the answer may be
	// a forgery: over TCP nobody can answer but the server.
	return overTCP(ctx, server, msg, q)
}

// pack writes the question.
func pack(id uint16, o options, q question) ([]byte, error) {
	m := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: id, RecursionDesired: !o.direct, AuthenticatedData: o.dnssec},
		Question: []dns.Question{{Name: q.name, Qtype: q.typ, Qclass: dns.ClassINET}},
	}
	if o.edns {
		m.SetEdns0(ednsSize, o.dnssec)
	}
	return m.Pack()
}

// A badAnswer is something that came in place of the answer.
type badAnswer struct{ error }

func (b badAnswer) Unwrap() error { return b.error }

func unlike(err error) bool {
	var bad badAnswer
	return errors.As(err, &bad)
}

func overUDP(ctx context.Context, server netip.AddrPort, msg []byte, q question) (response, error) {
	return converse(ctx, "udp", server, func(c net.Conn) ([]byte, error) {
		if _, err := c.Write(msg); err != nil {
			return nil, err
		}
		buf := make([]byte, 4096) // more than we say is room for: some servers do not listen
		n, err := c.Read(buf)
		return buf[:n], err
	}, msg, q)
}

func overTCP(ctx context.Context, server netip.AddrPort, msg []byte, q question) (response, error) {
	r, err := converse(ctx, "tcp", server, func(c net.Conn) ([]byte, error) {
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
			return nil, err
		}
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return nil, err
		}
		buf := make([]byte, binary.BigEndian.Uint16(size[:]))
		_, err := io.ReadFull(c, buf)
		return buf, err
	}, msg, q)
	if err == nil && r.truncated {
		err = badAnswer{errors.New("the answer is cut off even over TCP")}
	}
	return r, err
}

// converse opens a connection for one question. That of UDP has a port of its
// own, which the system chooses at random (RFC 5452, section 9.2), and hears
// nobody but the server.
func converse(ctx context.Context, network string, server netip.AddrPort, talk func(net.Conn) ([]byte, error), msg []byte, q question) (response, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return response{}, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return response{}, err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	answer, err := talk(c)
	if err != nil {
		return response{}, fmt.Errorf("%s: %w", network, err)
	}
	r, err := parse(answer, binary.BigEndian.Uint16(msg), q)
	if err != nil {
		return response{}, badAnswer{err}
	}
	return r, nil
}
