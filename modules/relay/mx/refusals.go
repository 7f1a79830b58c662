package mx

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

const (
	// refusedFor is how long a site is spared an address of ours that it has
	// refused, as far as there is another one.
	refusedFor = time.Hour
	// maxRefusals bounds what is remembered.
	maxRefusals = 10_000
)

// A refusal is of one site and one address of ours.
type refusal struct {
	site string
	from netip.Addr
}

// A refusals remembers which addresses of ours which sites do not want. It is
// forgotten in a restart, which costs a message to each of them a second try.
type refusals struct {
	mu    sync.Mutex
	until map[refusal]time.Time
}

func (r *refusals) add(key refusal, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxRefusals {
		maps.DeleteFunc(r.until, func(_ refusal, until time.Time) bool { return !now.Before(until) })
	}
	if len(r.until) >= maxRefusals {
		clear(r.until) // it costs time, not mail
	}
	if r.until == nil {
		r.until = make(map[refusal]time.Time)
	}
	r.until[key] = now.Add(refusedFor)
}

func (r *refusals) remove(key refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.until, key)
}

// has is false for a time too far ahead, which is that of a clock that has been
// put right.
func (r *refusals) has(key refusal, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.until[key].Sub(now)
	return left > 0 && left <= refusedFor
}

// blames says that an answer is about the name that our address has, or that of
// our domain, which cannot always be told apart. It goes by the rules that come
// with Waxwing: what is in queue.classes sorts results, when they are final.
func blames(r *appliance.Result) bool {
	return appliance.ClassRules{}.Classify(r) == appliance.ClassReputation
}

// observeSource is for [smtpconn.Config].
func (m *MX) observeSource(ctx context.Context, t smtpconn.Target, welcome bool) {
	d, ok := ctx.Value(destinationKey{}).(*destination)
	if !ok {
		return
	}
	key := refusal{d.site, t.Source}
	if welcome {
		m.refusals.remove(key)
		return
	}
	d.refused = true
	m.refusals.add(key, time.Now())
}
