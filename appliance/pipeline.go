package appliance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

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
// process.
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
	// Where mail goes when no route matches.
	Relay Ref[Relay] `hcl:"relay"`
	// Exceptions, the first that matches decides.
	Routes []Route `hcl:"route,block"`

	addr  Addr
	house House
	use   usage
}

// A House is what a pipeline needs of the appliance around it.
type House struct {
	Hostname string
	Limits   Limits
	Spool    Spool
	Events   EventSink
	Log      *zap.Logger
	Now      func() time.Time // nil is time.Now
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

// CanAuthenticate says whether anybody could log in.
func (p *Pipeline) CanAuthenticate() bool { return len(p.Auth) > 0 }

// Replies of the pipeline, for tests and documentation.
var (
	ErrBadCredentials = NewReply(535, 7, 8, "Authentication credentials invalid")
	ErrAuthFailing    = NewReply(454, 7, 0, "Temporary authentication failure, please try again later")
	ErrRelayDenied    = NewReply(550, 7, 1, "Relaying denied; authenticate first, or send to a domain that is served here")
	ErrAuthRequired   = NewReply(530, 7, 0, "Authentication required")
	ErrTooManyRcpts   = NewReply(452, 5, 3, "Too many recipients; send the others in another transaction")
	ErrTooLarge       = NewReply(552, 3, 4, "Message is larger than the limit announced with SIZE")
	ErrLoop           = NewReply(554, 4, 6, "Too many Received fields: this message is in a mail loop")
)

// Connect asks the AtConnect checks.
func (p *Pipeline) Connect(ctx context.Context, s *Session) error {
	return p.inspect(ctx, AtConnect, &Transaction{Session: s})
}

// Authenticate asks the authenticators in turn. The error is
// ErrBadCredentials if each says that the credentials are wrong, and
// ErrAuthFailing if one could not find out (RFC 4954, section 6).
func (p *Pipeline) Authenticate(ctx context.Context, s *Session, user string, password Secret) (Identity, error) {
	reply := ErrBadCredentials
	for _, a := range p.Auth {
		var id Identity
		err := p.guard(a.Addr(), func() (err error) {
			id, err = a.To().Authenticate(ctx, s, user, password)
			return err
		})
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrCredentials) {
			reply = ErrAuthFailing.With(fmt.Errorf("%s: %w", a.Addr(), err))
		}
	}
	p.emit(Event{
		Kind: EventAuthFailed, Session: s.ID, Listener: s.Listener.Name, User: user,
		Client: clientIP(s), Reply: reply,
	})
	return Identity{}, reply
}

// Mail begins a transaction and asks the AtSender checks.
func (p *Pipeline) Mail(ctx context.Context, s *Session, env Envelope) (*Transaction, error) {
	now := p.house.Now()
	tx := &Transaction{ID: NewQueueID(now), Session: s, Received: now, Envelope: env}
	tx.Envelope.Recipients = nil
	if env.Size > int64(p.house.Limits.MaxMessageSize) {
		return nil, p.refused(tx, Mailbox{}, ErrTooLarge)
	}
	if err := p.inspect(ctx, AtSender, tx); err != nil {
		return nil, p.refused(tx, Mailbox{}, err)
	}
	return tx, nil
}

// Rcpt applies the relay rule and the routes, asks the AtRecipient checks and
// adds the recipient. A recipient that the transaction has already is
// accepted and not added again.
func (p *Pipeline) Rcpt(ctx context.Context, tx *Transaction, to Recipient) error {
	if to.Mailbox.Domain == "" {
		// RFC 5321, section 4.5.1: "postmaster" without a domain is always accepted.
		to.Mailbox.Domain = p.house.Hostname
	}
	rs := tx.Envelope.Recipients
	if slices.ContainsFunc(rs, func(r Recipient) bool { return r.Mailbox == to.Mailbox }) {
		return nil
	}
	if len(rs) >= p.house.Limits.MaxRecipients {
		return p.refused(tx, to.Mailbox, ErrTooManyRcpts)
	}
	if err := p.admit(ctx, tx, to); err != nil {
		tx.Envelope.Recipients = rs
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
		if c, ok := r.To().(Claimer); ok && c.Claims(to) {
			return nil
		}
	}
	return ErrRelayDenied
}

// Data takes the content, which r gives without dot-stuffing and with CRLF
// line ends, and makes the message durable: nil means that it survives a
// power cut and will be delivered or reported (RFC 5321, section 6.1). Data
// may leave r unread when it returns an error; the listener reads the rest.
func (p *Pipeline) Data(ctx context.Context, tx *Transaction, r io.Reader) (QueueID, error) {
	draft, err := p.house.Spool.Draft(ctx)
	if err != nil {
		return "", p.refused(tx, Mailbox{}, err)
	}
	defer draft.Abort() //nolint:errcheck // harmless after Commit; before it, the reply says more
	for _, step := range []func() error{
		func() error { return p.receive(tx, r, draft) },
		func() error { return p.inspect(ctx, AtContent, tx) },
		func() error { return p.prepare(tx) },
		func() error { return p.modify(ctx, tx, p.Rewrites) },
		func() error { return p.sign(ctx, tx) },
		func() error { return p.commit(ctx, tx, draft) },
	} {
		if err := step(); err != nil {
			return "", p.refused(tx, Mailbox{}, err)
		}
	}
	return tx.ID, nil
}

