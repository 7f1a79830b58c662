package recode

import (
	"bytes"
	"io"
)

// stripped is base64 without its line ends, which mean nothing (RFC 2045,
// section 6.8). What is no base64, or not all of it, is left to nobody's
// judgement.
type stripped struct {
	out    io.Writer
	octets int // of base64
	pads   int // "=" at its end
}

// Write implements io.Writer.
func (s *stripped) Write(p []byte) (int, error) {
	kept := make([]byte, 0, len(p))
	for _, c := range p {
		switch {
		case c == '\r', c == '\n', c == ' ', c == '\t':
			continue
		case c == '=' && s.pads < 2:
			s.pads++
		case s.pads > 0 || !isBase64(c):
			return 0, errFrozen
		}
		kept = append(kept, c)
	}
	s.octets += len(kept)
	_, err := s.out.Write(kept)
	return len(p), err
}

// Close implements io.Closer.
func (s *stripped) Close() error {
	if s.octets%4 != 0 {
		return errFrozen
	}
	return nil
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}

// softColumns is how long a line gets before a soft line break, which is one
// octet more (RFC 2045, section 6.7, rule 5).
const softColumns = 75

// softened is quoted-printable with soft line breaks where a line is too long.
// What is none is left to nobody's judgement.
type softened struct {
	out    io.Writer
	part   bool // there are boundaries around it
	column int
	escape int // octets that are left of "=3D"; of 2, the "=" is not written yet
}

// Write implements io.Writer.
func (s *softened) Write(p []byte) (int, error) {
	var b bytes.Buffer
	for _, c := range p {
		switch {
		case c == '\r' && s.escape != 1, c == '\n': // after "=" it is a soft line break
			s.equals(&b)
			b.WriteByte(c)
			s.column, s.escape = 0, 0
		case s.escape == 2 && isHex(c):
			s.soften(&b, 3)
			s.equals(&b)
			s.put(&b, c)
			s.escape = 1
		case s.escape == 1 && isHex(c):
			s.put(&b, c)
			s.escape = 0
		case s.escape > 0, c >= 0x7f, c < ' ' && c != '\t':
			return 0, errFrozen
		case c == '=':
			s.escape = 2
		default:
			s.literal(&b, c)
		}
	}
	_, err := s.out.Write(b.Bytes())
	return len(p), err
}

// literal writes an octet that stands for itself, unless it is a dash that would
// begin a line of a part: where lines are broken anew, and with octets that have
// become "=C3", such a line could be taken for a boundary that was none before.
func (s *softened) literal(b *bytes.Buffer, c byte) {
	s.soften(b, 1)
	if s.part && s.column == 0 && c == '-' {
		b.WriteString("=2D")
		s.column = 3
		return
	}
	s.put(b, c)
}

func (s *softened) put(b *bytes.Buffer, c byte) {
	b.WriteByte(c)
	s.column++
}

// equals writes the "=" that has been held back.
func (s *softened) equals(b *bytes.Buffer) {
	if s.escape == 2 {
		s.put(b, '=')
	}
}

// soften breaks the line if it has no room for n more octets.
func (s *softened) soften(b *bytes.Buffer, n int) {
	if s.column+n > softColumns {
		b.WriteString("=\r\n")
		s.column = 0
	}
}

// Close implements io.Closer.
func (s *softened) Close() error {
	if s.escape == 1 {
		return errFrozen
	}
	var b bytes.Buffer
	s.equals(&b)
	_, err := s.out.Write(b.Bytes())
	return err
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}
