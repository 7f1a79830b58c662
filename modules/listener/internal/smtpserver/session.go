package smtpserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A session serves one connection, on one goroutine.
type session struct {
	srv  *Server
	wire *wire
	log  *zap.Logger
	info *appliance.Session
	tx   *transaction // nil outside of one

	memory appliance.Loan // what it costs; the crowd's
	user   string         // whose it is counted as; the crowd's

	greeted bool   // EHLO or HELO was answered 250
	barred  bool   // refused in the greeting: only QUIT is left
	pushed  []byte // a command line that the content reader read too far
	errors  int    // since the last accepted message
	junk    int    // commands that bring no message forward, likewise
	taken   int    // messages accepted

	closing bool // the last reply has been written
	forced  bool // by us, and the client may have more to say
}

// A transaction holds on to the pipeline it began with.
type transaction struct {
	*appliance.Transaction
	pipeline *appliance.Pipeline
	release  func()
}

func newSession(srv *Server, c net.Conn) *session {
	info := &appliance.Session{
		ID:         appliance.NewSessionID(),
		Listener:   srv.ctx.Addr,
		Client:     addrPort(c.RemoteAddr()),
		Local:      addrPort(c.LocalAddr()),
		Hostname:   srv.hostname,
		Submission: srv.role.Submission,
	}
	info.Trusted = srv.trusts(info.Client.Addr())
	return &session{
		srv:  srv,
		wire: newWire(c, srv.set.IdleTimeout),
		info: info,
		log:  srv.log.WithLazy(zap.String("session", info.ID), zap.Stringer("client", c.RemoteAddr())),
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// drain and abort are called by Stop, on its goroutine.
func (s *session) drain() { s.wire.drain() }
func (s *session) abort() { _ = s.wire.raw.Close() }

// serve runs the session to its end.
func (s *session) serve(ctx context.Context) {
	began := time.Now()
	s.log.Debug("session began", zap.String("trusted", s.info.Trusted))
	defer func() {
		s.endTransaction()
		s.wire.close(s.forced && !s.wire.stopping())
		s.log.Debug("session ended", zap.Int("messages", s.taken), zap.Int("errors", s.errors),
			zap.Duration("took", time.Since(began)))
	}()
	defer s.rescue()
	if s.srv.role.ImplicitTLS && !s.startTLS(ctx) {
		return
	}
	s.greet(ctx)
	for !s.closing {
		line, err := s.next()
		if err != nil {
			s.unreadable(err)
			continue
		}
		s.dispatch(ctx, line)
	}
}

// rescue turns a panic into the end of this session alone.
func (s *session) rescue() {
	if r := recover(); r != nil {
		s.log.Error("panic in a session; the client is told to try again",
			zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
		s.quit(errInternal)
	}
}

func (s *session) next() ([]byte, error) {
	if line := s.pushed; line != nil {
		s.pushed = nil
		return line, nil
	}
	return s.wire.readLine()
}

// unreadable answers what was no command line.
func (s *session) unreadable(err error) {
	switch {
	case errors.Is(err, errBareLF):
		s.refuse(errLineEnd)
	case errors.Is(err, errBareChunk):
		s.expel(errBadChunk)
	case errors.Is(err, errLineTooLong):
		s.expel(errLong)
	case errors.Is(err, errClientHello):
		s.quit(errNotSMTP)
	case errors.Is(err, errIdle):
		s.expel(errTimeout)
	case errors.Is(err, errDraining):
		s.quit(errStopping)
	default:
		if !errors.Is(err, io.EOF) {
			s.log.Debug("connection lost", zap.Error(err))
		}
		s.closing = true
	}
}

// A command is one row of the table of commands.
type command struct {
	run func(*session, context.Context, string)
	// Only the last command of a pipelined group may be this one (RFC 2920,
	// section 3.1).
	last bool
	// Brings no message forward; so many are enough.
	junk bool
	// Looks itself for octets that are not printable ASCII.
	octets bool
	// Carried out even for a client that was refused in the greeting.
	always bool
	// Length of the line in octets, 0 is 512 (RFC 5321, section 4.5.3.1.4).
	max int
}

// Longer command lines than 512 octets: those that extensions lengthen.
const (
	maxLine         = 512
	maxEnvelopeLine = 2048  // DSN (RFC 3461, section 5), SMTPUTF8, AUTH=
	maxAuthLine     = 12290 // RFC 4954, section 4
)

var commands = map[string]command{
	"EHLO":     {run: (*session).ehlo, last: true, junk: true},
	"HELO":     {run: (*session).helo, last: true, junk: true},
	"STARTTLS": {run: (*session).starttls, last: true},
	"AUTH":     {run: (*session).auth, last: true, max: maxAuthLine},
	"MAIL":     {run: (*session).mail, octets: true, max: maxEnvelopeLine},
	"RCPT":     {run: (*session).rcpt, octets: true, max: maxEnvelopeLine},
	"DATA":     {run: (*session).data, last: true},
	"BDAT":     {run: (*session).bdat, octets: true, always: true}, // a chunk follows in any case
	"RSET":     {run: (*session).rset, junk: true},
	"NOOP":     {run: (*session).noop, junk: true},
	"VRFY":     {run: (*session).vrfy, junk: true},
	"EXPN":     {run: (*session).expn, junk: true},
	"HELP":     {run: (*session).help, junk: true},
	"QUIT":     {run: (*session).quitCommand, always: true},
}

// dispatch carries out one command line.
func (s *session) dispatch(ctx context.Context, line []byte) {
	verb, arg := splitCommand(line)
	cmd, known := commands[verb]
	switch {
	case foreign(verb):
		s.quit(errNotSMTP) // C4: not one octet more of it
	case len(line)+2 > cmp.Or(cmd.max, maxLine):
		s.expel(errLong)
	case s.barred && !cmd.always:
		s.refuse(errSequence)
	case !plainText(line) && !cmd.octets:
		s.refuse(errCommand)
	case !known:
		s.refuse(errUnknown)
	case cmd.last && s.wire.ahead():
		s.expel(errTooEarly)
	case cmd.junk && !s.tolerate():
		s.banish(errJunk)
	default:
		cmd.run(s, ctx, arg)
	}
}

func splitCommand(line []byte) (verb, arg string) {
	v, a, _ := bytes.Cut(line, []byte(" "))
	return strings.ToUpper(string(v)), strings.Trim(string(a), " ")
}

// foreign recognises the first word of HTTP, with which a browser can be made
// to talk to a mail server on behalf of somebody else.
func foreign(verb string) bool {
	switch verb {
	case "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PRI":
		return true
	}
	return strings.HasPrefix(verb, "HOST:") || strings.HasPrefix(verb, "USER-AGENT:")
}

// plainText says whether a line is printable ASCII.
func plainText(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// maxJunk is how many commands in a row may bring no message forward.
const maxJunk = 50

// tolerate counts such a command and says whether it may still be answered.
func (s *session) tolerate() bool {
	s.junk++
	return s.junk <= maxJunk
}

// say writes a positive reply.
func (s *session) say(code, subject, detail int, text string) {
	writeReply(s.wire.w, appliance.NewReply(code, subject, detail, text))
}

// refuse writes a negative reply. Permanent ones count as errors: they delay
// this reply and later end the session.
func (s *session) refuse(err error) { s.blame(err, 1) }

func (s *session) blame(err error, weight int) {
	r := appliance.ReplyTo(err)
	if r.Code == 421 {
		s.expel(r) // RFC 5321, section 3.8: 421 closes the channel
		return
	}
	if r.Permanent() {
		s.errors += weight
	}
	limit := s.srv.set.MaxErrors
	if s.errors > limit {
		s.banish(errErrors)
		return
	}
	if over := s.errors - limit/2; r.Permanent() && over > 0 {
		s.srv.pause(time.Duration(min(over, maxDelay)) * s.srv.second)
	}
	writeReply(s.wire.w, r)
}

// maxDelay is the longest delay of a reply in seconds: shorter than what
// clients wait (RFC 5321, section 4.5.3.2).
const maxDelay = 10

// expel writes the last reply of a client that has to go.
func (s *session) expel(r *appliance.Reply) {
	s.srv.metrics.disconnected.Inc()
	s.log.Debug("client disconnected", zap.Stringer("reply", r))
	s.forced = true
	s.quit(r)
}

// banish expels a client for what it did, which is held against its network.
func (s *session) banish(r *appliance.Reply) {
	s.srv.with(func(p *appliance.Pipeline) { p.Offended(s.info) })
	s.expel(r)
}

// quit writes the last reply.
func (s *session) quit(r *appliance.Reply) {
	writeReply(s.wire.w, r)
	s.closing = true
}

func (s *session) endTransaction() {
	if s.tx != nil {
		s.tx.End()
		s.tx.release()
		s.tx = nil
	}
}
