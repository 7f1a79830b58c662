package appliance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrHeaderTooLarge is the answer to a header of more than limits.max_header
// octets, or of more than 10,000 fields.
var ErrHeaderTooLarge = NewReply(552, 3, 4, "Message header is too large; use fewer or shorter header fields")

const (
	// maxFields bounds the work that a header can cause beyond its size.
	maxFields = 10_000
	// maxFieldName is the longest field name, in octets, taken for one.
	// RFC 5322 has no limit but that of the line.
	maxFieldName = 256
)

// ReadHeader reads fields from r up to the empty line, which it leaves
// unread, so that what r still holds is the body as [Body] defines it. A line
// that is no field ends the header too, and stays unread: the caller has to
// put an empty line before it (RFC 5322, section 2.1). Lines may end with
// CRLF or LF; LF becomes CRLF.
//
// At most max octets are held; more is ErrHeaderTooLarge. Any other error is
// that of r; the end of r also ends the header. r must have room for a field
// name of 256 octets.
func ReadHeader(r *bufio.Reader, max int) (Header, error) {
	return readHeader(r, max, new(Loan))
}

// readHeader is ReadHeader with memory from loan, which must have room for what
// is read: an error of it is one of readHeader.
func readHeader(r *bufio.Reader, max int, loan *Loan) (Header, error) {
	p := headerParser{r: r, max: max, loan: loan}
	for {
		if more, err := p.line(); err != nil {
			return Header{}, err
		} else if !more {
			return p.header(), nil
		}
	}
}

// headerParser collects all lines in one buffer and all names in another, so
// that a header costs a few allocations and not some for every field.
type headerParser struct {
	r     *bufio.Reader
	max   int
	loan  *Loan
	buf   []byte // what was read, with CRLF
	names strings.Builder
	marks []fieldMark
}

// fieldMark is where a field begins in buf, and where its name ends in names.
type fieldMark struct{ start, name int }

// line takes one line of the header; more is false when there is none.
func (p *headerParser) line() (more bool, err error) {
	first, err := p.r.Peek(1)
	if len(first) == 0 {
		return false, ignoreEOF(err)
	}
	if folded := first[0] == ' ' || first[0] == '\t'; folded {
		if len(p.marks) == 0 {
			return false, nil // no field to continue: the body starts here
		}
		return true, p.take()
	}
	name, err := fieldName(p.r)
	if name == nil || err != nil {
		return false, err
	}
	if p.marks == nil {
		p.makeRoom()
	}
	if len(p.marks) == maxFields {
		return false, ErrHeaderTooLarge
	}
	if err := p.loan.Take(fieldCost); err != nil {
		return false, err
	}
	p.names.Write(name)
	p.marks = append(p.marks, fieldMark{len(p.buf), p.names.Len()})
	return true, p.take()
}

// makeRoom makes room for as much of the header as is buffered, which mostly
// is all of it.
func (p *headerParser) makeRoom() {
	ahead, _ := p.r.Peek(p.r.Buffered())
	if end := bytes.Index(ahead, []byte("\r\n\r\n")); end >= 0 {
		ahead = ahead[:end+2]
	}
	lines := min(bytes.Count(ahead, []byte("\n")), 64)
	p.buf = make([]byte, 0, min(len(ahead), p.max))
	p.names.Grow(lines * 12)
	p.marks = make([]fieldMark, 0, lines)
}

// take moves one line from the reader to the buffer.
func (p *headerParser) take() error {
	for {
		part, err := p.r.ReadSlice('\n')
		if len(p.buf)+len(part) > p.max {
			return ErrHeaderTooLarge
		}
		if err := p.loan.Take(headerCost * len(part)); err != nil {
			return err
		}
		p.buf = append(p.buf, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		p.buf = bytes.TrimSuffix(p.buf, []byte("\n"))
		p.buf = bytes.TrimSuffix(p.buf, []byte("\r"))
		p.buf = append(p.buf, '\r', '\n')
		return ignoreEOF(err)
	}
}

// header cuts what was read into fields.
func (p *headerParser) header() Header {
	if len(p.marks) == 0 {
		return Header{}
	}
	names := p.names.String()
	h := Header{fields: make([]Field, 0, len(p.marks)+roomForOurs)}
	name := 0
	for i, m := range p.marks {
		end := len(p.buf)
		if i+1 < len(p.marks) {
			end = p.marks[i+1].start
		}
		h.fields = append(h.fields, Field{Name: names[name:m.name], Raw: p.buf[m.start:end:end]})
		name = m.name
	}
	return h
}

// roomForOurs is how many fields we usually add: Received,
// Authentication-Results, Date, Message-ID and a signature.
const roomForOurs = 5

// ignoreEOF makes the end of input no error. An error that merely wraps
// io.EOF is not the end of the message, but of a connection that broke.
func ignoreEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // see above
		return nil
	}
	return err
}

// fieldName looks ahead for a field name and its colon, and returns nil if
// there is none. The obsolete syntax lets white space stand between the two
// (RFC 5322, section 4.5).
func fieldName(r *bufio.Reader) ([]byte, error) {
	ahead, err := r.Peek(min(r.Buffered(), maxFieldName))
	if !bytes.ContainsAny(ahead, ":\n") && len(ahead) < maxFieldName {
		ahead, err = r.Peek(maxFieldName)
	}
	if err = ignoreEOF(err); err != nil {
		return nil, err
	}
	name, _, ok := bytes.Cut(ahead, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || !isFieldName(name) {
		return nil, nil
	}
	return name, nil
}

// ParseHeader reads a header that stands alone, such as a stored one. Octets
// after the fields are an error.
func ParseHeader(b []byte) (Header, error) {
	r := contentReaders.Get().(*bufio.Reader)
	r.Reset(bytes.NewReader(b))
	defer func() {
		r.Reset(nil)
		contentReaders.Put(r)
	}()
	h, err := ReadHeader(r, len(b)+2)
	if err != nil {
		return h, err
	}
	if r.Buffered() > 0 {
		return h, fmt.Errorf("header: not a field after field %d", len(h.fields))
	}
	return h, nil
}
