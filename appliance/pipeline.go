package appliance

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A Pipeline is the road of a message from its listeners into the queue, and
// the only place where the order of handling lives: the order of its lists is
// the order of execution. It is a block of the file and not a module.
//
//	pipeline "outgoing" {
//	  listeners = [listener.public]
//	  auth      = [auth.apps]
//	  checks    = [check.own]
//	  signers   = [signer.example]
//	  relay     = relay.internet
//	}
//
// Its methods Connect, Authenticate, Mail, Rcpt and Data are synchronous and
// are the moments at which SMTP lets a server refuse: what they return is
// what the client is told, by way of [ReplyTo]. Back pressure is the caller's
// goroutine waiting. A module that panics costs one reply (451), not the
// process, and so does one that does not return within limits.check_timeout.
type Pipeline struct {
	// The listeners whose mail comes this way. A listener has one pipeline.
	Listeners []Ref[Listener] `hcl:"listeners,optional"`
	// Who can log in, asked in turn.
	Auth []Ref[Authenticator] `hcl:"auth,optional"`
	// What may object, in turn.
	Checks []Ref[Check] `hcl:"checks,optional"`
	// What changes envelope and header, in turn.
	Rewrites []Ref[Modifier] `hcl:"rewrites,optional"`
	// Who signs, in turn.
	Signers []Ref[Modifier] `hcl:"signers,optional"`
	// What to do with a message that none of the signers is responsible for:
	// "defer" answers 451, "reject" 550, "allow" lets it leave unsigned.
	// Default "defer".
	Unsigned string `hcl:"unsigned,optional"`
	// What to do with a message of a user that DMARC would fail: no signature,
	// nor SPF for its envelope sender, can vouch for the domain of its From field
	// or one of the same organization. "warn" writes a line to the log, "reject"
	// answers 550, "off" does not look. What the DNS does not tell is a warning
	// and no reason to refuse. Default "off".
	Alignment string `hcl:"alignment,optional"`
	// Where mail goes when no route matches.
	Relay Ref[Relay] `hcl:"relay"`
	// Exceptions, the first that matches decides.
	Routes []Route `hcl:"route,block"`

	addr    Addr
	house   House
	use     usage
	trialOf *Pipeline // of a trial: whose modules it calls; else nil

	overdue overdue // calls that nobody waits for any more
}

// A House is what a pipeline needs of the appliance around it.
type House struct {
	Hostname string
	Limits   Limits
	Memory   *Memory // nil lends without limit
	Spool    Spool
	Events   EventSink
	Logins   LoginGuard             // nil bans nobody
	Timeouts *prometheus.CounterVec // of modules, by their address; nil counts none
	Log      *zap.Logger
	Now      func() time.Time // nil is time.Now
	Aligner  Aligner          // nil goes by the names of domains alone
	// Outward are the addresses from which mail leaves as the world sees them,
	// if the configuration says so; nil, or none, is that it does not.
	Outward func() []netip.Addr
}

// A Spool takes responsibility for messages. A Store is one, and so is the
// queue engine, which also sees to it that they are delivered.
type Spool interface {
	Draft(ctx context.Context) (Draft, error)
	Commit(ctx context.Context, msgs ...Accepted) error
}

// Open makes a decoded pipeline ready for use. The Appliance calls it once;
// tests do the same.
func (p *Pipeline) Open(addr Addr, h House) {
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.Log == nil {
		h.Log = zap.NewNop()
	}
	if h.Events == nil {
		h.Events = EventFunc(func(Event) {})
	}
	p.addr, p.house = addr, h
}

// Addr is the address of the pipeline, "pipeline.outgoing".
func (p *Pipeline) Addr() Addr { return p.addr }

// Limits are the limits that listeners apply and announce.
func (p *Pipeline) Limits() Limits { return p.house.Limits }

// Hostname is what a server of this pipeline calls itself.
func (p *Pipeline) Hostname() string { return p.house.Hostname }

// Replies of the pipeline, and of those who drive it for the same reasons.
var (
	ErrBadCredentials = NewReply(535, 7, 8, "Authentication credentials invalid")
	ErrAuthFailing    = NewReply(454, 7, 0, "Temporary authentication failure, please try again later")
	ErrRelayDenied    = NewReply(550, 7, 1, "Relaying denied; authenticate first, or send to a domain that is served here")
	ErrAuthRequired   = NewReply(530, 7, 0, "Authentication required")
	ErrTooManyRcpts   = NewReply(452, 5, 3, "Too many recipients; send the others in another transaction")
	ErrTooLarge       = NewReply(552, 3, 4, "Message is larger than the limit announced with SIZE")
	ErrLoop           = NewReply(554, 4, 6, "Too many Received fields: this message is in a mail loop")
)

// Connect turns away who is banned, and asks the AtConnect checks.
func (p *Pipeline) Connect(ctx context.Context, s *Session) error {
	tx := &Transaction{Session: s}
	if r := p.welcome(s); r != nil {
		return p.refused(tx, Mailbox{}, r)
	}
	if err := p.inspect(ctx, AtConnect, tx); err != nil {
		return p.refused(tx, Mailbox{}, err)
	}
	s.auth = tx.Auth
	return nil
}

