package smtpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/recode"
)

// maxText is the longest line of a message in octets, without CRLF (RFC 5321,
// section 4.5.3.1.6; RFC 5322, section 2.1.1).
const maxText = 998

// What is wrong with a message that cannot be carried as it is.
var (
	errContentLF = appliance.NewReply(550, 6, 0,
		"The message contains a bare LF; lines must end with CRLF, correct the program that made it")
	errContentCR = appliance.NewReply(550, 6, 0,
		"The message contains a bare CR; lines must end with CRLF, correct the program that made it")
	errContentNUL = appliance.NewReply(550, 6, 0,
		"The message contains a NUL; encode binary content with base64")
	errContentLine = appliance.NewReply(550, 6, 0,
		"The message contains a line longer than 998 octets (RFC 5322, section 2.1.1); "+
			"correct the program that made it: it has to break its lines, or encode the text with quoted-printable or base64")
	errBrokenOff = appliance.NewReply(451, 4, 2, "The connection was lost within the message")
)

// A checker looks at content, piece by piece, for what must not be in a
// message: RFC 5321, section 2.3.8 "the characters <CR> and <LF> MUST NOT be
// sent except as <CRLF>"; section 4.5.2 and RFC 5322, section 2.3 for the rest.
// What one server takes for a line end and the next does not is how messages
// are smuggled; so nothing of the kind is passed on.
type checker struct {
	mends  bool             // long lines are no fault
	fault  *appliance.Reply // the first thing found
	long   bool             // there was a line longer than maxText, which is to be mended
	length int              // octets of the line so far
	cr     bool             // the last octet was a CR
}

// scan looks at the next octets.
func (c *checker) scan(b []byte) {
	if c.fault == nil && bytes.IndexByte(b, 0) >= 0 {
		c.fault = errContentNUL
	}
	for len(b) > 0 && c.fault == nil {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		c.line(line, ended)
		b = rest
	}
}

// line looks at a line or a part of one; ended says that an LF follows.
func (c *checker) line(b []byte, ended bool) {
	c.length += len(b)
	switch {
	case len(b) == 0: // an LF right after what was seen before
	case c.cr, bytes.IndexByte(b[:len(b)-1], '\r') >= 0:
		c.fault = errContentCR
		return
	default:
		c.cr = b[len(b)-1] == '\r'
	}
	text := c.length
	if c.cr {
		text--
	}
	c.long = c.long || text > maxText
	switch {
	case ended && !c.cr:
		c.fault = errContentLF
	case c.long && !c.mends:
		c.fault = errContentLine
	case ended:
		c.length, c.cr = 0, false
	}
}

// mend breaks lines that are too long.
func (c *checker) mend(ctx context.Context, tx *appliance.Transaction) error {
	if !c.long {
		return nil
	}
	return recode.Mend(ctx, tx)
}

// end looks at the end of the content.
func (c *checker) end() {
	if c.fault == nil && c.cr {
		c.fault = errContentCR
	}
}

// A content is the reader that the pipeline is given. Read returns the fault of
// the message as soon as there is one.
type content interface {
	appliance.Mender
	// discard reads to the true end of the message, or of the chunk that has
	// not been answered. The error is that of the connection.
	discard() error
	// checked is what is known of the octets that were read.
	checked() *checker
}

// take hands the content to the pipeline and answers for it.
func (s *session) take(ctx context.Context, c content) {
	s.wire.setBusy(true)
	s.wire.pace = pace{started: time.Now(), total: s.srv.set.DataTimeout, rate: int64(s.srv.set.MinRate)}
	defer func() {
		s.wire.pace = pace{}
		s.wire.setBusy(false)
	}()
	id, err := s.tx.pipeline.Data(ctx, s.tx.Transaction, c)
	s.endTransaction()
	if err == nil {
		s.errors, s.junk = 0, 0
		s.taken++
		if c.checked().long {
			s.srv.metrics.mended.Inc()
			s.log.Debug("lines of more than 998 octets were mended", zap.String("id", string(id)))
		}
		s.say(250, 0, 0, "queued as "+string(id))
		return
	}
	switch lost := c.discard(); {
	case errors.Is(lost, errAbandoned):
		// The command that took the place of the next chunk gets the answer.
	case lost != nil:
		s.broken(lost)
	default:
		s.refuse(err)
	}
}

// broken ends a session whose client has not finished its message. What it has
// sent so far is gone: a part of a message is never handed on.
func (s *session) broken(err error) {
	s.log.Debug("message broken off", zap.Error(err))
	switch r := appliance.ReplyTo(err); {
	case errors.Is(err, errIdle):
		s.expel(errTimeout)
	case r.Permanent(): // a chunk whose end cannot be waited for
		s.expel(r)
	default:
		s.closing = true
		writeReply(s.wire.w, errBrokenOff) // in case only one direction is closed
	}
}

// lost makes of an error of the connection what the pipeline is told.
func lost(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return errBrokenOff.With(err)
}
