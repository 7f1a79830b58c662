package smtpconn

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxFlight is the largest message, in octets, that is sent together with
	// its envelope. What a server refuses of it is sent for nothing.
	maxFlight = 64 << 10
	// maxBlock is how much of a chunk is written at once, in octets:
	// Timeouts.Block is for each block.
	maxBlock = 64 << 10
	// unchunkedTime is how long DATA is used with a server that CHUNKING has
	// failed with.
	unchunkedTime = 24 * time.Hour
)

// errChanged is a body that is not as long as it was when it was looked at.
var errChanged = errors.New("the body has changed")

// chunks says whether the content goes by BDAT (RFC 3030). LMTP servers are
// near, where it saves nothing.
func (c *conn) chunks() bool {
	cfg := &c.pool.cfg
	return c.ext.chunking && !cfg.LMTP && !cfg.NoChunking && !c.pool.unchunked.has(c.target.Addr, time.Now())
}

// chunked goes through a transaction in which the content is one chunk, the
// last. BDAT has no reply that is to be waited for before the content, so that
// with PIPELINING the whole transaction can be one flight and one round trip.
// That is done with a server that has taken a message over this connection
// before: if it is lost in such a flight, nobody knows whether the message was
// taken, and a new connection is what is lost most often.
func (t *transaction) chunked(ctx context.Context) error {
	c, cmds := t.c, t.commands()
	if c.proven && c.ext.pipelining && t.m.octets <= maxFlight && len(cmds) < maxGroup {
		return t.flight(ctx, cmds)
	}
	if err := c.exchange(ctx, cmds); err != nil {
		return err
	}
	if len(t.accepted) == 0 {
		return nil
	}
	if err := c.flush(ctx, stageContent); err != nil { // what came unasked
		return err
	}
	if err := t.chunk(ctx); err != nil {
		return t.interrupted(ctx, err)
	}
	if err := c.w.Flush(); err != nil {
		return t.chunkLost(ctx, err)
	}
	return t.chunkVerdict(ctx)
}

// flight sends the envelope and the content together. RFC 2920, section 3.1
// lists the commands that end a group; BDAT is none of them.
func (t *transaction) flight(ctx context.Context, cmds []command) error {
	c := t.c
	for _, cmd := range cmds {
		if err := c.write(ctx, cmd.at, cmd.line, cmd.line); err != nil {
			return err
		}
	}
	if c.r.Buffered() > 0 { // 421, most likely
		return c.flush(ctx, cmds[0].at)
	}
	if err := t.chunk(ctx); err != nil {
		return t.flightInterrupted(ctx, cmds, err)
	}
	err := c.receive(ctx, cmds)
	if err == nil {
		return t.chunkVerdict(ctx)
	}
	if asFailure(err).Result.Remote { // 421: the server says that it has not taken it
		return err
	}
	t.answered = true // or it would be sent again at once
	return t.chunkLost(ctx, err)
}

// flightInterrupted is interrupted for a flight: the server may have said why
// it stopped reading in reply to one of the commands.
func (t *transaction) flightInterrupted(ctx context.Context, cmds []command, err error) error {
	c := t.c
	if c.out.err == nil {
		return c.fail(unreadable(err))
	}
	for _, cmd := range cmds {
		r, rerr := c.read(ctx, stageContent)
		if rerr != nil {
			break
		}
		if r.closing() {
			f := c.fail(c.sentAway(r, cmd.at))
			f.Result.Remote, f.Result.Reply = true, r.outcome()
			return f
		}
		cmd.done(r)
	}
	return c.lost(ctx, stageContent, err)
}

// chunk writes BDAT and its content, and does not flush. RFC 3030, section 2:
// the octets that follow the command are counted, no period is doubled. The
// lines are still lines, each with its CRLF: BINARYMIME is not spoken.
func (t *transaction) chunk(ctx context.Context) error {
	c, n, end := t.c, t.m.octets, ""
	if t.m.unended {
		end = "\r\n" // as DATA has it, so that both carry the same message
	}
	line := fmt.Sprintf("BDAT %d LAST", n+int64(len(end)))
	if err := c.write(ctx, stageContent, line, line); err != nil {
		return err
	}
	w := &chunkWriter{w: c.w, left: n}
	if _, err := t.m.msg.WriteTo(w); err != nil {
		return err
	}
	if w.left != 0 {
		return errChanged
	}
	c.log.client(fmt.Sprintf("(%d octets of content)", n))
	_, err := c.w.WriteString(end)
	return err
}

// chunkVerdict reads the reply to BDAT. When nobody was accepted it is a
// refusal that says nothing more; RSET comes before the next transaction.
func (t *transaction) chunkVerdict(ctx context.Context) error {
	c := t.c
	r, err := c.read(ctx, stageFinal)
	if err != nil {
		return t.chunkLost(ctx, err)
	}
	if len(t.accepted) == 0 {
		c.broken = c.broken || c.r.Buffered() > 0
		return nil
	}
	if unknown(r) {
		return t.notChunking(r)
	}
	t.judge(t.accepted, r)
	c.proven = t.taken
	if err := t.judgedAll(); err != nil {
		return err
	}
	// RFC 3030, section 2: after a chunk that failed "a RSET command MUST be
	// sent by the sender-SMTP to clear the segments".
	c.dirty = !t.taken
	return nil
}

// unknown says that r refuses the command and not the message.
func unknown(r reply) bool {
	return 500 <= r.code && r.code <= 504 && (r.detail.Subject == 5 || r.detail == appliance.Detail{})
}

// notChunking ends the connection with a server that offers CHUNKING and does
// not know BDAT: it may have taken the content for commands, so nothing it says
// is worth anything. The message waits, and goes by DATA the next time.
func (t *transaction) notChunking(r reply) error {
	c := t.c
	c.pool.unchunked.add(c.target.Addr, time.Now())
	said := appliance.Replyf(451, 5, 1, "%s offers CHUNKING and refuses BDAT: %s", c.target.Name, r)
	return c.fail(said.With(protocolError("%s", r)))
}

// chunkLost is a connection that was lost when the chunk was on its way. A box
// in between that breaks BDAT looks like this: next time it is DATA.
func (t *transaction) chunkLost(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		t.c.pool.unchunked.add(t.c.target.Addr, time.Now())
	}
	return t.c.inDoubt(ctx, err)
}

// A chunkWriter writes a number of octets in blocks, and not one more: it would
// be a command.
type chunkWriter struct {
	w    *bufio.Writer
	left int64
}

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (n int, err error) {
	if int64(len(p)) > w.left {
		return 0, errChanged
	}
	for n < len(p) && err == nil {
		var k int
		k, err = w.w.Write(p[n:min(n+maxBlock, len(p))])
		n += k
	}
	w.left -= int64(n)
	return n, err
}

// An unchunked remembers the servers with which CHUNKING has failed.
type unchunked struct {
	time  time.Duration // unchunkedTime, if 0
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

func (u *unchunked) add(a netip.AddrPort, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.until == nil || len(u.until) >= maxShunned {
		u.until = make(map[netip.AddrPort]time.Time)
	}
	u.until[a] = now.Add(cmp.Or(u.time, unchunkedTime))
}

func (u *unchunked) has(a netip.AddrPort, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, ok := u.until[a]
	if ok && !now.Before(until) {
		delete(u.until, a)
		return false
	}
	return ok
}
