package appliance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Data takes the content, which r gives without dot-stuffing and with CRLF
// line ends, and makes the message durable: nil means that it survives a
// power cut and will be delivered or reported (RFC 5321, section 6.1). Data
// may leave r unread when it returns an error; the listener reads the rest.
// r may be a [Mender].
func (p *Pipeline) Data(ctx context.Context, tx *Transaction, r io.Reader) (QueueID, error) {
	if err := p.take(ctx, tx, r); err != nil {
		return "", p.refused(tx, Mailbox{}, err)
	}
	e := p.event(EventAccepted, tx)
	e.SignedBy = tx.SignedBy
	e.Reply = NewReply(250, 0, 0, "queued as "+string(tx.ID))
	p.emit(e)
	if tx.Hold != "" {
		e.Kind, e.Reply = EventHeld, held(tx)
		p.emit(e)
	}
	return tx.ID, nil
}

// held is what is known of a message that waits for a person, and what its
// sender is told if that person bounces it.
func held(tx *Transaction) *Reply {
	return NewReply(450, 7, 1, "Held for the administrator to look at: "+tx.Hold)
}

// take is the order in which a message is handled.
func (p *Pipeline) take(ctx context.Context, tx *Transaction, r io.Reader) error {
	draft, err := p.house.Spool.Draft(ctx)
	if err != nil {
		return err
	}
	tx.draft = draft
	defer tx.abort()
	if err := p.receive(tx, r, draft); err != nil {
		return err
	}
	if err := p.inspect(ctx, AtContent, tx); err != nil {
		return err
	}
	if err := p.prepare(tx); err != nil {
		return err
	}
	if err := p.mend(ctx, tx, r); err != nil {
		return err
	}
	if err := p.rewrite(ctx, tx); err != nil {
		return err
	}
	if err := p.sign(ctx, tx); err != nil {
		return err
	}
	if err := p.align(ctx, tx); err != nil {
		return err
	}
	return p.commit(ctx, tx, tx.draft)
}

// receive reads the header into memory and the body into the draft.
func (p *Pipeline) receive(tx *Transaction, r io.Reader, draft Draft) error {
	limits := p.house.Limits
	limited := &io.LimitedReader{R: r, N: int64(limits.MaxMessageSize) + 1}
	br := contentReaders.Get().(*bufio.Reader)
	br.Reset(limited)
	defer func() {
		br.Reset(nil)
		contentReaders.Put(br)
	}()
	var err error
	if tx.Message.Header, err = readHeader(br, int(limits.MaxHeader), &tx.loan); err != nil {
		return err
	}
	if tx.Message.Header.Count("Received") >= limits.MaxHops {
		return ErrLoop
	}
	if err := copyBody(draft, br); err != nil {
		return err
	}
	if limited.N == 0 {
		return ErrTooLarge
	}
	tx.Message.ID = tx.ID
	tx.Message.Body, err = draft.Body()
	return err
}

// contentReaders saves a buffer for each message.
var contentReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// copyBody copies what follows the header fields. RFC 5322, section 2.1: an
// empty line separates header and body. Where a message has none we add it:
// without a body it may be missing, but not every verifier knows.
func copyBody(w io.Writer, br *bufio.Reader) error {
	first, err := br.Peek(2)
	if err := ignoreEOF(err); err != nil {
		return err
	}
	if string(first) != "\r\n" {
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
	_, err = br.WriteTo(w)
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

// A Mender is content of which whoever read it knows that it cannot leave as it
// is, and how to mend it. Mend is called once, if the checks have let the message
// pass as it came, before the rewrites; it may do what they may. Its error is the
// answer to the content.
type Mender interface {
	io.Reader
	Mend(ctx context.Context, tx *Transaction) error
}

func (p *Pipeline) mend(ctx context.Context, tx *Transaction, r io.Reader) error {
	m, ok := r.(Mender)
	if !ok {
		return nil
	}
	tx.spool = p.house.Spool
	defer func() { tx.spool = nil }()
	return p.guard(tx.Session.Listener, func() error { return m.Mend(ctx, tx) })
}

// rewrite runs the rewrites. A recipient that several of them led to gets one
// copy.
func (p *Pipeline) rewrite(ctx context.Context, tx *Transaction) error {
	if len(p.Rewrites) == 0 {
		return nil // Rcpt lets nobody in twice
	}
	tx.spool = p.house.Spool
	err := p.modify(ctx, tx, p.Rewrites)
	tx.spool = nil // the signers sign what is there
	if err != nil {
		return err
	}
	seen := make(map[Mailbox]bool)
	var once []Recipient
	for _, to := range tx.Envelope.Recipients {
		if !seen[to.Mailbox] {
			seen[to.Mailbox] = true
			once = append(once, to)
		}
	}
	tx.Envelope.Recipients = once
	return nil
}

func (p *Pipeline) modify(ctx context.Context, tx *Transaction, list []Ref[Modifier]) error {
	for _, m := range list {
		if err := p.change(ctx, m, tx); err != nil {
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
	return p.house.Spool.Commit(ctx, p.accepted(tx, draft, deliveries))
}

func (p *Pipeline) accepted(tx *Transaction, draft Draft, deliveries []Delivery) Accepted {
	a := Accepted{
		ID:         tx.ID,
		Received:   tx.Received,
		Origin:     p.origin(tx),
		Envelope:   tx.Envelope.For(),
		Header:     tx.Message.Header,
		Draft:      draft,
		Size:       tx.Message.Size(),
		Deliveries: deliveries,
	}
	for _, d := range deliveries {
		for _, r := range d.Recipients {
			a.Envelope.Recipients = append(a.Envelope.Recipients, r.Recipient)
		}
	}
	return a
}

// deliveries decides each recipient's route anew, now that the content is
// known. Refused recipients of a message that others get are queued to be
// bounced: SMTP has no reply for one recipient after the content.
func (p *Pipeline) deliveries(tx *Transaction) ([]Delivery, error) {
	var all []Delivery
	index := make(map[string]int) // of a destination in all
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
		i, ok := index[d.Destination]
		if !ok {
			i = len(all)
			index[d.Destination] = i
			all = append(all, Delivery{Destination: d.Destination, Due: tx.Received})
		}
		state := RecipientState{Recipient: to}
		if tx.Hold != "" {
			all[i].Held = true
			state.When, state.Last = tx.Received, Result{Reply: *held(tx)}
		}
		all[i].Recipients = append(all[i].Recipients, state)
	}
	switch {
	case left == 0 && refused != nil:
		return nil, refused
	case left == 0:
		return nil, NewReply(554, 5, 1, "No recipients")
	}
	return all, nil
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
