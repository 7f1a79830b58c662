package smtpconn

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
)

// maxLine is the longest line that may leave, without its CRLF (RFC 5322,
// section 2.1.1).
const maxLine = 998

// What content may not hold.
var (
	errBareCR   = errors.New("a CR that no LF follows")
	errBareLF   = errors.New("an LF that no CR precedes")
	errNUL      = errors.New("a NUL")
	errLongLine = errors.New("a line of more than 998 octets")
)

// A checker looks at content in pieces of any size. It fails at the first
// octet that must not leave: RFC 5321, section 2.3.8: "SMTP client
// implementations MUST NOT transmit these characters except when they are
// intended as line terminators and then MUST, as indicated above, transmit
// them only as a <CRLF> sequence."
type checker struct {
	n    int64 // octets in all
	line int   // octets of the current line so far
	cr   bool  // the last octet was CR
	high bool  // an octet of more than 7 bits was there
	err  error
}

// Write implements io.Writer; it writes nowhere.
func (c *checker) Write(p []byte) (int, error) {
	n, err := c.look(p)
	c.n += int64(n)
	c.err = err
	return n, err
}

// look takes a line at a time, as long as lines are what they should be, and
// the rest octet by octet.
func (c *checker) look(p []byte) (n int, err error) {
	clean := bytes.IndexByte(p, 0) < 0
	for n < len(p) && err == nil {
		line := p[n:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		k := len(line)
		if clean && c.ends(line) {
			c.line = 0
		} else {
			k, err = c.octets(line)
		}
		n += k
	}
	c.high = c.high || hasHigh(p)
	return n, err
}

// ends says whether b, which has an LF at its end or none, is a line that may
// leave, or the end of one.
func (c *checker) ends(b []byte) bool {
	text := len(b) - len("\r\n")
	return !c.cr && text >= 0 && b[text+1] == '\n' && bytes.IndexByte(b, '\r') == text && c.line+text <= maxLine
}

// octets looks at each octet.
func (c *checker) octets(p []byte) (n int, err error) {
	for i, b := range p {
		switch {
		case c.cr && b != '\n':
			return i, errBareCR
		case b == '\n':
			if !c.cr {
				return i, errBareLF
			}
			c.cr, c.line = false, 0
			continue
		case b == '\r':
			c.cr = true
			continue
		case b == 0:
			return i, errNUL
		}
		if c.line++; c.line > maxLine {
			return i, errLongLine
		}
	}
	return len(p), nil
}

// hasHigh says whether an octet has more than 7 bits.
func hasHigh(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.NativeEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, b := range p {
		if b >= 0x80 {
			return true
		}
	}
	return false
}

// end fails if the content cannot end here.
func (c *checker) end() error {
	if c.cr {
		return errBareCR
	}
	return nil
}

// A dotWriter writes content as DATA wants it and checks it once more on the
// way: what fails the check does not leave.
type dotWriter struct {
	w     *bufio.Writer
	check checker
	begun bool  // something was written
	n     int64 // octets taken
}

// Write implements io.Writer. RFC 5321, section 4.5.2: a line that begins
// with a period gets another one.
func (d *dotWriter) Write(p []byte) (n int, err error) {
	bol := !d.begun || d.check.line == 0 && !d.check.cr
	if _, err := d.check.Write(p); err != nil {
		return 0, err
	}
	for n < len(p) {
		if bol && p[n] == '.' {
			if err := d.w.WriteByte('.'); err != nil {
				return n, err
			}
		}
		lines := p[n:]
		i := bytes.Index(lines, []byte("\n."))
		if bol = i >= 0; bol {
			lines = lines[:i+1]
		}
		k, err := d.w.Write(lines)
		n += k
		d.n += int64(k)
		d.begun = true
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close ends the content: with CRLF if its last line has none, and a period
// on a line of its own. It does not flush.
func (d *dotWriter) Close() error {
	if err := d.check.end(); err != nil {
		return err
	}
	end := ".\r\n"
	if d.check.line > 0 {
		end = "\r\n.\r\n"
	}
	_, err := d.w.WriteString(end)
	return err
}
