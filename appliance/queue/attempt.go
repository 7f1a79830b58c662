package queue

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// What is wrong with ourselves is temporary (P8).
var (
	errNoPipeline = appliance.NewReply(451, 3, 5, "The server's configuration has no place for this message any more")
	errFault      = appliance.NewReply(451, 3, 0, "Local error in delivery")

	errExpired = appliance.NewReply(554, 4, 7, "Not delivered within the lifetime of the queue")
	errBounced = appliance.NewReply(554, 0, 0, "The administrator of this server has ended the delivery of this message")
)

// An attempt is one delivery in the hands of the engine: what is found out
// about its recipients, until it is settled. It belongs to one goroutine.
type attempt struct {
	e        *engine
	leased   *appliance.Leased
	pipeline *appliance.Pipeline
	settings appliance.QueueSettings
	size     int64
	began    time.Time

	d       appliance.Delivery // the delivery as it will be settled
	fates   []fate             // for each of d.Recipients
	counts  bool               // it was a real attempt
	stopped bool               // cut off because the engine stops
	reports []appliance.Accepted
	batch   *held           // whose digest is among reports
	until   time.Time       // when to ask for reports that are held back; zero if none is
	tries   []appliance.Try // what the relay told
	handed  []handover      // to the fallback of their relay, in turn
}

// A fate is what one attempt does to one recipient. The zero fate is nothing.
type fate struct {
	relay   string
	tried   bool
	expired bool // failed because it is too old
}

// A group is the recipients that one call of a relay is for.
type group struct {
	decision appliance.Decision
	indexes  []int // into Delivery.Recipients
	handed   int   // how often they were handed on already
}

// work carries one delivery from its lease to its settlement.
func (e *engine) work(d *destination, s *site, j job) {
	a := e.newAttempt(&j.Leased)
	if j.until.Sub(a.began) >= minAttempt {
		a.run(j.until.Add(-settleMargin))
	}
	e.attempted(d, s, j)
	settled := e.settle(a)
	e.finish(d, s, &j, a, settled)
}

func (e *engine) newAttempt(l *appliance.Leased) *attempt {
	a := &attempt{
		e: e, leased: l, settings: e.queueSettings(), size: l.Message.Size(), began: e.now(), d: l.Delivery,
		fates: make([]fate, len(l.Delivery.Recipients)),
	}
	a.d.Recipients = slices.Clone(l.Delivery.Recipients)
	return a
}

// run makes the attempt and decides what follows from it.
func (a *attempt) run(deadline time.Time) {
	p, release, ok := a.e.house.Router.Acquire(a.leased.Origin.Pipeline)
	if !ok {
		a.noPipeline()
		return
	}
	defer release()
	a.pipeline = p
	if a.d.Expire {
		a.bounceAll()
	} else if !a.deliver(deadline) {
		return
	}
	a.conclude()
}

// deliver makes the attempt. It is false if the delivery has been moved to
// another destination instead.
func (a *attempt) deliver(deadline time.Time) bool {
	groups := a.route()
	if a.moved(groups) {
		return false
	}
	ctx, cancel := context.WithTimeout(a.e.attempts, min(leaseTime, deadline.Sub(a.began)))
	defer cancel()
	for _, g := range groups {
		a.hand(ctx, g)
	}
	if a.counts && !a.stopped {
		a.d.Attempts++
	}
	return true
}

// noPipeline defers a message whose pipeline is gone from the configuration.
// Without it there are no routes and no signers, so it can neither be
// delivered nor reported: it waits for the administrator and does not expire.
func (a *attempt) noPipeline() {
	name := a.leased.Origin.Pipeline
	a.e.house.Log.Error("a queued message waits for a pipeline that is not in the configuration any more; "+
		"restore it, or drop the message",
		zap.String("pipeline", name), zap.String("id", string(a.leased.Key.ID)))
	a.counts = true
	a.d.Attempts++
	for i := range a.waiting() {
		if !a.d.Recipients[i].Last.Reply.Permanent() { // else it waits for its report
			a.set(i, "", appliance.Result{Reply: *errNoPipeline})
		}
	}
	a.schedule()
}

// bounceAll ends the delivery because a person wants it.
func (a *attempt) bounceAll() {
	for i := range a.waiting() {
		a.set(i, "", appliance.Result{Reply: *ended(errBounced, &a.d.Recipients[i].Last.Reply)})
	}
}

// ended is the reply for a delivery that ends without a final answer of the
// next hop: it repeats the last one there was.
func ended(why, last *appliance.Reply) *appliance.Reply {
	r := *why
	if last.Code != 0 {
		r.Text += "; the last reply was: " + last.String()
		r.Err = last.Err // for the log
	}
	return &r
}

// waiting ranges over the indexes of the recipients that still wait.
func (a *attempt) waiting() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range a.d.Recipients {
			if a.d.Recipients[i].Status == appliance.Waiting && !yield(i) {
				return
			}
		}
	}
}

// route finds where the waiting recipients go, in groups by destination in
// the order of the recipients. Those that go nowhere get their result.
func (a *attempt) route() []group {
	var groups []group
	for i := range a.waiting() {
		r := &a.d.Recipients[i]
		if r.Last.Reply.Permanent() {
			r.Status = appliance.Failed // it waited for its report only
			continue
		}
		d, err := a.decide(r.Mailbox)
		switch {
		case err != nil:
			a.counts = true
			a.set(i, "", appliance.Result{Reply: *temporary(err)})
		case d.Reject != nil:
			a.set(i, "", appliance.Result{Reply: *d.Reject})
		default:
			groups = join(groups, d, i)
		}
	}
	return groups
}

