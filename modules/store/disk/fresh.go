package disk

import (
	"sync"

	"github.com/waxwing-mail/waxwing/appliance"
)

// What is kept of bodies that have just been committed, in octets and in
// number: some tenths of a second of the traffic of a busy server.
const (
	maxFreshOctets = 2 << 20
	maxFresh       = 512
)

// fresh keeps the bodies of messages that have just been committed: one that
// can be delivered at once is leased next, and its body need not be read back
// from where it was written to. What is not asked for soon is forgotten, the
// oldest first.
type fresh struct {
	mu     sync.Mutex
	bodies map[appliance.QueueID][]byte
	order  []appliance.QueueID // oldest first; some are not in bodies any more
	octets int
}

// add keeps a body, which must not be changed any more.
func (f *fresh) add(id appliance.QueueID, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bodies == nil {
		f.bodies = make(map[appliance.QueueID][]byte)
	}
	f.forget(id)
	f.bodies[id] = body
	f.order = append(f.order, id)
	for f.octets += cap(body); f.octets > maxFreshOctets || len(f.order) > maxFresh; f.order = f.order[1:] {
		f.forget(f.order[0])
	}
}

// take returns a body and forgets it, nil if it is not there.
func (f *fresh) take(id appliance.QueueID) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	body := f.bodies[id]
	f.forget(id)
	return body
}

// forget takes a body out. mu is held.
func (f *fresh) forget(id appliance.QueueID) {
	f.octets -= cap(f.bodies[id])
	delete(f.bodies, id)
}
