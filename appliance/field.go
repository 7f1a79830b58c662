package appliance

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Field is one header field with its folding and its final CRLF. It does
// not change: who wants another value makes another Field.
type Field struct {
	Name string // as written, without the colon
	Raw  []byte // the whole field: name, colon, value, CRLF
}

// Value is the field body, unfolded (RFC 5322, section 2.2.3) and trimmed.
func (f Field) Value() string {
	_, v, _ := bytes.Cut(f.Raw, []byte(":"))
	v = bytes.Trim(v, " \t\r\n")
	if bytes.IndexByte(v, '\n') >= 0 {
		v = bytes.ReplaceAll(v, []byte("\r\n"), nil)
	}
	return string(v)
}

// The length of the lines of a field we make, in octets without the CRLF
// (RFC 5322, section 2.1.1: they SHOULD be no more than 78, and MUST be no
// more than 998).
const (
	maxColumn = 78
	maxWord   = 700 // what has no white space to fold at is cut here; a name and white space still fit before it
)

// NewField makes a field. The value is folded before white space, so that it
// unfolds to what it was, to lines of at most 78 octets where possible; what
// would still be longer than 998 is cut with a space. White space at the ends
// is lost. Control characters, CR and LF among them, and what is not UTF-8
// become "?": whatever a stranger put into value, the result is exactly one
// field. NewField panics if name is none.
func NewField(name, value string) Field {
	if !isFieldName([]byte(name)) || len(name) > maxFieldName {
		panic(fmt.Sprintf("appliance: %q is no field name", name))
	}
	b := make([]byte, 0, len(name)+len(value)+len(value)/16+8)
	b = append(b, name...)
	b = append(b, ':')
	column := len(b)
	rest := strings.Trim(printable(value), " \t")
	for space := " "; rest != ""; {
		var word string
		word, rest = cutWord(rest)
		if column+len(space)+len(word) > maxColumn && column > len(name)+1 {
			b = append(b, '\r', '\n')
			column = 0
		}
		b = append(append(b, space...), word...)
		column += len(space) + len(word)
		space, rest = cutSpace(rest)
	}
	return Field{Name: name, Raw: append(b, '\r', '\n')}
}

// printable replaces what has no place in a header field by "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != '\t' && IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// cutWord takes the word that s begins with off its front, or as much of it
// as fits on a line.
func cutWord(s string) (word, rest string) {
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		end = len(s)
	}
	if end > maxWord {
		for end = maxWord; !utf8.RuneStart(s[end]); end-- {
		}
	}
	return s[:end], s[end:]
}

// cutSpace takes the white space that s begins with off its front; it is one
// space if there is none, or more than a line could hold.
func cutSpace(s string) (space, rest string) {
	rest = strings.TrimLeft(s, " \t")
	space = s[:len(s)-len(rest)]
	if space == "" || len(space) > maxColumn {
		space = " "
	}
	return space, rest
}

// isFieldName says whether RFC 5322, section 3.6.8, lets a field have the
// name: one or more printable US-ASCII characters except the colon.
func isFieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return len(name) > 0
}
