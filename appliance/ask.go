package appliance

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A check is asked on a goroutine of its own, with limits.check_timeout and a
// copy of what it may read. One that keeps to its context returns in time. One
// that does not is left behind: the client gets 451, what the check says later
// is ignored, and what it reads stays there until it returns. Only so many can
// be left behind; then no check of the pipeline is asked until one returns.

const (
	// checkGrace is how long a check may take to return after its context has
	// ended.
	checkGrace = time.Second
	// maxLeftBehind is how many calls of checks a pipeline leaves behind.
	maxLeftBehind = 100
)

var errCheckHangs = NewReply(451, 3, 0, "A check of your message takes too long, please try again later")

// An inquiry is one call of one check.
type inquiry struct {
	p       *Pipeline
	check   Ref[Check]
	at      Stage
	tx      Transaction // a copy
	session Session     // likewise
	inside  bool        // the pipeline counts it as a user

	answered chan struct{} // closed when the check has returned
	verdict  Verdict
	err      error

	mu   sync.Mutex
	over bool // the check has returned
	left bool // nobody waits for it any more
}

// ask asks a check and waits for its answer, but not for ever.
func (p *Pipeline) ask(ctx context.Context, c Ref[Check], at Stage, tx *Transaction) (Verdict, error) {
	wanted := false
	err := p.guard(c.Addr(), func() error {
		wanted = c.To().Stages()&at != 0
		return nil
	})
	if err != nil || !wanted {
		return Verdict{}, err
	}
	if p.leftBehind.Load() >= maxLeftBehind {
		return Verdict{}, errCheckHangs
	}
	if t := p.house.Limits.CheckTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	q := &inquiry{p: p, check: c, at: at, tx: *tx, session: *tx.Session, answered: make(chan struct{})}
	q.tx.Session = &q.session
	q.inside = p.use.enter() // so that no module is closed that is in use
	go q.run(ctx)
	if q.wait(ctx) || !q.leave() {
		return q.verdict, q.err
	}
	tx.detach(q.answered)
	p.house.Log.Error("a check does not return; the client is told to try again",
		zap.Stringer("check", c.Addr()), zap.Duration("check_timeout", p.house.Limits.CheckTimeout))
	return Verdict{}, errCheckHangs
}

// run asks the check.
func (q *inquiry) run(ctx context.Context) {
	defer q.end()
	q.err = q.p.guard(q.check.Addr(), func() (err error) {
		q.verdict, err = q.check.To().Inspect(ctx, q.at, &q.tx)
		return err
	})
}

// wait waits for the answer, and says whether there is one.
func (q *inquiry) wait(ctx context.Context) bool {
	select {
	case <-q.answered:
		return true
	case <-ctx.Done():
	}
	grace := time.NewTimer(checkGrace)
	defer grace.Stop()
	select {
	case <-q.answered:
		return true
	case <-grace.C:
		return false
	}
}

// leave leaves the check behind, unless it has returned meanwhile.
func (q *inquiry) leave() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return false
	}
	q.left = true
	q.p.leftBehind.Add(1)
	return true
}

// end notes that the check has returned.
func (q *inquiry) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	if q.left {
		q.p.leftBehind.Add(-1)
		q.p.house.Log.Warn("a check has returned too late; its answer is ignored", zap.Stringer("check", q.check.Addr()))
	}
	if q.inside {
		q.p.use.leave()
	}
	close(q.answered)
}

// detach makes sure that whoever reads a copy of tx until late is closed sees no
// change of it.
func (tx *Transaction) detach(late <-chan struct{}) {
	tx.Envelope.Recipients = slices.Clone(tx.Envelope.Recipients)
	tx.late = late
}

// abort gives up the draft: when nobody reads it any more.
func (tx *Transaction) abort() {
	draft := tx.draft
	if tx.late == nil {
		_ = draft.Abort() // harmless after Commit; before it, the reply says more
		return
	}
	go func(late <-chan struct{}) {
		<-late
		_ = draft.Abort()
	}(tx.late)
}
