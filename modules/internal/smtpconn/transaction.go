package smtpconn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxGroup is how many commands are sent before their replies are read.
	// RFC 2920, section 3.1: a client must not fill both directions of the
	// connection at once.
	maxGroup = 100
	// maxRounds bounds the transactions for one message that "too many
	// recipients" can ask for; who is left then waits for the next attempt.
	maxRounds = 20
)

// An outcome is the result of a recipient, and whether another server may be
// asked about it in the same attempt.
type outcome struct {
	appliance.Result
	settled bool
	blamed  bool // it is about our address: another one may fare better
}

// deliver sends m to the recipients in todo, as indexes, and fills their
// outcomes. The error is a *Failure: the connection ended before it answered
// anything, and nothing has happened.
func (c *conn) deliver(ctx context.Context, m *mail, todo []int, outcomes []outcome) error {
	release := c.until(ctx)
	defer release()
	todo = c.refuse(m, todo, outcomes)
	for round := range maxRounds {
		if len(todo) == 0 {
			return nil
		}
		t := &transaction{c: c, m: m, todo: todo, outcomes: outcomes}
		err := t.run(ctx)
		if err != nil && round == 0 && !t.answered {
			return err
		}
		if err != nil {
			o := asOutcome(err)
			o.Midway = true
			t.give(t.open(), o)
		}
		if err != nil || !t.taken || c.broken {
			return nil
		}
		todo = t.excess
	}
	return nil
}

// refuse settles the recipients for which the message cannot go to this
// server and returns the others.
func (c *conn) refuse(m *mail, todo []int, outcomes []outcome) []int {
	whole := m.refuse(c.target.Name, &c.ext, c.local() || c.verified() && c.ext.requireTLS)
	var rest []int
	for _, i := range todo {
		r := whole
		if r == nil {
			r = m.refuseRecipient(i, c.target.Name, &c.ext)
		}
		if r == nil {
			rest = append(rest, i)
			continue
		}
		outcomes[i] = outcome{Result: c.result(*r, false), settled: true}
	}
	return rest
}

// local says that the server is on the other end of a socket of this machine:
// there is no network on which anybody could listen.
func (c *conn) local() bool { return c.raw.RemoteAddr().Network() == "unix" }

// A transaction is one MAIL with its RCPTs and its content.
type transaction struct {
	c        *conn
	m        *mail
	todo     []int
	outcomes []outcome

	answered bool  // the server answered something other than 421
	sender   bool  // MAIL was accepted
	accepted []int // RCPT was accepted
	refused  []int // RCPT was refused
	excess   []int // of refused: too many for one transaction
	judged   int   // how many of accepted have their reply to the content (LMTP)
	data     reply
	taken    bool // the server has taken responsibility for the content
}

// run goes through the transaction. When it returns an error, the recipients
// that have not been refused, t.open, have no outcome yet.
func (t *transaction) run(ctx context.Context) error {
	c := t.c
	c.transactions++
	if err := t.reset(ctx); err != nil {
		return err
	}
	if c.chunks() {
		return t.chunked(ctx)
	}
	if err := c.exchange(ctx, append(t.commands(), t.dataCommand())); err != nil {
		return err
	}
	if t.data.code == 354 {
		return t.content(ctx)
	}
	if len(t.accepted) > 0 {
		t.give(t.accepted, c.said(t.data, stageData))
	}
	return nil
}

// reset ends the transaction before this one, if the server has not. Nothing is
// sent until it says that it has: else the recipients of the one would get the
// message of the other, or this message would be refused for being in the way.
// RFC 5321, section 4.1.1.5: "The server MUST send a "250 OK" reply"; one that
// does not is left, and a new connection tells what it is worth.
func (t *transaction) reset(ctx context.Context) error {
	c := t.c
	if !c.dirty {
		return nil
	}
	var answer reply
	if err := c.exchange(ctx, []command{{at: stageReset, line: "RSET", done: func(r reply) { answer = r }}}); err != nil {
		return err
	}
	if answer.class() != 2 {
		return c.lost(ctx, stageReset, protocolError("RSET was refused"))
	}
	t.answered, c.dirty = true, false
	return nil
}

