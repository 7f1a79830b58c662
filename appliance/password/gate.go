package password

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBusy means that too many passwords are being verified at this moment.
var ErrBusy = errors.New("too many passwords to verify at this moment")

// maxWait is how long a verification waits for its turn. A client that is
// told to try again later is better off than one that runs into its own
// time-out and comes back at once.
const maxWait = 10 * time.Second

// hashing is the gate of the process: its memory and its processors are one,
// however many authenticators there are. Half of the processors stay free for
// mail, whoever guesses passwords.
var hashing = newGate(maxMemory, max(1, runtime.GOMAXPROCS(0)/2))

// A gate bounds memory and processors with one number. Its capacity is the
// memory in KiB; who enters takes the memory that the hash needs, and at least
// an equal share for each processor, so that no more enter than there are
// processors.
type gate struct {
	free     *semaphore.Weighted
	capacity int64
	share    int64
}

func newGate(kib int64, processors int) *gate {
	return &gate{semaphore.NewWeighted(kib), kib, max(1, kib/int64(processors))}
}

// enter waits for room for a hash that needs so many KiB.
func (g *gate) enter(ctx context.Context, kib int64) (leave func(), err error) {
	weight := min(max(kib, g.share), g.capacity)
	waiting, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := g.free.Acquire(waiting, weight); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ErrBusy
	}
	return func() { g.free.Release(weight) }, nil
}
