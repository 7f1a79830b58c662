package disk

import (
	"slices"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// idLocks serialises what is read and then written about one message.
type idLocks struct {
	mu   sync.Mutex
	free *sync.Cond
	held map[appliance.QueueID]struct{}
}

// lock waits until none of the messages is locked and then locks all of them
// at once, so that two callers cannot wait for each other. Ids may repeat.
func (l *idLocks) lock(ids []appliance.QueueID) (unlock func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free == nil {
		l.free, l.held = sync.NewCond(&l.mu), make(map[appliance.QueueID]struct{})
	}
	isHeld := func(id appliance.QueueID) bool { _, ok := l.held[id]; return ok }
	for slices.ContainsFunc(ids, isHeld) {
		l.free.Wait()
	}
	for _, id := range ids {
		l.held[id] = struct{}{}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, id := range ids {
			delete(l.held, id)
		}
		l.free.Broadcast()
	}
}

// leases says who may work on what. It is memory only: a crash releases all.
type leases struct {
	mu    sync.Mutex
	until map[appliance.DeliveryKey]time.Time
}

// take leases a delivery that is not leased at the time now.
func (l *leases) take(k appliance.DeliveryKey, now, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until[k]) {
		return false
	}
	if l.until == nil {
		l.until = make(map[appliance.DeliveryKey]time.Time)
	}
	l.until[k] = until
	return true
}

func (l *leases) held(k appliance.DeliveryKey, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.until[k])
}

func (l *leases) end(ks ...appliance.DeliveryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range ks {
		delete(l.until, k)
	}
}

func (l *leases) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.until)
}
