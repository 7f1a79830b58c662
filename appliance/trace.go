package appliance

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewQueueID returns an id that is unique without coordination and sorts by
// time: 48 bits of milliseconds and 52 random bits, as 20 characters of
// Crockford's base 32 in lower case. It is safe in file names, header fields
// and URLs.
func NewQueueID(now time.Time) QueueID {
	var b [13]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails
	return QueueID(idEncoding.EncodeToString(b[:])[:20])
}

// NewSessionID returns a random id of 10 characters for a connection.
func NewSessionID() string {
	var b [7]byte
	_, _ = rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])[:10]
}

// received makes the trace field that RFC 5321, section 4.4, asks of every
// server that takes responsibility for a message. What the client claims
// stands where the grammar has a comment or a domain, sanitised by [NewField].
func received(tx *Transaction, hostname string) Field {
	s := tx.Session
	var b strings.Builder
	if s.Client.IsValid() {
		fmt.Fprintf(&b, "from %s (%s)", traceName(s.Hello), addressLiteral(s))
	} else {
		fmt.Fprintf(&b, "from %s", traceName(s.Hello))
	}
	fmt.Fprintf(&b, " by %s with %s", hostname, s.Protocol(tx.Envelope.SMTPUTF8))
	if s.TLS != nil {
		fmt.Fprintf(&b, " (%s)", DescribeTLS(s.TLS))
	}
	fmt.Fprintf(&b, " id %s", tx.ID)
	// RFC 5321, section 7.2: a copy for several recipients does not disclose them.
	if len(tx.Envelope.Recipients) == 1 {
		fmt.Fprintf(&b, " for %s", tx.Envelope.Recipients[0].Mailbox.Path())
	}
	fmt.Fprintf(&b, "; %s", tx.Received.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return NewField("Received", b.String())
}

// traceName is a claimed host name, or what stands for one that is none.
func traceName(hello string) string {
	if d, err := ParseDomain(hello); err == nil {
		return d
	}
	return "unknown"
}

func addressLiteral(s *Session) string {
	ip := s.Client.Addr().Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}
