package queue

import (
	"context"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

// watched is a context in which a relay tells a which servers it tries.
func (a *attempt) watched(ctx context.Context) context.Context {
	return appliance.WithAttemptTrace(ctx, &appliance.AttemptTrace{
		Tried: func(t appliance.Try) { a.tries = append(a.tries, t) },
	})
}

// memory is what the delivery is to remember of the attempt: nothing if it was
// none, or if nobody waits any more. So mail that is delivered at once costs
// nothing.
func (a *attempt) memory() *appliance.Attempt {
	if !a.counts || a.stopped || a.d.Done() {
		return nil
	}
	m := &appliance.Attempt{
		Began: a.began, Took: max(0, a.e.now().Sub(a.began)), Number: a.d.Attempts, Tries: a.tries,
	}
	for _, h := range a.handed {
		addOutcome(m, h.index, h.relay, h.result)
	}
	for i := range a.fates {
		if a.fates[i].tried {
			addOutcome(m, i, a.fates[i].relay, a.d.Recipients[i].Last)
		}
	}
	return m
}

// addOutcome adds the result of a recipient to that of others who got the same.
func addOutcome(m *appliance.Attempt, i int, relay string, r appliance.Result) {
	k := slices.IndexFunc(m.Outcomes, func(o appliance.AttemptOutcome) bool {
		p, q := &o.Result.Reply, &r.Reply
		return o.Relay == relay && p.Code == q.Code && p.Detail == q.Detail && p.Text == q.Text &&
			o.Result.Host == r.Host && o.Result.Peer == r.Peer
	})
	if k < 0 {
		k = len(m.Outcomes)
		m.Outcomes = append(m.Outcomes, appliance.AttemptOutcome{Relay: relay, Result: r})
	}
	m.Outcomes[k].Recipients = append(m.Outcomes[k].Recipients, i)
}
