package smtpconn

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxSources is how many addresses of ours are offered to the receiver of one
// message after it has refused one: who is on a list with all of them makes it
// worse by trying on.
const maxSources = 4

// noteSource says in the transcript which address of ours is used, if it was
// chosen.
func (c *conn) noteSource() {
	if c.target.Source.IsValid() {
		c.log.note("from " + c.target.Source.String())
	}
}

// blame finds out whether a session has refused our address and not the
// message. Then those whom it was refused for are open again, for a server that
// is asked from another one. Whoever may have the message is not among them:
// nothing is open again after it was taken for somebody, or may have been.
func (c *conn) blame(todo []int, outcomes []outcome) {
	if c.pool.cfg.Blames == nil || !c.target.Source.IsValid() {
		return
	}
	if slices.ContainsFunc(todo, func(i int) bool { return outcomes[i].taken() || outcomes[i].inDoubt() }) {
		return
	}
	for _, i := range todo {
		if o := &outcomes[i]; o.Remote && c.pool.cfg.Blames(&o.Result) {
			o.settled, o.blamed = false, true
		}
	}
	if firstBlamed(todo, outcomes) != nil {
		c.log.note(fmt.Sprintf("our address %s is refused here, which may not be so for another one", c.target.Source))
	}
}

func (o *outcome) taken() bool { return o.Reply.Positive() }

// inDoubt says that the message was lost after its final dot: nothing else is
// temporary and not to be tried elsewhere.
func (o *outcome) inDoubt() bool { return o.settled && o.Reply.Temporary() }

// firstBlamed is the first outcome that is about our address, or nil.
func firstBlamed(todo []int, outcomes []outcome) *outcome {
	for _, i := range todo {
		if outcomes[i].blamed {
			return &outcomes[i]
		}
	}
	return nil
}

// session takes in what a server has answered, and says whether the attempt is
// over. One that refuses our address is no session: it would have been the same
// for any message.
func (a *attempt) session(ctx context.Context, t Target, todo []int) (over bool) {
	if firstBlamed(todo, a.outcomes) != nil {
		a.observe(ctx, t, false)
		a.refused = append(a.refused, t.Source)
		return len(a.refused) == maxSources
	}
	if slices.ContainsFunc(todo, func(i int) bool { return a.outcomes[i].taken() }) {
		a.observe(ctx, t, true)
	}
	a.sessions++
	a.asked = append(a.asked, t.Addr)
	return a.sessions == maxSessions || len(a.unsettled()) == 0
}

// blameFailure looks whether a server has sent us away because of our address.
// The next ones are tried as after any other failure.
func (a *attempt) blameFailure(ctx context.Context, t Target, r *appliance.Result) {
	if blames := a.pool.cfg.Blames; blames != nil && t.Source.IsValid() && blames(r) {
		a.observe(ctx, t, false)
	}
}

func (a *attempt) observe(ctx context.Context, t Target, welcome bool) {
	if a.pool.cfg.ObserveSource != nil && t.Source.IsValid() {
		a.pool.cfg.ObserveSource(ctx, t, welcome)
	}
}

// hasRefused says that a server has refused an address of ours in this attempt.
func (a *attempt) hasRefused(from netip.Addr) bool { return slices.Contains(a.refused, from) }
