package dkim

import (
	"bytes"
	"hash"
)

// appendRelaxed appends the relaxed form of a header field (RFC 6376, section
// 3.4.2): the name in lower case, every white space within the value as one
// space, none at its ends, folds undone.
func appendRelaxed(to, field []byte) []byte {
	name, value, _ := bytes.Cut(field, []byte(":"))
	for _, c := range bytes.TrimRight(name, " \t") {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	to = append(to, ':')
	begin, space := len(to), false
	for _, c := range value {
		switch c {
		case ' ', '\t', '\r', '\n':
			space = len(to) > begin
			continue
		}
		if space {
			to, space = append(to, ' '), false
		}
		to = append(to, c)
	}
	return append(to, "\r\n"...)
}

// A relaxedBody gives a hash the relaxed form of what is written to it (RFC
// 6376, section 3.4.4). A line ends with CRLF; a CR or LF alone is text.
//
// White space and line ends are owed until the next text is written: what is
// still owed at the end of a line, or of the body, does not count.
type relaxedBody struct {
	hash  hash.Hash
	lines int  // line ends that are owed
	space bool // white space that is owed
	cr    bool // whether the last octet was a CR
	text  bool // whether there has been any
}

// Write implements io.Writer. It never fails.
func (b *relaxedBody) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := 0
		if !b.cr {
			n = unchanged(rest)
		}
		if n > 0 {
			b.say(rest[:n])
		} else {
			b.take(rest[:1])
			n = 1
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// unchanged is the length of the text that p begins with and that is its own
// relaxed form: it begins and ends with an octet that is no white space, and
// has single spaces and single line ends in between.
func unchanged(p []byte) int {
	n := 0
	for n < len(p) {
		i := n // the next text after a separator
		switch {
		case n == 0:
		case p[n] == ' ':
			i++
		case p[n] == '\r' && n+1 < len(p) && p[n+1] == '\n':
			i += 2
		}
		if i == len(p) || isBlank(p[i]) {
			return n
		}
		for n = i + 1; n < len(p) && !isBlank(p[n]); n++ {
		}
	}
	return n
}

// isBlank says whether an octet is white space, or may begin a line end.
func isBlank(c byte) bool { return c <= ' ' && (c == ' ' || c == '\t' || c == '\r') }

// take takes one octet of any kind.
func (b *relaxedBody) take(octet []byte) {
	if b.cr {
		b.cr = false
		if octet[0] == '\n' {
			b.lines++
			b.space = false
			return
		}
		b.say(lineEnds[:1]) // that CR has ended no line
	}
	switch octet[0] {
	case ' ', '\t':
		b.space = true
	case '\r':
		b.cr = true
	default:
		b.say(octet)
	}
}

// What is written to the hash for what is owed.
var (
	lineEnds = bytes.Repeat([]byte("\r\n"), 64)
	oneSpace = []byte(" ")
)

// say pays what is owed, and then some text.
func (b *relaxedBody) say(text []byte) {
	for b.lines > 0 {
		n := min(b.lines, len(lineEnds)/2)
		b.hash.Write(lineEnds[:2*n])
		b.lines -= n
	}
	if b.space {
		b.hash.Write(oneSpace)
		b.space = false
	}
	b.hash.Write(text)
	b.text = true
}

// sum ends the body and returns its hash.
func (b *relaxedBody) sum() []byte {
	if b.cr {
		b.say(lineEnds[:1])
	}
	if b.text {
		b.hash.Write(lineEnds[:2])
	}
	return b.hash.Sum(nil)
}
