package compare

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A ledger knows of each message of a measurement whether it has arrived,
// when, and whether it is what was sent.
type ledger struct {
	first     int // number of the first message
	body      []byte
	keepEvery int // one in so many is kept, for its signature

	began   time.Time
	arrived []atomic.Int64 // nanoseconds since it began; 0 is not yet
	count   atomic.Int64
	twice   atomic.Int64
	strange atomic.Int64 // of no number that was sent
	changed atomic.Int64 // with another body
	last    atomic.Int64 // nanoseconds since it began

	mu   sync.Mutex
	kept [][]byte
}

// maxKept is how many messages are kept of one measurement.
const maxKept = 20

func newLedger(first, most int, body []byte) *ledger {
	return &ledger{first: first, body: body, keepEvery: max(1, most/maxKept), arrived: make([]atomic.Int64, most), began: time.Now()}
}

// wants says whether the n-th message that arrives is to be kept whole.
func (l *ledger) wants(n int64) bool { return n%int64(l.keepEvery) == 0 }

// note notes an arrival. Of a message that was too large to be held only the
// beginning is there, and its size.
func (l *ledger) note(data []byte, size int, kept bool) {
	n, ok := numberOf(data)
	if n -= l.first; !ok || n < 0 || n >= len(l.arrived) {
		l.strange.Add(1)
		return
	}
	now := max(1, time.Since(l.began).Nanoseconds())
	if !l.arrived[n].CompareAndSwap(0, now) {
		l.twice.Add(1)
		return
	}
	if !l.same(data, size) {
		l.changed.Add(1)
	}
	if kept {
		l.keep(data)
	}
	l.last.Store(now)
	l.count.Add(1)
}

func (l *ledger) same(data []byte, size int) bool {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 || size-(end+4) != len(l.body) {
		return false
	}
	return len(data) < size || bytes.Equal(data[end+4:], l.body)
}

func (l *ledger) keep(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) < maxKept {
		l.kept = append(l.kept, bytes.Clone(data))
	}
}

// wait returns when n messages have arrived, and how long that took since the
// ledger began.
func (l *ledger) wait(n int, within time.Duration) (time.Duration, error) {
	for end := time.Now().Add(within); l.count.Load() < int64(n); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return 0, fmt.Errorf("%d of %d messages arrived within %v", l.count.Load(), n, within)
		}
	}
	return time.Duration(l.last.Load()), nil
}

// check says whether the first n numbers, and nothing else, have arrived
// exactly once and unchanged.
func (l *ledger) check(n int) error {
	var errs []error
	for i := range n {
		if l.arrived[i].Load() == 0 {
			errs = append(errs, fmt.Errorf("message %d has not arrived", l.first+i))
			break
		}
	}
	for _, of := range []struct {
		n    int64
		what string
	}{
		{l.twice.Load(), "arrived more than once"},
		{l.strange.Load(), "were not sent in this measurement"},
		{l.changed.Load(), "arrived with another body"},
		{l.count.Load() - int64(n), "arrived though they were not accepted"},
	} {
		if of.n > 0 {
			errs = append(errs, fmt.Errorf("%d messages %s", of.n, of.what))
		}
	}
	return errors.Join(errs...)
}
