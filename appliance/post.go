package appliance

import (
	"context"
	"errors"
	"fmt"
)

// Errors of [Context.Post].
var (
	errNotRunning = errors.New("not running")
	errUnsigned   = errors.New("no pipeline has a signer for the domain of its From field")
)

// post takes a message of our own, not of a user, into the queue: by the first
// pipeline, in the order of the file, with a signer that is responsible for
// its From field. It must be signed, as a message of this kind that is not is
// worth nothing to those who get it.
func (a *Appliance) post(ctx context.Context, env Envelope, h Header, body []byte) (QueueID, error) {
	if !a.running.Load() {
		return "", errNotRunning
	}
	for _, n := range a.Graph().Pipelines() {
		p, release, ok := a.Acquire(n.Addr.Name)
		if !ok {
			continue // a reload has just removed it
		}
		id, err := p.Post(ctx, env, h, body)
		release()
		if !errors.Is(err, errUnsigned) {
			return id, err
		}
	}
	return "", errUnsigned
}

// Post makes a message of our own durable, as [Pipeline.Report] makes it and
// Data does with those of users. It fails if none of the signers is
// responsible for it.
func (p *Pipeline) Post(ctx context.Context, env Envelope, h Header, body []byte) (QueueID, error) {
	if len(p.Signers) == 0 {
		return "", errUnsigned
	}
	msg, err := p.Report(ctx, env, h, body)
	if err != nil {
		return "", err
	}
	defer msg.Draft.Abort() //nolint:errcheck // harmless after Commit; before it, the error says more
	if len(msg.Origin.SignedBy) == 0 {
		return "", errUnsigned
	}
	if err := p.house.Spool.Commit(ctx, msg); err != nil {
		return "", fmt.Errorf("%s: %w", p.addr, err)
	}
	p.emit(Event{
		Kind: EventAccepted, ID: msg.ID, From: env.From, Recipients: len(msg.Envelope.Recipients), SignedBy: msg.Origin.SignedBy,
		Size: int64(msg.Header.Len() + len(body)), Reply: NewReply(250, 0, 0, "queued as "+string(msg.ID)),
	})
	return msg.ID, nil
}
