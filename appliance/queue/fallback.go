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
		a.tellHandover(g, next)
		a.hand(ctx, next)
	}
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
	return to, ok && err == nil && to.IsSet()
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