// receive reads the header into memory and the body into the draft.
func (p *Pipeline) receive(tx *Transaction, r io.Reader, draft Draft) error {
	limits := p.house.Limits
	limited := &io.LimitedReader{R: r, N: int64(limits.MaxMessageSize) + 1}
	br := bufio.NewReaderSize(limited, 4096)
	var err error
	if tx.Message.Header, err = ReadHeader(br, int(limits.MaxHeader)); err != nil {
		return err
	}
	if tx.Message.Header.Count("Received") >= limits.MaxHops {
		return ErrLoop
	}
	// RFC 5322, section 2.1: an empty line separates header and body.
	if first, _ := br.Peek(2); len(first) > 0 && string(first) != "\r\n" {
		if _, err := io.WriteString(draft, "\r\n"); err != nil {
			return err
		}
	}
	if _, err := br.WriteTo(draft); err != nil {
		return err
	}
	if limited.N == 0 {
		return ErrTooLarge
	}
	tx.Message.ID = tx.ID
	tx.Message.Body, err = draft.Body()
	return err
}

// prepare does what a server does to each message before the rewrites.
func (p *Pipeline) prepare(tx *Transaction) error {
	h := &tx.Message.Header
	// RFC 8601, section 5: results that claim to be ours are not, and are removed.
	h.Remove(func(f Field) bool {
		return strings.EqualFold(f.Name, "Authentication-Results") && claimsServID(f.Value(), p.house.Hostname)
	})
	if tx.Session.Submission {
		if err := completeSubmission(tx, p.house.Hostname); err != nil {
			return err
		}
	}
	if len(tx.Auth) > 0 {
		h.Prepend(authenticationResults(p.house.Hostname, tx.Auth))
	}
	h.Prepend(received(tx, p.house.Hostname))
	return nil
}

func (p *Pipeline) modify(ctx context.Context, tx *Transaction, list []Ref[Modifier]) error {
	for _, m := range list {
		err := p.guard(m.Addr(), func() error { return m.To().Modify(ctx, tx) })
		if err != nil {
			return fmt.Errorf("%s: %w", m.Addr(), err)
		}
	}
	return nil
}

// The values of Pipeline.Unsigned.
const (
	UnsignedDefer  = "defer"
	UnsignedReject = "reject"
	UnsignedAllow  = "allow"
)

// sign runs the signers. Nothing that a pipeline with signers sends is sent
// unsigned in silence.
func (p *Pipeline) sign(ctx context.Context, tx *Transaction) error {
	if err := p.modify(ctx, tx, p.Signers); err != nil {
		return err
	}
	if len(p.Signers) == 0 || len(tx.SignedBy) > 0 || p.Unsigned == UnsignedAllow {
		return nil
	}
	text := "No signing key for the domain of the From field; use a From address of a domain that this server signs for"
	if p.Unsigned == UnsignedReject {
		return NewReply(550, 7, 20, text)
	}
	// RFC 7372, section 3.1: X.7.20 is "no passing DKIM signature found".
	return NewReply(451, 7, 20, text)
}

// commit groups the recipients by destination and makes the message durable.
func (p *Pipeline) commit(ctx context.Context, tx *Transaction, draft Draft) error {
	deliveries, err := p.deliveries(tx)
	if err != nil {
		return err
	}
	err = p.house.Spool.Commit(ctx, Accepted{
		ID:         tx.ID,
		Received:   tx.Received,
		Origin:     p.origin(tx),
		Envelope:   tx.Envelope,
		Header:     tx.Message.Header,
		Draft:      draft,
		Deliveries: deliveries,
	})
	if err != nil {
		return err
	}
	e := p.event(EventAccepted, tx)
	e.SignedBy = tx.SignedBy
	e.Reply = Replyf(250, 0, 0, "queued as %s", tx.ID)
	p.emit(e)
	return nil
}

// deliveries decides each recipient's route anew, now that the content is
// known. Refused recipients of a message that others get are queued to be
// bounced: SMTP has no reply for one recipient after the content.
func (p *Pipeline) deliveries(tx *Transaction) ([]Delivery, error) {
	var all []Delivery
	var refused *Reply
	left := 0
	for _, to := range tx.Envelope.Recipients {
		d, err := p.decide(p.facts(tx, to.Mailbox))
		if err != nil {
			return nil, err
		}
		if d.Reject != nil {
			refused = d.Reject
		} else {
			left++
		}
		i := slices.IndexFunc(all, func(x Delivery) bool { return x.Destination == d.Destination })
		if i < 0 {
			i = len(all)
			all = append(all, Delivery{Destination: d.Destination, Due: tx.Received})
		}
		all[i].Recipients = append(all[i].Recipients, RecipientState{Recipient: to})
	}
	switch {
	case left == 0 && refused != nil:
		return nil, refused
	case left == 0:
		return nil, NewReply(554, 5, 1, "No recipients")
	}
	return all, nil
}

