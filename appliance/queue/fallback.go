package queue

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxHandedOn bounds how often one attempt hands a recipient on. References
// cannot form a circle in a file; in a program they could.
const maxHandedOn = 5

// errFallbackFull defers what a fallback has no room for.
var errFallbackFull = appliance.NewReply(451, 4, 5, "The relay that stands in has as much as its limits allow; trying again later")

// A handover is the result of a recipient that does not count, because another
// relay was asked instead.
type handover struct {
	index  int // into Delivery.Recipients
	relay  string
	result appliance.Result
}

// handOn gives the recipients of g for whom their relay has a fallback to that,
// in the same attempt. What it says is what counts: until then they are as they
// were before the attempt, so that one that is cut off in between is none.
func (a *attempt) handOn(ctx context.Context, g group) {
	relay, ok := g.decision.Relay.To().(appliance.FallbackRelay)
	if !ok || a.stopped || ctx.Err() != nil || g.handed == maxHandedOn {
		return
	}
	var groups []group
	for _, i := range g.indexes {
		to, ok := a.instead(relay, i)
		if !ok {
			continue
		}
		a.keep(i)
		d, err := a.pipeline.Towards(to, a.d.Recipients[i].Mailbox)
		if err != nil {
			a.set(i, to.Addr().Name, appliance.Result{Reply: *temporary(err)})
			continue
		}
		groups = join(groups, d, i)
	}
	for _, next := range groups {
		next.handed = g.handed + 1
		a.within(ctx, next, func() {
			a.tellHandover(g, next)
			a.hand(ctx, next)
		})
	}
}

// within does something within the limits of the relay that g goes to and of
// its site. If they allow nothing now, the recipients wait for the next attempt.
func (a *attempt) within(ctx context.Context, g group, do func()) {
	found := a.siteOf(ctx, g)
	leave, ok := a.e.visit(g.decision.Destination, found)
	if !ok {
		for _, i := range g.indexes {
			a.set(i, g.decision.Relay.Addr().Name, appliance.Result{Reply: *errFallbackFull})
		}
		return
	}
	defer leave()
	do()
}

// siteOf asks the relay of a group for its site; nil if it does not say.
func (a *attempt) siteOf(ctx context.Context, g group) (found *appliance.Site) {
	sited, ok := g.decision.Relay.To().(appliance.SitedRelay)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	_ = a.guard("site", func() error { // without it, its limits are those that are known
		s, err := sited.Site(ctx, hop(g.decision.Destination))
		if err == nil {
			found = &s
		}
		return err
	})
	return found
}

// visit takes a place for one delivery at a site, beside those that come to it
// by their turn; it is false if there is none now. leave gives it back.
func (e *engine) visit(destination string, found *appliance.Site) (leave func(), ok bool) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	g, s := e.gate(destination), e.siteFound(destination, found, now)
	if !s.room(e.settings) || !g.room() || s.next(now).After(now) || g.next(now).After(now) {
		return nil, false
	}
	g.running, s.running = g.running+1, s.running+1
	g.pace.take(now)
	s.pace.take(now)
	return func() {
		e.mu.Lock()
		g.running, s.running = g.running-1, s.running-1
		e.placeSite(s, e.now())
		e.mu.Unlock()
		e.nudge()
	}, true
}

// instead asks a relay what to do about the result of a recipient.
func (a *attempt) instead(relay appliance.FallbackRelay, i int) (to appliance.Ref[appliance.Relay], ok bool) {
	last := &a.d.Recipients[i].Last
	// After the final dot the message may have been delivered: nobody else is
	// given the chance to deliver it twice.
	if !a.fates[i].tried || last.Reply.Positive() || last.Midway {
		return to, false
	}
	err := a.guard("fallback", func() error {
		to, ok = relay.Instead(a.d.Attempts+1, last)
		return nil
	})
	return to, ok && err == nil && to.IsSet() && (!a.leased.Envelope.RequireTLS || assures(to.To()))
}

// assures says whether a relay honours REQUIRETLS: one that does not would
// return what the first one has only deferred.
func assures(r appliance.Relay) bool {
	x, ok := r.(appliance.TLSAssurer)
	return ok && x.HonoursRequireTLS()
}

// keep notes the result of a recipient that is handed on, and takes it back.
func (a *attempt) keep(i int) {
	a.handed = append(a.handed, handover{i, a.fates[i].relay, a.d.Recipients[i].Last})
	a.d.Recipients[i], a.fates[i] = a.leased.Delivery.Recipients[i], fate{}
}

// join adds a recipient to the group that goes where it goes.
func join(groups []group, d appliance.Decision, i int) []group {
	k := slices.IndexFunc(groups, func(g group) bool { return g.decision.Destination == d.Destination })
	if k < 0 {
		k = len(groups)
		groups = append(groups, group{decision: d})
	}
	groups[k].indexes = append(groups[k].indexes, i)
	return groups
}

func (a *attempt) tellHandover(from, to group) {
	a.e.metrics.handedOn.Add(float64(len(to.indexes)))
	k := slices.IndexFunc(a.handed, func(h handover) bool { return h.index == to.indexes[0] && h.relay == from.decision.Relay.Addr().Name })
	why := &a.handed[k].result
	a.e.house.Log.Info("handed to the fallback of the relay",
		zap.String("id", string(a.leased.Key.ID)), zap.Int("recipients", len(to.indexes)), zap.Int("attempt", a.d.Attempts+1),
		zap.Stringer("relay", from.decision.Relay.Addr()), zap.String("fallback", to.decision.Destination),
		zap.String("class", string(why.Class)), zap.Stringer("reply", &why.Reply), zap.String("host", why.Host), zap.String("peer", why.Peer))
}