func (a *attempt) decide(to appliance.Mailbox) (d appliance.Decision, err error) {
	err = a.guard("route", func() (err error) {
		d, err = a.pipeline.Route(a.leased, to, a.size)
		return err
	})
	return d, err
}

// temporary is the reply for a fault of ours, which defers whatever it says.
func temporary(err error) *appliance.Reply {
	if r := appliance.ReplyTo(err); r.Temporary() {
		return r
	}
	return errFault.With(err)
}

// moved says whether nothing of the delivery goes to the destination for which
// it was leased any more, and gives it the one where it goes. It has not been
// attempted then: limits and fairness are those of its new destination.
func (a *attempt) moved(groups []group) bool {
	if len(groups) == 0 || slices.ContainsFunc(groups, func(g group) bool {
		return g.decision.Destination == a.d.Destination
	}) {
		return false
	}
	if a.counts || a.changed() {
		return false // there is a result to settle first
	}
	a.d.Destination = groups[0].decision.Destination
	return true
}

// changed says whether a recipient has got a result.
func (a *attempt) changed() bool {
	for i := range a.d.Recipients {
		if a.d.Recipients[i].Status != a.leased.Delivery.Recipients[i].Status || a.fates[i].tried {
			return true
		}
	}
	return false
}

// hand gives the message to the relay for one group of recipients, and those it
// could not serve to its fallback.
func (a *attempt) hand(ctx context.Context, g group) {
	a.counts = true
	a.try(ctx, g)
	a.handOn(ctx, g)
}

// try finds the results of one group.
func (a *attempt) try(ctx context.Context, g group) {
	relay := g.decision.Relay.Addr().Name
	if r, down := a.e.isDown(g.decision.Destination); down {
		for _, i := range g.indexes {
			a.set(i, relay, r)
		}
		return
	}
	began := a.e.now()
	results, ok := a.call(ctx, g)
	cut := a.cutOff()
	if ok && !cut {
		a.e.learn(g.decision.Destination, results, began, a.settings)
	}
	for k, i := range g.indexes {
		if cut && !results[k].Remote && results[k].Reply.Temporary() {
			a.stopped = true // it says more about us than about the next hop
			continue
		}
		a.set(i, relay, results[k])
	}
}

// cutOff says whether a failure may be due to the engine stopping, or to a
// reload that has replaced the modules in the middle of the attempt.
func (a *attempt) cutOff() bool {
	if a.e.attempts.Err() != nil {
		return true
	}
	p, release, ok := a.e.house.Router.Acquire(a.leased.Origin.Pipeline)
	if ok {
		release()
	}
	return !ok || p != a.pipeline
}

// call calls the relay and makes sure that there is one sane result for each
// recipient. It is false if the relay has a bug: the results are ours then and
// say nothing about the next hop.
func (a *attempt) call(ctx context.Context, g group) (results []appliance.Result, ok bool) {
	to := make([]appliance.Recipient, len(g.indexes))
	for k, i := range g.indexes {
		to[k] = a.d.Recipients[i].Recipient
	}
	relay := g.decision.Relay
	err := a.guard(relay.Addr().String(), func() error {
		results = relay.To().Deliver(a.watched(ctx), a.leased.Envelope.For(to...), &a.leased.Message)
		return checkResults(results, len(to))
	})
	if err != nil {
		a.e.house.Log.Error("a relay has failed; the message is deferred",
			zap.Stringer("relay", relay.Addr()), zap.String("id", string(a.leased.Key.ID)), zap.Error(err))
		return appliance.Results(len(to), appliance.Result{Reply: *errFault.With(err)}), false
	}
	return results, true
}

// checkResults finds the mistakes of a relay that would be mistaken for the
// fate of a recipient.
func checkResults(results []appliance.Result, recipients int) error {
	if len(results) != recipients {
		return fmt.Errorf("%d results for %d recipients", len(results), recipients)
	}
	for i := range results {
		if c := results[i].Reply.Class(); c != 2 && c != 4 && c != 5 {
			return fmt.Errorf("result %d is neither 2yz nor 4yz nor 5yz", results[i].Reply.Code)
		}
	}
	return nil
}

// guard turns a panic of a module into an error (R14). The stack goes
// to the log here; the error is for whoever handles it.
func (a *attempt) guard(what string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			a.e.metrics.panics.Inc()
			err = fmt.Errorf("%s panicked: %v", what, r)
			a.e.house.Log.Error("a module panicked; the message is deferred",
				zap.String("id", string(a.leased.Key.ID)), zap.Error(err), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return call()
}

// set gives a recipient its result.
func (a *attempt) set(i int, relay string, r appliance.Result) {
	to := &a.d.Recipients[i]
	r.Class = a.settings.Classes.Classify(&r)
	to.Last, to.When = r, a.e.now()
	a.fates[i] = fate{relay: relay, tried: true}
	switch {
	case r.Reply.Positive():
		to.Status = appliance.Delivered
	case r.Reply.Permanent():
		to.Status = appliance.Failed
	}
}
