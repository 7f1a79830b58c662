package appliance

import (
	"context"
	"slices"
)

// ask asks a check, if it wants to be asked at this stage.
func (p *Pipeline) ask(ctx context.Context, c Ref[Check], at Stage, tx *Transaction) (Verdict, error) {
	wanted := false
	err := p.guard(c.Addr(), func() error {
		wanted = c.To().Stages()&at != 0
		return nil
	})
	if err != nil || !wanted {
		return Verdict{}, err
	}
	work := tx.copy()
	var v Verdict
	late, err := p.await(ctx, c.Addr(), func(ctx context.Context) (err error) {
		v, err = c.To().Inspect(ctx, at, work)
		return err
	})
	if late != nil {
		tx.leave(work, late)
		tx.Envelope.Recipients = slices.Clone(tx.Envelope.Recipients) // others may follow, and work is read
		return Verdict{}, err
	}
	return v, err
}

// change has a rewrite or a signer change tx.
func (p *Pipeline) change(ctx context.Context, m Ref[Modifier], tx *Transaction) error {
	work, session := tx.copy(), tx.Session
	late, err := p.await(ctx, m.Addr(), func(ctx context.Context) error { return m.To().Modify(ctx, work) })
	if late != nil {
		tx.leave(work, late)
		tx.Message = Message{ID: tx.ID} // header and body are work's
		return err
	}
	*tx = *work
	tx.Session = session
	return err
}

// copy is what a module is given: it may go on with it when nobody waits for it
// any more.
func (tx *Transaction) copy() *Transaction {
	work, session := *tx, *tx.Session
	work.Session = &session
	return &work
}

// leave leaves work, and the draft that it reads or has made, to a call that has
// not returned, until late is closed.
func (tx *Transaction) leave(work *Transaction, late <-chan struct{}) {
	if tx.draft != nil {
		tx.left, tx.late = work, late
	}
}

// abort gives up the draft: when nobody reads it any more.
func (tx *Transaction) abort() {
	if tx.late == nil {
		_ = tx.draft.Abort() // harmless after Commit; before it, the reply says more
		return
	}
	go func(work *Transaction, late <-chan struct{}) {
		<-late
		_ = work.draft.Abort()
	}(tx.left, tx.late)
}
