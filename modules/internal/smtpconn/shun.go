package smtpconn

import (
	"iter"
	"net/netip"
	"sync"
	"time"
)

const (
	// shunTime is how long an address that was of no use is tried after the
	// others. Then one message finds out whether it is of use again; the others
	// do not wait with it, since some servers take minutes to say nothing.
	shunTime = time.Minute
	// maxShunned bounds what is remembered.
	maxShunned = 10_000
)

// A way is to an address, and from one of ours: the other side may like another
// of them better.
type way struct {
	to   netip.AddrPort
	from netip.Addr
}

func (t *Target) way() way { return way{t.Addr, t.Source} }

// A shunned remembers addresses that were of no use when they were last tried.
// Without it, each message for a host whose first address is unreachable would
// wait for a connection there before it goes to the second.
type shunned struct {
	mu    sync.Mutex
	until map[way]time.Time // when it may be tried first again
}

func (s *shunned) add(t Target, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) >= maxShunned {
		clear(s.until) // it costs time, not mail
	}
	if s.until == nil {
		s.until = make(map[way]time.Time)
	}
	s.until[t.way()] = now.Add(shunTime)
}

func (s *shunned) remove(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, t.way())
}

// has says whether t is to be tried last. When the time is over it says no once
// in each shunTime, until the target is removed.
func (s *shunned) has(t Target, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[t.way()]
	if ok && !now.Before(until) {
		s.until[t.way()] = now.Add(shunTime)
		return false
	}
	return ok
}

// usefulFirst moves targets that are shunned behind the others, but not behind
// a failure that ends the attempt: they come before it in the order of the
// relay, and have to have their chance.
func (p *Pool) usefulFirst(targets iter.Seq2[Target, *Failure]) iter.Seq2[Target, *Failure] {
	return func(yield func(Target, *Failure) bool) {
		var later []Target
		rest := func() bool {
			for _, t := range later {
				if !yield(t, nil) {
					return false
				}
			}
			return true
		}
		for t, f := range targets {
			switch {
			case f == nil && p.shuns(t):
				later = append(later, t)
				continue
			case f != nil && f.Stop && !rest():
				return
			case f != nil && f.Stop:
				later = nil
			}
			if !yield(t, f) {
				return
			}
		}
		rest()
	}
}

// shuns says whether t should be tried last. A connection that is open to it
// is proof to the contrary.
func (p *Pool) shuns(t Target) bool {
	p.mu.Lock()
	open := len(p.idle[t])
	p.mu.Unlock()
	return open == 0 && p.shunned.has(t, time.Now())
}
