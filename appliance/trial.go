package appliance

import "context"

// Trial returns a pipeline that does with a message all that p does, with the
// same checks, rewrites, signers and routes, and has another end: what p would
// put into the queue is handed to see, which may read it until it returns; then
// it is gone. Nothing of it is told as an event. Sessions of a trial have Trial
// set, so that modules that count do not count it.
//
// The trial lives no longer than p does: whoever has acquired p keeps it until
// the last call of the trial has returned.
func (p *Pipeline) Trial(see func(context.Context, Accepted) error) *Pipeline {
	t := &Pipeline{
		Listeners: p.Listeners, Auth: p.Auth, Checks: p.Checks, Rewrites: p.Rewrites, Signers: p.Signers,
		Unsigned: p.Unsigned, Alignment: p.Alignment, Relay: p.Relay, Routes: p.Routes,
		trialOf: p,
	}
	house := p.house
	house.Spool, house.Events = trialSpool{p.house.Spool, see}, nil
	t.Open(p.addr, house)
	return t
}

// trialSpool has the drafts of the true one, and commits nothing: who made a
// draft aborts it.
type trialSpool struct {
	spool Spool
	see   func(context.Context, Accepted) error
}

// Draft implements Spool.
func (s trialSpool) Draft(ctx context.Context) (Draft, error) { return s.spool.Draft(ctx) }

// Room implements RoomReporter.
func (s trialSpool) Room(ctx context.Context, size int64) error {
	if r, ok := s.spool.(RoomReporter); ok {
		return r.Room(ctx, size)
	}
	return nil
}

// Commit implements Spool.
func (s trialSpool) Commit(ctx context.Context, msgs ...Accepted) error {
	for _, a := range msgs {
		if err := s.see(ctx, a); err != nil {
			return err
		}
	}
	return nil
}
