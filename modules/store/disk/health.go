package disk

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// health says whether the store can still keep its promises. There is no way
// back from a failure but a restart: it reads what really is on the disk.
type health struct {
	log       *zap.Logger
	gauge     prometheus.Gauge
	failure   atomic.Pointer[error]
	closing   <-chan struct{} // ends pauses
	pauseTime time.Duration
}

func (h *health) err() error {
	if p := h.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail takes note of the first failure, which it returns.
func (h *health) fail(cause error) error {
	err := fmt.Errorf("the store has failed and takes nothing until a restart: %w", cause)
	if h.failure.CompareAndSwap(nil, &err) {
		h.gauge.Set(1)
		h.log.Error("the store has failed; nothing is accepted or delivered until waxwing is restarted. "+
			"Check the disk first: see the log of the kernel", zap.Error(cause))
	}
	return h.err()
}

// pauseTime is how long work on a dead or full disk is held up, so that who
// tries again at once, as Pebble's flush does, does not burn a processor.
const pauseTime = time.Second

// ending says that the store is being stopped: nothing waits any more.
func (h *health) ending() bool {
	select {
	case <-h.closing:
		return true
	default:
		return false
	}
}

func (h *health) pause() {
	t := time.NewTimer(h.pauseTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.closing:
	}
}
