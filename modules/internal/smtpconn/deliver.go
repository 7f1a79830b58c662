package smtpconn

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"go.uber.org/zap"
)

// maxSessions is how many servers of one attempt may be asked about the same
// recipient: one, and another one that may know better.
const maxSessions = 2

// Deliver makes one attempt: it tries the targets in turn, as the package
// comment says, and returns one result for each of env.Recipients. A target
// that comes with a Failure could not be looked up; it counts as tried.
// targets is not asked for more than is needed.
func (p *Pool) Deliver(ctx context.Context, env appliance.Envelope, msg *appliance.Message, targets iter.Seq2[Target, *Failure]) []appliance.Result {
	if !p.enter() {
		return appliance.Results(len(env.Recipients), appliance.Result{Reply: *errStopped})
	}
	defer p.work.Done()
	m, err := prepare(env, msg)
	if err != nil {
		return appliance.Results(len(env.Recipients), appliance.Result{Reply: *appliance.ReplyTo(err)})
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Attempt)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	a := &attempt{pool: p, m: m, outcomes: make([]outcome, len(env.Recipients))}
	for t, failure := range p.usefulFirst(targets) {
		if a.try(ctx, t, failure) {
			break
		}
	}
	return a.results()
}

// An attempt is the state of one Deliver.
type attempt struct {
	pool     *Pool
	m        *mail
	outcomes []outcome
	sessions int
	refused  []netip.Addr     // of ours
	asked    []netip.AddrPort // servers that have answered about the message
	failure  *Failure         // of the servers that could not be used
}

// try tries one server and says whether the attempt is over.
func (a *attempt) try(ctx context.Context, t Target, failure *Failure) (over bool) {
	began := time.Now()
	if failure != nil {
		return a.fail(ctx, failure, began)
	}
	if ctx.Err() != nil {
		a.fail(ctx, NewFailure(t.Name, lost(ctx, t.Name, stageConnect, ctx.Err())), began)
		return true
	}
	if a.hasRefused(t.Source) || a.hasAsked(t.Addr) {
		return false
	}
	todo := a.unsettled()
	if err := a.pool.over(ctx, t, a.m, todo, a.outcomes); err != nil {
		f := asFailure(err)
		a.blameFailure(ctx, t, &f.Result)
		return a.fail(ctx, f, began)
	}
	return a.session(ctx, t, todo)
}

// explain logs why a server could not be used. A stranger's is a matter for
// the debug log: its result is told with the message. That of our own
// configuration waits for a person if it is about security.
func (a *attempt) explain(f *Failure) {
	level := zap.DebugLevel
	if a.pool.cfg.Configured {
		level = zap.WarnLevel
		if f.Result.Reply.Detail.Subject == 7 {
			level = zap.ErrorLevel
		}
	}
	a.pool.log.Log(level, "next hop could not be used", zap.String("host", f.Result.Host), zap.String("peer", f.Result.Peer), zap.Error(f))
	if f.Transcript != "" {
		a.pool.log.Debug("SMTP dialogue", zap.String("host", f.Result.Host), zap.String("transcript", f.Transcript))
	}
}

// fail keeps the failure that decides when no server can be used: the first
// temporary one, or else the first. It says whether the attempt is over.
func (a *attempt) fail(ctx context.Context, f *Failure, began time.Time) (over bool) {
	a.explain(f)
	tellFailure(ctx, f, began)
	if a.pool.cfg.Configured && f.Result.Reply.Permanent() {
		f.Result.Reply.Code = 451
	}
	if a.failure == nil || a.failure.Result.Reply.Permanent() && f.Result.Reply.Temporary() {
		a.failure = f
	}
	return f.Stop
}

// hasAsked says that a server has been asked about the message in this attempt.
// It does not answer otherwise because it is asked again from another address of
// ours, and to greylisting that is another client.
func (a *attempt) hasAsked(addr netip.AddrPort) bool {
	return addr.IsValid() && slices.Contains(a.asked, addr)
}

func (a *attempt) unsettled() []int {
	var all []int
	for i := range a.outcomes {
		if !a.outcomes[i].settled {
			all = append(all, i)
		}
	}
	return all
}

// results has what a server said about a recipient, or why none said anything.
func (a *attempt) results() []appliance.Result {
	none := appliance.Result{Reply: *appliance.NewReply(451, 4, 0, "There is no server to send this to")}
	if a.failure != nil {
		none = a.failure.Result
	}
	all := make([]appliance.Result, len(a.outcomes))
	for i := range all {
		all[i] = a.outcomes[i].Result
		if all[i].Reply.Code == 0 {
			all[i] = none
		}
	}
	return all
}
