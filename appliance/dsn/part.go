package dsn

import (
	"bytes"
	"fmt"
	"mime/quotedprintable"
)

// A part is one body part of a report; lines of content end with CRLF.
type part struct {
	mediaType   string
	description string
	content     []byte
	encode      encoding
}

// An encoding is what may be done to a part that is not plain 7-bit text.
type encoding int

const (
	quoted   encoding = iota // quoted-printable
	eightBit                 // 8bit as it stands; the caller has seen to its lines
)

// maxLine is the limit of RFC 5322, section 2.1.1, in octets without CRLF.
const maxLine = 998

func (b *builder) write(out *bytes.Buffer, p part) {
	fmt.Fprintf(out, "Content-Type: %s\r\nContent-Description: %s\r\n", p.mediaType, p.description)
	if isPlain(p.content) {
		out.WriteString("\r\n")
		out.Write(p.content)
		return
	}
	if p.encode == eightBit {
		b.eightBit = true
		out.WriteString("Content-Transfer-Encoding: 8bit\r\n\r\n")
		out.Write(p.content)
		return
	}
	out.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(out)
	_, _ = w.Write(p.content) // a Buffer takes everything
	_ = w.Close()
}

// isPlain says whether content can be sent as 7bit (RFC 2045, section 2.7).
func isPlain(content []byte) bool {
	for _, c := range content {
		if c >= 0x80 {
			return false
		}
	}
	return hasLegalLines(content)
}

// hasLegalLines says whether content consists of lines that can be sent as
// 8bit (RFC 2045, section 2.8): CRLF and no other CR or LF, no NUL, at most
// 998 octets.
func hasLegalLines(content []byte) bool {
	for len(content) > 0 {
		line, rest, found := bytes.Cut(content, []byte("\r\n"))
		if len(line) > maxLine || bytes.ContainsAny(line, "\r\n\x00") {
			return false
		}
		if !found {
			return true
		}
		content = rest
	}
	return true
}