// commands is everything from MAIL on, before DATA or BDAT. Commands that make
// no sense any more when their turn comes are left out; those that are in the
// same group with their cause are not, and the server refuses them.
func (t *transaction) commands() []command {
	cmds := make([]command, 0, len(t.todo)+2)
	cmds = append(cmds, command{at: stageMail, line: t.m.mailCommand(&t.c.ext, t.todo), done: t.mailReply})
	for _, i := range t.todo {
		cmds = append(cmds, command{
			at: stageRcpt, line: t.m.rcptCommand(&t.c.ext, i),
			skip: func() bool { return t.known() && !t.sender },
			done: func(r reply) { t.rcptReply(i, r) },
		})
	}
	return cmds
}

func (t *transaction) dataCommand() command {
	return command{
		at: stageData, line: "DATA",
		skip: func() bool { return t.known() && len(t.accepted) == 0 && t.complete() },
		done: func(r reply) { t.data = r },
	}
}

// known says that the reply to MAIL is there.
func (t *transaction) known() bool { return t.sender || len(t.refused) > 0 }

// complete says that all replies to RCPT are there.
func (t *transaction) complete() bool { return len(t.accepted)+len(t.refused) == len(t.todo) }

func (t *transaction) mailReply(r reply) {
	t.answered = t.answered || !r.closing()
	t.c.dirty = true
	if t.sender = r.class() == 2; !t.sender {
		t.give(t.todo, t.c.said(r, stageMail))
		t.refused = t.todo
	}
}

func (t *transaction) rcptReply(i int, r reply) {
	switch {
	case !t.sender: // 503, most likely: MAIL was refused
	case r.class() == 2:
		t.accepted = append(t.accepted, i)
	default:
		if t.tooMany(r) {
			r.code = 452 // a 552 is no reason to bounce
			t.excess = append(t.excess, i)
		}
		t.give([]int{i}, t.c.said(r, stageRcpt))
		t.refused = append(t.refused, i)
	}
}

// tooMany says that the server takes no more recipients in this transaction.
// RFC 5321, section 4.5.3.1.10: 452 is the code, and "clients SHOULD treat a
// 552 code in this case as a temporary, rather than permanent, failure". Both
// codes have other meanings too, which an enhanced status code tells.
func (t *transaction) tooMany(r reply) bool {
	if len(t.accepted) == 0 || r.code != 452 && r.code != 552 {
		return false
	}
	return r.detail == appliance.Detail{Subject: 5, Detail: 3} || r.detail == appliance.Detail{}
}

// open are the recipients whose fate depends on the content.
func (t *transaction) open() []int {
	var open []int
	judged := t.accepted[:t.judged]
	for _, i := range t.todo {
		if !slices.Contains(t.refused, i) && !slices.Contains(judged, i) {
			open = append(open, i)
		}
	}
	return open
}

func (t *transaction) give(to []int, o outcome) {
	for _, i := range to {
		t.outcomes[i] = o
	}
}

// content sends the content after a 354, and gives the server's answer to the
// recipients that it has accepted.
func (t *transaction) content(ctx context.Context) error {
	c := t.c
	if c.r.Buffered() > 0 {
		return c.lost(ctx, stageData, protocolError("an answer to content that has not been sent"))
	}
	d := &dotWriter{w: c.w}
	// RFC 2920, section 3.1: if none of the recipients was accepted and DATA
	// was, "the client SHOULD send a single dot".
	if len(t.accepted) > 0 {
		if _, err := t.m.msg.WriteTo(d); err != nil {
			return t.interrupted(ctx, err)
		}
	}
	if err := d.Close(); err != nil {
		return t.interrupted(ctx, err)
	}
	c.log.client(fmt.Sprintf("(%d octets of content)", d.n))
	c.log.client(".")
	if err := c.w.Flush(); err != nil {
		return c.inDoubt(ctx, err)
	}
	return t.verdict(ctx)
}

// verdict reads what the server says to the content, and gives it to the
// recipients that it has accepted.
func (t *transaction) verdict(ctx context.Context) error {
	c := t.c
	if c.pool.cfg.LMTP {
		return t.verdicts(ctx)
	}
	r, err := c.read(ctx, stageFinal)
	if err != nil {
		return c.inDoubt(ctx, err)
	}
	t.judge(t.accepted, r)
	return t.judgedAll()
}

