package appliance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/mail"
	"slices"
	"strings"
)

// A Header is a list of fields in wire order, kept byte for byte: what we did
// not add we do not change. The zero Header is empty.
type Header struct{ fields []Field }

// A Field is one header field with its folding and its final CRLF.
type Field struct {
	Name string // as written, without the colon
	Raw  []byte // the whole field: name, colon, value, CRLF
}

// ErrHeaderTooLarge is the answer to a header of more than limits.max_header.
var ErrHeaderTooLarge = NewReply(552, 3, 4, "Message header is too large; use fewer or shorter header fields")

// maxFields bounds the work that a header can cause beyond its size: a field
// costs a slice and a name.
const maxFields = 10_000

// ReadHeader reads fields from r up to the empty line, which it leaves
// unread, so that what r still holds is the body as [Body] defines it. A line
// that is no field ends the header too, and stays unread: the caller has to
// put an empty line before it (RFC 5322, section 2.1). Lines may end with
// CRLF or LF; LF becomes CRLF.
//
// At most max octets are held; more is ErrHeaderTooLarge. Any other error is
// that of r; the end of r also ends the header.
func ReadHeader(r *bufio.Reader, max int) (Header, error) {
	var h Header
	size := 0
	for {
		next, err := r.Peek(1)
		if err != nil && len(next) == 0 {
			return h, ignoreEOF(err)
		}
		folded := next[0] == ' ' || next[0] == '\t'
		if folded && len(h.fields) == 0 {
			return h, nil // no field to continue: the body starts here
		}
		if !folded {
			if ok, err := startsField(r); !ok || err != nil {
				return h, err
			}
		}
		line, err := readLine(r, max-size)
		if err != nil {
			return h, err
		}
		size += len(line)
		if folded {
			last := &h.fields[len(h.fields)-1]
			last.Raw = append(last.Raw, line...)
			continue
		}
		if len(h.fields) == maxFields {
			return h, ErrHeaderTooLarge
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		h.fields = append(h.fields, Field{Name: string(bytes.TrimRight(name, " \t")), Raw: line})
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// maxFieldName is the longest field name taken for one. RFC 5322 has no
// limit but that of the line.
const maxFieldName = 256

// startsField looks ahead: RFC 5322, section 2.2: a field name is one or more
// printable US-ASCII characters except the colon. The obsolete syntax lets
// white space stand before the colon (section 4.5).
func startsField(r *bufio.Reader) (bool, error) {
	ahead, err := r.Peek(maxFieldName)
	if err != nil && !errors.Is(err, io.EOF) && len(ahead) == 0 {
		return false, err
	}
	name, _, ok := bytes.Cut(ahead, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return false, nil
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false, nil
		}
	}
	return true, nil
}

// readLine reads one line of at most max octets, as a copy that ends with CRLF.
func readLine(r *bufio.Reader, max int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > max {
			return nil, ErrHeaderTooLarge
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err := ignoreEOF(err); err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		return append(line, '\r', '\n'), nil
	}
}

// ParseHeader reads a header that stands alone, such as a stored one. Octets
// after the fields are an error.
func ParseHeader(b []byte) (Header, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	h, err := ReadHeader(r, len(b)+2)
	if err != nil {
		return h, err
	}
	if rest, _ := r.Peek(1); len(rest) > 0 {
		return h, fmt.Errorf("header: not a field after field %d", len(h.fields))
	}
	return h, nil
}

// All ranges over the fields in wire order.
func (h *Header) All() iter.Seq[Field] { return slices.Values(h.fields) }

// Len is the length of the header in octets, without the empty line.
func (h *Header) Len() (n int) {
	for i := range h.fields {
		n += len(h.fields[i].Raw)
	}
	return n
}

// Get returns the value of the first field with the name, or "".
func (h *Header) Get(name string) string {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			return h.fields[i].Value()
		}
	}
	return ""
}

// Values returns the values of all fields with the name, in wire order.
func (h *Header) Values(name string) []string {
	var all []string
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			all = append(all, h.fields[i].Value())
		}
	}
	return all
}

// Count says how many fields have the name.
func (h *Header) Count(name string) (n int) {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].Name, name) {
			n++
		}
	}
	return n
}

// Prepend puts f above all other fields, where trace fields and signatures
// belong (RFC 5321, section 4.4).
func (h *Header) Prepend(f Field) { h.fields = slices.Insert(h.fields, 0, f) }

// Append puts f below all other fields.
func (h *Header) Append(f Field) { h.fields = append(h.fields, f) }

// Remove removes the fields for which match is true and says how many.
func (h *Header) Remove(match func(Field) bool) int {
	n := len(h.fields)
	h.fields = slices.DeleteFunc(h.fields, match)
	return n - len(h.fields)
}

// Clone returns a copy whose list of fields is its own.
func (h *Header) Clone() Header { return Header{slices.Clone(h.fields)} }

// WriteTo writes all fields, without the empty line that ends a header.
func (h *Header) WriteTo(w io.Writer) (n int64, err error) {
	for i := range h.fields {
		k, err := w.Write(h.fields[i].Raw)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Bytes is what WriteTo writes.
func (h *Header) Bytes() []byte {
	b := make([]byte, 0, h.Len())
	for i := range h.fields {
		b = append(b, h.fields[i].Raw...)
	}
	return b
}

// From returns the mailboxes of the From field. It is an error when there is
// no From field, more than one, or one that cannot be parsed: nobody could
// say whose message it is (RFC 5322, section 3.6; PROMISES H3 and H8).
func (h *Header) From() ([]Mailbox, error) {
	values := h.Values("From")
	if len(values) != 1 {
		return nil, fmt.Errorf("%d From fields, exactly one is needed", len(values))
	}
	list, err := (&mail.AddressParser{}).ParseList(values[0])
	if err != nil {
		return nil, fmt.Errorf("From field: %w", err)
	}
	var all []Mailbox
	for _, a := range list {
		at := strings.LastIndexByte(a.Address, '@')
		m, err := NewMailbox(a.Address[:max(at, 0)], a.Address[at+1:])
		if err != nil {
			return nil, fmt.Errorf("From field: %w", err)
		}
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, errors.New("From field: no mailbox")
	}
	return all, nil
}

// Value is the field body, unfolded (RFC 5322, section 2.2.3) and trimmed.
func (f Field) Value() string {
	_, v, _ := bytes.Cut(f.Raw, []byte(":"))
	if bytes.IndexByte(v, '\n') >= 0 {
		v = bytes.ReplaceAll(v, []byte("\r\n"), nil)
	}
	return string(bytes.Trim(v, " \t\r\n"))
}

// NewField makes a field. The value is folded at white space to lines of at
// most 78 characters where possible (RFC 5322, section 2.1.1). Control
// characters, CR and LF among them, become "?": whatever a stranger put into
// value, the result is exactly one field. NewField panics if name is none.
func NewField(name, value string) Field {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == ':' {
			panic(fmt.Sprintf("appliance: %q is no field name", name))
		}
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, value)
	var b strings.Builder
	b.WriteString(name + ":")
	column := len(name) + 1
	for _, word := range strings.Fields(clean) {
		for len(word) > maxWord {
			b.WriteString("\r\n " + word[:maxWord])
			word, column = word[maxWord:], 1+maxWord
		}
		if column+1+len(word) > 78 && column > len(name)+1 {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteString("\r\n")
	return Field{Name: name, Raw: []byte(b.String())}
}

// maxWord keeps a line below the 998 octets of RFC 5322, section 2.1.1, when
// a value has no white space to fold at.
const maxWord = 900
