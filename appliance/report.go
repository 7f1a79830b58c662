package appliance

import (
	"context"
	"errors"
)

// Report makes a message of our own ready for the queue: a DSN, with a null
// reverse-path. It goes through the signers like any other message; if none
// of them is responsible for its From domain it leaves unsigned, since there
// is nobody to refuse it to.
func (p *Pipeline) Report(ctx context.Context, env Envelope, h Header, body []byte) (Accepted, error) {
	now := p.house.Now()
	tx := &Transaction{ID: NewQueueID(now), Session: &Session{}, Received: now, Envelope: env}
	tx.Message = Message{ID: tx.ID, Header: h.Clone(), Body: BytesBody(body)}
	if err := p.modify(ctx, tx, p.Signers); err != nil {
		return Accepted{}, err
	}
	deliveries, err := p.deliveries(tx)
	if err != nil {
		return Accepted{}, err
	}
	draft, err := p.house.Spool.Draft(ctx)
	if err != nil {
		return Accepted{}, err
	}
	if _, err := draft.Write(body); err != nil {
		return Accepted{}, errors.Join(err, draft.Abort())
	}
	return p.accepted(tx, draft, deliveries), nil
}
