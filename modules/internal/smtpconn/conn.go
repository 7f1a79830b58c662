package smtpconn

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/dane"
)

// A Target is one server to try and how. Connections are reused for equal
// targets: one that was made under a policy is never used under another.
type Target struct {
	Name       string         // for messages to people, and for its certificate
	Addr       netip.AddrPort // where it is
	TLS        TLSMode
	ServerName string   // the name in its certificate, if that is not Name
	Policy     Policy   // who demands TLS
	DANE       dane.Set // what its certificate must be, for TLSDANE
	// MaxMessages bounds the messages of one connection; 0 is Config.MaxMessages.
	MaxMessages int
	// Source is the address of ours to connect from, by Config.DialFrom; the
	// zero Addr is what Config.Dial chooses.
	Source netip.Addr
	Hello  string // the argument of EHLO; "" is Config.Hello
}

// A conn is one connection to a target. It is used by one goroutine at a time.
type conn struct {
	pool   *Pool
	target Target
	raw    net.Conn // TCP
	nc     net.Conn // raw, or TLS over it
	peer   string
	r      *bufio.Reader
	w      *bufio.Writer
	out    *timedWriter
	tls    *tls.ConnectionState // nil in plain text
	asked  bool                 // for our certificate
	heard  bool                 // a reply has come over TLS
	ext    extensions
	log    transcript

	transactions int  // begun on this connection
	dirty        bool // a transaction is open that RSET must end
	proven       bool // a message was taken by BDAT
	broken       bool // not to be used again
}

// dial opens a connection that is ready for MAIL. With opportunistic TLS a
// handshake that fails is followed by a new connection in plain text.
func (p *Pool) dial(ctx context.Context, t Target) (*conn, error) {
	c, err := p.open(ctx, t)
	if err == nil || t.TLS != TLSOpportunistic || !asFailure(err).handshake {
		return c, err
	}
	p.log.Info("TLS failed, going on in plain text", zap.String("host", t.Name), zap.Stringer("peer", t.Addr), zap.Error(err))
	plain := t
	plain.TLS = TLSNone
	if c, err = p.open(ctx, plain); err == nil {
		c.target = t // the pool knows it by the mode that was asked for
	}
	return c, err
}

func (p *Pool) open(ctx context.Context, t Target) (*conn, error) {
	dctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Connect)
	defer cancel()
	nc, err := p.connect(dctx, t)
	if err != nil {
		return nil, NewFailure(t.Name, unreachable(ctx, t.Name, err))
	}
	p.opened.Inc()
	c := &conn{pool: p, target: t, raw: nc, peer: nc.RemoteAddr().String()}
	c.noteSource()
	c.setConn(nc)
	release := c.until(ctx)
	defer release()
	if err := c.greet(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// connect opens the TCP connection, from the address that the target wants.
func (p *Pool) connect(ctx context.Context, t Target) (net.Conn, error) {
	if t.Source.IsValid() {
		return p.cfg.DialFrom(ctx, t.Source, "tcp", t.Addr.String())
	}
	return p.cfg.Dial(ctx, "tcp", t.Addr.String())
}

// setConn makes nc what the connection reads from and writes to.
func (c *conn) setConn(nc net.Conn) {
	c.nc = nc
	c.out = &timedWriter{nc: nc, timeout: c.pool.cfg.Timeouts.Block}
	c.r = bufio.NewReaderSize(nc, maxReplyLine)
	c.w = bufio.NewWriterSize(c.out, 16<<10)
}

// until closes the connection when ctx ends, which ends every wait for it.
func (c *conn) until(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() }) // TLS would say goodbye first
	return func() {
		if !stop() {
			c.broken = true
		}
	}
}