// verdicts reads one reply for each recipient that was accepted, in their
// order (RFC 2033, section 4.2).
func (t *transaction) verdicts(ctx context.Context) error {
	c := t.c
	if len(t.accepted) == 0 {
		c.broken = true // no reply is due, and DATA should have been refused
	}
	for t.judged < len(t.accepted) {
		r, err := c.read(ctx, stageFinal)
		if err != nil {
			return c.inDoubt(ctx, err)
		}
		t.judge(t.accepted[t.judged:t.judged+1], r)
		t.judged++
	}
	return t.judgedAll()
}

// judge gives the reply to the content to recipients.
func (t *transaction) judge(to []int, r reply) {
	c := t.c
	taken := r.class() == 2
	t.taken = t.taken || taken
	o := c.said(r, stageFinal)
	o.Notifies = taken && c.ext.dsn
	o.Final = taken && c.pool.cfg.LMTP
	t.give(to, o)
}

// judgedAll ends the transaction when the server has said all that it had to.
func (t *transaction) judgedAll() error {
	t.c.dirty = false
	if t.c.r.Buffered() > 0 {
		t.c.broken = true // what was said twice cannot be trusted again
	}
	return nil
}

// interrupted ends a transaction in the middle of its content. No final dot
// was sent, so the server cannot have taken the message (RFC 5321, section
// 4.1.1.4); but it may have said why it stopped reading.
func (t *transaction) interrupted(ctx context.Context, err error) error {
	c := t.c
	if c.out.err == nil { // not the network: our own store
		return c.fail(unreadable(err))
	}
	if r, rerr := c.read(ctx, stageContent); rerr == nil && r.class() >= 4 {
		t.give(t.accepted, c.said(r, stageContent))
		c.broken = true
		return nil
	}
	return c.lost(ctx, stageContent, err)
}

// inDoubt is the failure between the final dot and its reply (RFC 1047).
func (c *conn) inDoubt(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		err = f.Result.Reply.Err
	}
	r := appliance.Replyf(451, 4, 2, "The connection to %s ended after the message was sent and before it was acknowledged: "+
		"ambiguous, it will be sent again", c.target.Name)
	f := c.lost(ctx, stageFinal, err)
	f.Result.Reply = *r.With(err)
	f.ambiguous = true
	return f
}

// said turns a reply of the server into an outcome. A reply that is no answer
// to the command is temporary and ends the connection.
func (c *conn) said(r reply, at stage) outcome {
	o := r.outcome()
	ok := o.Permanent() || o.Temporary() || o.Positive() && at == stageFinal
	if !ok {
		c.broken = true
		unexpected := appliance.Replyf(451, 5, 0, "%s broke the SMTP protocol at %s", c.target.Name, at).
			With(protocolError("unexpected reply %s", r))
		return outcome{Result: c.result(*unexpected, false)}
	}
	return outcome{Result: c.result(o, true), settled: !o.Temporary()}
}

func asOutcome(err error) outcome {
	f := asFailure(err)
	return outcome{Result: f.Result, settled: f.ambiguous}
}

// A command is one line of a pipelined group.
type command struct {
	at   stage
	line string
	skip func() bool // asked when the command would be sent; nil is never
	done func(r reply)
}

// exchange sends commands and hands each its reply: in groups if the server
// knows PIPELINING, one by one if not.
func (c *conn) exchange(ctx context.Context, cmds []command) error {
	size := 1
	if c.ext.pipelining {
		size = maxGroup
	}
	for group := range slices.Chunk(cmds, size) {
		sent := group[:0:0]
		for _, cmd := range group {
			if cmd.skip != nil && cmd.skip() {
				continue
			}
			if err := c.write(ctx, cmd.at, cmd.line, cmd.line); err != nil {
				return err
			}
			sent = append(sent, cmd)
		}
		if err := c.receive(ctx, sent); err != nil {
			return err
		}
	}
	return nil
}

// receive sends a group and reads its replies.
func (c *conn) receive(ctx context.Context, sent []command) error {
	if len(sent) == 0 {
		return nil
	}
	if err := c.flush(ctx, sent[0].at); err != nil {
		return err
	}
	for _, cmd := range sent {
		r, err := c.read(ctx, cmd.at)
		if err != nil {
			return err
		}
		cmd.done(r)
		if r.closing() {
			f := c.fail(c.sentAway(r, cmd.at))
			f.Result.Remote, f.Result.Reply = true, r.outcome()
			return f
		}
	}
	return nil
}
