package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/recode"
)

// maxLine is the longest line of a message, without its end (RFC 5322,
// section 2.1.1).
const maxLine = 998

// errBareCR is what a message must not hold; a line end of the client's system is
// fine.
var errBareCR = appliance.NewReply(550, 6, 0, "The message holds a CR that ends no line, or a NUL: encode it as quoted-printable or base64")

// A lineReader reads a message as a program hands it in, with LF or CRLF at
// the end of a line, and gives it the form that the pipeline takes: CRLF ends
// a line, there is no other CR or LF, and no NUL (RFC 5321, section 2.3.8). It is
// an [appliance.Mender] for lines that are too long.
type lineReader struct {
	r      *bufio.Reader
	line   []byte // what is left of the current line, or of a piece of it
	buf    []byte
	within bool  // more of the line follows
	long   bool  // there was a line of more than maxLine
	err    error // stays: who reads on gets it again
}

var _ appliance.Mender = (*lineReader)(nil)

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 32<<10), buf: make([]byte, 0, maxLine+2)}
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.line) == 0 && l.err == nil {
		l.err = l.next()
	}
	if l.err != nil {
		return 0, l.err
	}
	n := copy(p, l.line)
	l.line = l.line[n:]
	return n, nil
}

// Mend implements [appliance.Mender].
func (l *lineReader) Mend(ctx context.Context, tx *appliance.Transaction) error {
	if !l.long {
		return nil
	}
	return recode.Mend(ctx, tx)
}

// next reads one line, or a piece of one that is too long. A last line that has
// no end is given one.
func (l *lineReader) next() error {
	l.buf = l.buf[:0]
	for {
		c, err := l.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && (l.within || len(l.buf) > 0):
			return l.end()
		case err != nil:
			return readError(err)
		case c == '\n':
			return l.end()
		case c == '\r' && l.followedByLF():
			continue
		case c == '\r' || c == 0:
			return errBareCR
		case len(l.buf) == maxLine:
			l.within, l.long = true, true
			l.line = append(l.buf, c)
			return nil
		}
		l.buf = append(l.buf, c)
	}
}

func (l *lineReader) end() error {
	l.buf = append(l.buf, '\r', '\n')
	l.line, l.within = l.buf, false
	return nil
}

func (l *lineReader) followedByLF() bool {
	next, err := l.r.Peek(1)
	return err == nil && next[0] == '\n'
}

// readError makes the error of a body that is too large the reply it means.
func readError(err error) error {
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return appliance.ErrTooLarge.With(big)
	}
	return err
}
