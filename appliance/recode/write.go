package recode

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A writer writes the body anew, in a second walk, as the plan says.
type writer struct {
	out  io.Writer
	plan []*entity // of the first walk, in the same order
	n    int       // of them that have begun

	encoder io.WriteCloser // of the leaf that the walk is in, or nil
}

func (w *writer) begin(e *entity, h *appliance.Header, raw []byte) error {
	if w.n == len(w.plan) {
		return io.ErrUnexpectedEOF // the body has changed
	}
	e.encode, e.wrap = w.plan[w.n].encode, w.plan[w.n].wrap
	w.n++
	w.encoder = e.writer(w.out, raw != nil)
	if raw == nil {
		return nil
	}
	e.declare(h)
	if _, err := h.WriteTo(w.out); err != nil {
		return err
	}
	return w.between([]byte("\r\n"))
}

// writer is what the content of a leaf goes through, or nil; part says that there
// are boundaries around it.
func (e *entity) writer(out io.Writer, part bool) io.WriteCloser {
	lines, soft := &wrapped{out: out}, &softened{out: out, part: part}
	switch {
	case e.encode == "quoted-printable":
		return &closers{quotedprintable.NewWriter(soft), soft}
	case e.encode == "base64":
		return &closers{base64.NewEncoder(base64.StdEncoding, lines), lines}
	case e.wrap == "quoted-printable":
		return soft
	case e.wrap == "base64":
		return &closers{&stripped{out: lines}, lines}
	}
	return nil
}

func (w *writer) content(_ *entity, b []byte) error {
	if w.encoder == nil {
		return w.between(b)
	}
	_, err := w.encoder.Write(b)
	return err
}

func (w *writer) end(*entity) error {
	if w.encoder == nil {
		return nil
	}
	err := w.encoder.Close()
	w.encoder = nil
	return err
}

func (w *writer) between(b []byte) error {
	_, err := w.out.Write(b)
	return err
}

// base64Line is the length of an encoded line (RFC 2045, section 6.8).
const base64Line = 76

// wrapped breaks what is written into lines.
type wrapped struct {
	out    io.Writer
	column int
}

// Write implements io.Writer.
func (w *wrapped) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if w.column == base64Line {
			if _, err := io.WriteString(w.out, "\r\n"); err != nil {
				return n, err
			}
			w.column = 0
		}
		k, err := w.out.Write(p[n:min(len(p), n+base64Line-w.column)])
		n += k
		w.column += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close ends the last line.
func (w *wrapped) Close() error {
	_, err := io.WriteString(w.out, "\r\n")
	return err
}

// closers is an encoder, and what it writes to and closes after it.
type closers struct {
	io.WriteCloser
	after io.Closer
}

// Close implements io.Closer.
func (c *closers) Close() error {
	if err := c.WriteCloser.Close(); err != nil {
		return err
	}
	return c.after.Close()
}