// Mail begins a transaction and asks the AtSender checks.
func (p *Pipeline) Mail(ctx context.Context, s *Session, env Envelope) (*Transaction, error) {
	now := p.house.Now()
	env.From, env.Recipients = p.qualify(env.From), nil
	tx := &Transaction{
		ID: NewQueueID(now), Session: s, Received: now, Envelope: env, Auth: slices.Clone(s.auth),
		loan: p.house.Memory.Lend(transactionFree),
	}
	if env.Size > int64(p.house.Limits.MaxMessageSize) {
		return nil, p.refused(tx, Mailbox{}, ErrTooLarge)
	}
	if err := p.room(ctx, env.Size); err != nil {
		return nil, p.refused(tx, Mailbox{}, err)
	}
	if err := p.inspect(ctx, AtSender, tx); err != nil {
		return nil, p.refused(tx, Mailbox{}, err)
	}
	return tx, nil
}

// room says whether there is room for a message. RFC 1870, section 6.1: a server
// that cannot take one of the announced size now answers MAIL with 452.
func (p *Pipeline) room(ctx context.Context, size int64) error {
	if r, ok := p.house.Spool.(RoomReporter); ok {
		return r.Room(ctx, size)
	}
	return nil
}

// qualify gives "postmaster" without a domain, which only we understand, our
// own: RFC 5321, section 4.5.1.
func (p *Pipeline) qualify(m Mailbox) Mailbox {
	if m.Domain == "" && !m.IsNull() {
		m.Domain = p.house.Hostname
	}
	return m
}

// Rcpt applies the relay rule and the routes, asks the AtRecipient checks and
// adds the recipient. A recipient that the transaction has already is
// accepted and not added again. For many there may be no memory: ErrBusy.
func (p *Pipeline) Rcpt(ctx context.Context, tx *Transaction, to Recipient) error {
	to.Mailbox = p.qualify(to.Mailbox)
	rs := tx.Envelope.Recipients
	if slices.ContainsFunc(rs, func(r Recipient) bool { return r.Mailbox == to.Mailbox }) {
		return nil
	}
	if len(rs) >= p.house.Limits.MaxRecipients {
		return p.refused(tx, to.Mailbox, ErrTooManyRcpts)
	}
	if err := p.admit(ctx, tx, to); err != nil {
		tx.Envelope.Recipients = tx.Envelope.Recipients[:len(rs)]
		return p.refused(tx, to.Mailbox, err)
	}
	return nil
}

func (p *Pipeline) admit(ctx context.Context, tx *Transaction, to Recipient) error {
	if err := p.relayRule(tx.Session, to.Mailbox); err != nil {
		return err
	}
	d, err := p.decide(p.facts(tx, to.Mailbox))
	if err != nil {
		return err
	}
	if d.Reject != nil {
		return d.Reject
	}
	if err := tx.loan.Take(recipientCost + len(to.Mailbox.Local) + len(to.Mailbox.Domain) + len(to.Original)); err != nil {
		return err
	}
	tx.Envelope.Recipients = append(tx.Envelope.Recipients, to)
	return p.inspect(ctx, AtRecipient, tx)
}

// relayRule is what keeps the appliance from being an open relay: without
// AUTH and outside the trusted networks, only recipients that a rewrite
// claims are accepted. No check can loosen it.
func (p *Pipeline) relayRule(s *Session, to Mailbox) error {
	if s.MayRelay() {
		return nil
	}
	for _, r := range p.Rewrites {
		claimed := false
		err := p.guard(r.Addr(), func() error {
			c, ok := r.To().(Claimer)
			claimed = ok && c.Claims(to)
			return nil
		})
		if claimed || err != nil {
			return err
		}
	}
	return ErrRelayDenied
}

func (p *Pipeline) facts(tx *Transaction, to Mailbox) *Facts {
	f := &Facts{
		Sender: tx.Envelope.From, Recipient: to, Attempt: 1, Size: tx.Envelope.Size,
		Client: clientIP(tx.Session), User: tx.Session.User(),
	}
	if tx.Message.Body != nil {
		f.Header, f.Size = &tx.Message.Header, tx.Message.Size()
	}
	return f
}

func clientIP(s *Session) string {
	if ip := s.Client.Addr(); ip.IsValid() {
		return ip.Unmap().String()
	}
	return ""
}

// inspect asks the checks of one stage in order. The first objection ends it.
func (p *Pipeline) inspect(ctx context.Context, at Stage, tx *Transaction) error {
	for _, c := range p.Checks {
		v, err := p.ask(ctx, c, at, tx)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Addr(), err)
		}
		if v.Refuse != nil {
			return v.Refuse
		}
		tx.Auth = append(tx.Auth, v.Auth...)
		tx.Hold = cmp.Or(tx.Hold, v.Hold)
	}
	return nil
}

// guard turns a panic of a module into an error, which defers the message.
func (p *Pipeline) guard(module Addr, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.house.Log.Error("a module panicked; the message is deferred",
				zap.Stringer("module", module), zap.String("panic", fmt.Sprint(r)), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("%s panicked: %v", module, r)
		}
	}()
	return call()
}

// refused tells the log why a command of a transaction failed and returns the
// reply.
func (p *Pipeline) refused(tx *Transaction, to Mailbox, err error) error {
	e := p.event(EventRefused, tx)
	e.To = to
	e.Reply = ReplyTo(err)
	p.emit(e)
	return e.Reply
}

func (p *Pipeline) event(kind EventKind, tx *Transaction) Event {
	e := Event{
		Kind: kind, ID: tx.ID, Session: tx.Session.ID, Listener: tx.Session.Listener.Name,
		User: tx.Session.User(), Client: clientIP(tx.Session), From: tx.Envelope.From, Recipients: len(tx.Envelope.Recipients),
	}
	if tx.Message.Body != nil {
		e.Size = tx.Message.Size()
	}
	return e
}

func (p *Pipeline) emit(e Event) {
	e.Time, e.Pipeline = p.house.Now(), p.addr.Name
	p.house.Events.Emit(e)
}
