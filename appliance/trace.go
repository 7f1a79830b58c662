package appliance

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
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
// stands there only if it is a domain or an address literal; of its
// certificate nothing does. hostname is that of the appliance.
func received(tx *Transaction, hostname string) Field {
	s := tx.Session
	b := make([]byte, 0, 256)
	b = append(b, "from "+traceName(s.Hello)...)
	if s.Client.IsValid() {
		b = append(b, " ("+addressLiteral(s)+")"...)
	}
	b = append(b, " by "+cmp.Or(s.Hostname, hostname)+" with "+s.Protocol(tx.Envelope.SMTPUTF8)...)
	if s.TLS != nil {
		b = append(b, " ("+DescribeTLS(s.TLS)+")"...)
	}
	b = append(b, " id "+tx.ID...)
	// RFC 5321, section 7.2: a copy for several recipients does not disclose them.
	if len(tx.Envelope.Recipients) == 1 {
		b = append(b, " for "+tx.Envelope.Recipients[0].Mailbox.Path()...)
	}
	b = append(b, "; "...)
	b = tx.Received.AppendFormat(b, time.RFC1123Z)
	return NewField("Received", string(b))
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