// Report makes a message of our own ready for the queue: a DSN, with a null
// reverse-path. It goes through the signers like any other message; if none
// of them is responsible for its From domain it leaves unsigned, since there
// is nobody to refuse it to.
func (p *Pipeline) Report(ctx context.Context, env Envelope, h Header, body []byte) (Accepted, error) {
	now := p.house.Now()
	draft, err := p.house.Spool.Draft(ctx)
	if err != nil {
		return Accepted{}, err
	}
	tx := &Transaction{ID: NewQueueID(now), Session: &Session{}, Received: now, Envelope: env}
	tx.Message = Message{ID: tx.ID, Header: h.Clone(), Body: BytesBody(body)}
	err = p.modify(ctx, tx, p.Signers)
	if err == nil {
		_, err = draft.Write(body)
	}
	var deliveries []Delivery
	if err == nil {
		deliveries, err = p.deliveries(tx)
	}
	if err != nil {
		return Accepted{}, errors.Join(err, draft.Abort())
	}
	return Accepted{
		ID: tx.ID, Received: now, Origin: p.origin(tx), Envelope: env,
		Header: tx.Message.Header, Draft: draft, Deliveries: deliveries,
	}, nil
}

func (p *Pipeline) origin(tx *Transaction) Origin {
	return Origin{
		Pipeline: p.addr.Name,
		Listener: tx.Session.Listener.Name,
		Session:  tx.Session.ID,
		User:     tx.Session.User(),
		Client:   clientIP(tx.Session),
		SignedBy: tx.SignedBy,
	}
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
		if c.To().Stages()&at == 0 {
			continue
		}
		var v Verdict
		err := p.guard(c.Addr(), func() (err error) {
			v, err = c.To().Inspect(ctx, at, tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.Addr(), err)
		}
		tx.Auth = append(tx.Auth, v.Auth...)
		if v.Refuse != nil {
			return v.Refuse
		}
	}
	return nil
}

// guard turns a panic of a module into an error, which defers the message.
func (p *Pipeline) guard(module Addr, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.house.Log.Error("a module panicked; the message is deferred",
				zap.Stringer("module", module), zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
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
		Kind: kind, ID: tx.ID, Session: tx.Session.ID, Pipeline: p.addr.Name,
		Listener: tx.Session.Listener.Name, User: tx.Session.User(), Client: clientIP(tx.Session),
		From: tx.Envelope.From, Recipients: len(tx.Envelope.Recipients),
	}
	if tx.Message.Body != nil {
		e.Size = tx.Message.Size()
	}
	return e
}

func (p *Pipeline) emit(e Event) {
	e.Time = p.house.Now()
	if e.Pipeline == "" {
		e.Pipeline = p.addr.Name
	}
	p.house.Events.Emit(e)
}

// Validate implements [Validator]: it keeps a pipeline that would relay for
// anyone from loading.
func (p *Pipeline) Validate() error {
	switch p.Unsigned {
	case "", UnsignedDefer, UnsignedReject, UnsignedAllow:
	default:
		return &AttrError{Attr: "unsigned", Msg: fmt.Sprintf(`is %q; write "defer", "reject" or "allow"`, p.Unsigned)}
	}
	for _, r := range p.Routes {
		if r.Relay.IsSet() == (r.Reject != nil) {
			return &AttrError{Attr: "route", Msg: "needs either relay or reject"}
		}
	}
	for _, prefix := range p.trusted() {
		if prefix.Bits() == 0 {
			return &AttrError{Attr: "listeners", Msg: fmt.Sprintf(
				"one of them trusts %s, which is everybody: this would be an open relay; name the networks that may send", prefix)}
		}
	}
	if len(p.Auth) > 0 || len(p.trusted()) > 0 || p.claims() {
		return nil
	}
	return &AttrError{Attr: "relay", Msg: "this pipeline would relay for anyone: give it auth, " +
		"or a listener with trusted networks, or a rewrite that claims its recipients"}
}

func (p *Pipeline) trusted() []netip.Prefix {
	var all []netip.Prefix
	for _, l := range p.Listeners {
		if t, ok := l.To().(NetworkTruster); ok {
			all = append(all, t.TrustedNetworks()...)
		}
	}
	return all
}

func (p *Pipeline) claims() bool {
	return slices.ContainsFunc(p.Rewrites, func(r Ref[Modifier]) bool {
		_, ok := r.To().(Claimer)
		return ok
	})
}
