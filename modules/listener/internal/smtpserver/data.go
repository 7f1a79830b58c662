package smtpserver

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/waxwing-mail/waxwing/appliance"
)

// data receives the content (RFC 5321, section 4.1.1.4).
func (s *session) data(ctx context.Context, arg string) {
	switch {
	case arg != "":
		s.refuse(errNoArg)
	case s.tx == nil:
		s.refuse(errNoMail)
	case len(s.tx.Envelope.Recipients) == 0:
		// RFC 2920, section 3.1: a client that pipelines finds out here that
		// every recipient was refused.
		s.refuse(errNoRcpt)
	default:
		writePlain(s.wire.w, 354, "Send the message, end it with CRLF.CRLF")
		d := newDataReader(s.wire.r)
		d.check.mends = s.srv.set.mends()
		s.take(ctx, d)
	}
}

// A dataReader reads what follows DATA: it ends at CRLF.CRLF and nowhere else,
// and removes dot-stuffing (RFC 5321, section 4.5.2).
//
// The CRLF of the DATA command counts as the first of the five octets, so that
// an empty message is a line with a dot.
type dataReader struct {
	r       *bufio.Reader
	check   checker
	start   bool   // the last octets were CRLF, or nothing has been read yet
	cr      bool   // the last octet was a CR
	pending []byte // read and not yet handed out; valid until the next read of r
	err     error  // io.EOF after the true end, or what broke off
}

func newDataReader(r *bufio.Reader) *dataReader { return &dataReader{r: r, start: true} }

// Read implements io.Reader.
func (d *dataReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(d.pending) == 0 {
			if n > 0 && d.r.Buffered() == 0 {
				break // hand out what is there before waiting
			}
			if err := d.advance(); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], d.pending)
		d.pending = d.pending[k:]
		n += k
	}
	return n, nil
}

// Mend implements [appliance.Mender].
func (d *dataReader) Mend(ctx context.Context, tx *appliance.Transaction) error {
	return d.check.mend(ctx, tx)
}

// checked implements content.
func (d *dataReader) checked() *checker { return &d.check }

// advance reads the next line, or the part of a long one that fits the buffer.
// Every error sticks: a reader that looks ahead may forget the first it sees.
func (d *dataReader) advance() error {
	switch {
	case d.err != nil:
		return d.err
	case d.check.fault == nil:
		if err := d.line(); err != nil {
			return err
		}
		d.check.scan(d.pending)
	}
	if d.check.fault != nil {
		d.pending = nil
		return d.check.fault
	}
	return nil
}

func (d *dataReader) line() error {
	piece, err := d.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		d.err = lost(err)
		return d.err
	}
	if d.start && string(piece) == ".\r\n" {
		d.err = io.EOF
		return d.err
	}
	if d.start && piece[0] == '.' {
		piece = piece[1:]
	}
	d.pending = piece
	d.start = endsWithCRLF(piece, d.cr)
	d.cr = len(piece) > 0 && piece[len(piece)-1] == '\r'
	return nil
}

// endsWithCRLF says whether the stream ends with CRLF after piece; cr says that
// it ended with CR before.
func endsWithCRLF(piece []byte, cr bool) bool {
	n := len(piece)
	if n == 0 || piece[n-1] != '\n' {
		return false
	}
	if n == 1 {
		return cr
	}
	return piece[n-2] == '\r'
}

// discard implements content.
func (d *dataReader) discard() error {
	for d.err == nil {
		_ = d.line() // it leaves its error in d.err
	}
	d.pending = nil
	if errors.Is(d.err, io.EOF) {
		return nil
	}
	return d.err
}
