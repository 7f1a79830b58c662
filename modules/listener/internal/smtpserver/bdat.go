package smtpserver

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

var (
	errBadChunk = appliance.NewReply(501, 5, 4,
		"Write BDAT size, or BDAT size LAST, and CRLF; closing connection, because the end of the chunk is unknown")
	errUnfinished = appliance.NewReply(503, 5, 1, "The message is not complete; send BDAT with LAST, or RSET")
	// errAbandoned is what the pipeline is told when the client gives up.
	errAbandoned = appliance.NewReply(451, 4, 2, "The client abandoned its message")
)

// A chunk is the argument of BDAT (RFC 3030, section 2).
type chunk struct {
	size int64
	last bool
}

func parseChunk(arg string) (chunk, bool) {
	size, last, _ := strings.Cut(arg, " ")
	if last != "" && !strings.EqualFold(last, "LAST") || strings.Trim(size, "0123456789") != "" {
		return chunk{}, false
	}
	n, err := strconv.ParseInt(size, 10, 64)
	return chunk{n, last != ""}, err == nil
}

// maxDiscard is how much of a chunk that cannot be accepted is read past, as a
// multiple of the size limit: whoever announces more is disconnected.
const maxDiscard = 2

// bdat receives a message in chunks (RFC 3030), the first of which this is.
// The others are read by the chunkReader.
//
// The octets of a chunk follow the command in any case. They are read, or the
// connection is closed: they are never taken for commands.
func (s *session) bdat(ctx context.Context, arg string) {
	c, ok := parseChunk(arg)
	if !ok {
		s.expel(errBadChunk)
		return
	}
	limit := s.sizeLimit()
	switch {
	case c.size > maxDiscard*limit:
		s.expel(appliance.ErrTooLarge)
	case s.barred:
		s.skip(c, errSequence)
	case s.tx == nil:
		s.skip(c, errNoMail)
	case len(s.tx.Envelope.Recipients) == 0:
		s.skip(c, errNoRcpt)
	case c.size > limit:
		s.endTransaction()
		s.skip(c, appliance.ErrTooLarge)
	default:
		s.take(ctx, &chunkReader{
			s: s, left: c.size, last: c.last, limit: maxDiscard * limit,
			check: checker{mends: s.srv.set.mends()},
		})
	}
}

func (s *session) sizeLimit() (n int64) {
	s.srv.with(func(p *appliance.Pipeline) { n = int64(p.Limits().MaxMessageSize) })
	return n
}

// skip reads past a chunk and refuses it.
func (s *session) skip(c chunk, reply *appliance.Reply) {
	s.wire.pace = pace{started: time.Now(), total: s.srv.set.DataTimeout, rate: int64(s.srv.set.MinRate)}
	defer func() { s.wire.pace = pace{} }()
	if _, err := io.CopyN(io.Discard, s.wire.r, c.size); err != nil {
		s.unreadable(err)
		return
	}
	s.refuse(reply)
}

// A chunkReader reads the content of a chunked message. At the end of a chunk
// it answers for it and reads the next BDAT command itself, so that the
// pipeline sees one reader.
type chunkReader struct {
	s     *session
	left  int64 // octets of the present chunk not yet read
	last  bool  // it is the last
	limit int64 // of one chunk
	check checker
	tail  string // what has to be added to end the last line
	err   error  // sticky: io.EOF after the last chunk, or what broke off
}

// Read implements io.Reader. Every error sticks.
func (r *chunkReader) Read(p []byte) (n int, err error) {
	if r.check.fault != nil {
		return 0, r.check.fault
	}
	for r.left == 0 && r.err == nil {
		if r.last {
			return r.finish(p)
		}
		r.err = r.next()
	}
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err = r.s.wire.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.check.scan(p[:n])
	switch {
	case err != nil:
		r.err = lost(err)
		return 0, r.err
	case r.check.fault != nil:
		return 0, r.check.fault
	}
	return n, nil
}

// Mend implements [appliance.Mender].
func (r *chunkReader) Mend(ctx context.Context, tx *appliance.Transaction) error {
	return r.check.mend(ctx, tx)
}

// checked implements content.
func (r *chunkReader) checked() *checker { return &r.check }

// finish ends the message: with a CRLF if the client sent none, because the
// next hop may be given the message with DATA, where that would be added.
func (r *chunkReader) finish(p []byte) (n int, err error) {
	r.check.end()
	if r.check.fault != nil {
		return 0, r.check.fault
	}
	if r.check.length > 0 {
		r.check.length, r.tail = 0, "\r\n"
	}
	n = copy(p, r.tail)
	r.tail = r.tail[n:]
	if r.tail == "" {
		r.err = io.EOF
	}
	return n, nil
}

// next answers for the chunk that is complete and waits for another.
func (r *chunkReader) next() error {
	r.s.say(250, 0, 0, "Chunk OK")
	for {
		line, err := r.s.wire.readLine()
		switch {
		case errors.Is(err, errBareLF):
			r.s.refuse(errLineEnd)
			continue
		case errors.Is(err, errBareChunk):
			return errBadChunk
		case err != nil:
			return lost(err)
		case time.Since(r.s.wire.pace.started) > r.s.wire.pace.total:
			return lost(errIdle)
		}
		if done, err := r.command(line); done || err != nil {
			return err
		}
	}
}

// command handles a command between two chunks; done means that it was BDAT.
func (r *chunkReader) command(line []byte) (done bool, err error) {
	verb, arg := splitCommand(line)
	switch verb {
	case "BDAT":
		c, ok := parseChunk(arg)
		switch {
		case !ok:
			return true, errBadChunk
		case c.size > r.limit:
			return true, appliance.ErrTooLarge
		}
		r.left, r.last = c.size, c.last
		return true, nil
	case "RSET", "QUIT", "EHLO", "HELO":
		r.s.pushed = slices.Clone(line)
		return true, errAbandoned
	case "NOOP":
		if r.s.tolerate() {
			r.s.say(250, 0, 0, "OK")
			return false, nil
		}
		r.s.expel(errJunk)
	default:
		r.s.refuse(errUnfinished)
	}
	if r.s.closing {
		return true, errAbandoned
	}
	return false, nil
}

// discard implements content.
func (r *chunkReader) discard() error {
	switch {
	case errors.Is(r.err, io.EOF):
		return nil
	case r.err != nil:
		return r.err
	}
	_, err := io.CopyN(io.Discard, r.s.wire.r, r.left)
	r.left = 0
	if err != nil {
		return lost(err)
	}
	return nil
}
