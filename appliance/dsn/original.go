package dsn

import (
	"bytes"
	"io"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxFull is the largest message returned whole, in octets. The sender
	// has it, and reports may be many.
	maxFull = 100 << 10
	// maxHeader is how much of a header is returned, in octets.
	maxHeader = 64 << 10
)

// original is the part that brings the message back, or its header.
func (b *builder) original() part {
	if full, ok := b.full(); ok {
		mediaType := "message/rfc822"
		if b.utf8 {
			mediaType = "message/global"
		}
		return part{mediaType, "Your message", full, eightBit}
	}
	fields, description := headerFields(&b.Message.Header), "Header of your message"
	if b.utf8 && hasLegalLines(fields) {
		return part{"message/global-headers", description, fields, eightBit}
	}
	return part{"text/rfc822-headers", description, fields, quoted}
}

// full returns the whole message if the sender asked for it, it has failed, and
// it can be returned as it is: RFC 2046, section 5.2.1 lets a message/rfc822 be encoded
// as 7bit, 8bit or binary only, and a report that cannot be delivered for want
// of 8BITMIME would be lost.
func (b *builder) full() ([]byte, bool) {
	env := &b.Envelope
	// RFC 3461, section 4.3: RET= is about reports of failure. In any other,
	// "only the headers of the message should be returned".
	if b.Action != Failed {
		return nil, false
	}
	// RFC 8689, section 5: a message that requires TLS is returned as with RET=HDRS.
	if env.Return != "FULL" || env.RequireTLS || b.Message.Body == nil || b.Message.Size() > maxFull {
		return nil, false
	}
	var out bytes.Buffer
	if _, err := b.Message.WriteTo(limited{&out}); err != nil {
		return nil, false
	}
	content := out.Bytes()
	declared := env.EightBit || env.SMTPUTF8
	return content, isPlain(content) || declared && hasLegalLines(content)
}

// limited is a writer that does not take much more than maxFull, whatever the
// body said about its size.
type limited struct{ out *bytes.Buffer }

func (l limited) Write(p []byte) (int, error) {
	if l.out.Len()+len(p) > 2*maxFull {
		return 0, io.ErrShortWrite
	}
	return l.out.Write(p)
}

// headerFields are the fields from the top, up to maxHeader, none of them cut.
func headerFields(h *appliance.Header) []byte {
	var out bytes.Buffer
	for f := range h.All() {
		if out.Len()+len(f.Raw) > maxHeader {
			break
		}
		out.Write(f.Raw)
	}
	return out.Bytes()
}
