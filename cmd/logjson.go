package cmd

import (
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A jsonWriter writes lines of JSON for people to look at: it escapes what
// JSON lets stand as it is and a terminal, a pager or a browser obeys. A user
// name from a stranger must not change what the rest of its line looks like.
type jsonWriter struct{ w io.Writer }

// Write implements io.Writer. Beyond ASCII, a line of JSON holds text within
// strings only, where \uXXXX is the same character.
func (j jsonWriter) Write(line []byte) (int, error) {
	out := line
	if slices.ContainsFunc(line, func(c byte) bool { return c >= 0x7f }) {
		out = make([]byte, 0, len(line)+32)
		for rest := line; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r != '\n' && appliance.IsControl(r) {
				out = fmt.Appendf(out, `\u%04x`, r)
			} else {
				out = append(out, rest[:n]...)
			}
			rest = rest[n:]
		}
	}
	if _, err := j.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