// greet takes a new connection to where MAIL may be sent.
func (c *conn) greet(ctx context.Context) error {
	if c.target.TLS == TLSImplicit {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	r, err := c.read(ctx, stageGreeting)
	if err != nil {
		return err
	}
	if r.code != 220 {
		// RFC 5321, section 3.1: 554 instead of 220 means "no SMTP service
		// here". It is about the server, not about the message, which is kept.
		return c.fail(appliance.Replyf(451, r.detail.Subject, r.detail.Detail, "%s greeted with: %s", c.target.Name, r))
	}
	if c.r.Buffered() > 0 {
		return c.lost(ctx, stageGreeting, protocolError("more than a greeting"))
	}
	for _, step := range []func(context.Context) error{c.hello, c.startTLS, c.authenticate} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hello says EHLO, or HELO to a server that does not know it (RFC 5321,
// section 3.2).
func (c *conn) hello(ctx context.Context) error {
	name := c.ownName()
	r, err := c.command(ctx, stageHello, c.pool.cfg.hello()+" "+name)
	if err != nil {
		return err
	}
	if r.class() == 2 {
		c.ext = parseExtensions(r.lines)
		return c.loop(r)
	}
	if r.class() == 5 && !c.broken && !c.pool.cfg.LMTP {
		if r, err = c.command(ctx, stageHello, "HELO "+name); err != nil {
			return err
		}
		if r.class() == 2 {
			return c.loop(r)
		}
	}
	return c.fail(c.sentAway(r, stageHello))
}

// ownName is what we call ourselves on this connection.
func (c *conn) ownName() string { return cmp.Or(c.target.Hello, c.pool.cfg.Hello) }

// loop fails if the server says that it is ourselves: over TLS, where that is a
// must.
func (c *conn) loop(r reply) error {
	name, _, _ := strings.Cut(r.lines[0], " ")
	if !c.pool.cfg.RefuseSelf || c.unprotected() || !strings.EqualFold(name, c.pool.cfg.Hello) && !strings.EqualFold(name, c.ownName()) {
		return nil
	}
	f := c.fail(appliance.Replyf(554, 4, 6, "Mail loop: %s (%s) is this server itself", c.target.Name, c.peer))
	f.Stop = true
	return f
}

// sentAway is a refusal before MAIL: what the server said, permanent if it
// said so.
func (c *conn) sentAway(r reply, at stage) *appliance.Reply {
	o := r.outcome()
	if o.Class() != 4 && o.Class() != 5 {
		return appliance.Replyf(451, 5, 0, "%s broke the SMTP protocol at %s", c.target.Name, at).
			With(protocolError("unexpected reply %s", r))
	}
	if c.unprotected() && o.Permanent() {
		o.Code = 451
	}
	return appliance.Replyf(o.Code, o.Detail.Subject, o.Detail.Detail, "%s answered %s with: %s", c.target.Name, at, r)
}

// unprotected says that there is no TLS yet, which there has to be: what is
// heard may be the word of somebody in between, who shall not make a bounce of
// what he cannot have.
func (c *conn) unprotected() bool { return c.tls == nil && c.target.TLS.mandatory() }

// command sends one command and reads its reply.
func (c *conn) command(ctx context.Context, at stage, line string) (reply, error) {
	return c.roundTrip(ctx, at, line, line)
}

// roundTrip is command with what the transcript shows for the line.
func (c *conn) roundTrip(ctx context.Context, at stage, line, shown string) (reply, error) {
	if err := c.write(ctx, at, line, shown); err != nil {
		return reply{}, err
	}
	if err := c.flush(ctx, at); err != nil {
		return reply{}, err
	}
	return c.read(ctx, at)
}

// write buffers one command. A line break in it would be a second command: it
// cannot come from a parsed address, and it does not pass here.
func (c *conn) write(ctx context.Context, at stage, line, shown string) error {
	if strings.ContainsAny(line, "\r\n\x00") {
		return c.fail(appliance.NewReply(451, 3, 0, "The envelope cannot be sent by SMTP").
			With(fmt.Errorf("line break or NUL in a %s command", at)))
	}
	c.log.client(shown)
	_, err := c.w.WriteString(line)
	if err == nil {
		_, err = c.w.WriteString("\r\n")
	}
	if err != nil {
		return c.lost(ctx, at, err)
	}
	return nil
}

// flush sends what is buffered. Before a command, nothing of the server can
// be due: what is there is 421, or breaks the protocol.
func (c *conn) flush(ctx context.Context, at stage) error {
	if c.r.Buffered() > 0 {
		r, err := c.read(ctx, at)
		if err != nil {
			return err
		}
		if r.closing() {
			return c.fail(c.sentAway(r, at))
		}
		return c.lost(ctx, at, protocolError("unsolicited reply %s", r))
	}
	if err := c.w.Flush(); err != nil {
		return c.lost(ctx, at, err)
	}
	return nil
}

// read reads one reply.
func (c *conn) read(ctx context.Context, at stage) (reply, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.pool.cfg.Timeouts.of(at)))
	r, err := readReply(c.r)
	if err != nil {
		return r, c.lost(ctx, at, err)
	}
	c.log.server(r.line())
	c.heard = c.tls != nil
	if r.closing() {
		c.broken = true
	}
	return r, nil
}

// fail ends the connection because of r.
func (c *conn) fail(r *appliance.Reply) *Failure {
	c.broken = true
	return &Failure{Result: c.result(*r, false), Transcript: c.log.String()}
}

// lost ends the connection because of an error of it.
func (c *conn) lost(ctx context.Context, at stage, err error) *Failure {
	if c.handshakeUndone(ctx, err) {
		return c.handshakeFailed(ctx, err)
	}
	c.log.note(printable([]byte(err.Error())))
	return c.fail(lost(ctx, c.target.Name, at, err))
}

// result is an outcome with where it comes from.
func (c *conn) result(r appliance.Reply, remote bool) appliance.Result {
	return appliance.Result{Reply: r, Remote: remote, Host: c.target.Name, Peer: c.peer, TLS: c.describeTLS()}
}

// quit ends the connection politely. What the server answers changes nothing
// any more: a message that it took stays taken.
func (c *conn) quit(ctx context.Context) {
	defer c.close()
	if c.broken {
		return
	}
	release := c.until(ctx)
	defer release()
	_, _ = c.command(ctx, stageQuit, "QUIT")
}

func (c *conn) close() {
	c.broken = true
	_ = c.nc.Close()
}

// A timedWriter gives every write its own time, and remembers an error:
// RFC 5321, section 4.5.3.2.5, is about each block.
type timedWriter struct {
	nc      net.Conn
	timeout time.Duration
	err     error
}

// Write implements io.Writer.
func (w *timedWriter) Write(p []byte) (int, error) {
	_ = w.nc.SetWriteDeadline(time.Now().Add(w.timeout))
	n, err := w.nc.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
