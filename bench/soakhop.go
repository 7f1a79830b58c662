package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// soakHop is the next hop of a soak. Some messages it refuses, defers or
// drops whatever happens; it can be slow, refuse everything, or be away.
type soakHop struct {
	book    *soakLedger
	address string
	slow    atomic.Bool
	refuses atomic.Bool
	drops   atomic.Int64 // replies to a final dot that were never sent

	mu   sync.Mutex
	sink *appliancetest.Sink // nil while it is away
}

// soakSlow is how long a slow next hop takes for each message.
const soakSlow = 100 * time.Millisecond

func newSoakHop(book *soakLedger) (*soakHop, error) {
	address, err := appliancetest.FreeAddress()
	if err != nil {
		return nil, err
	}
	h := &soakHop{book: book, address: address}
	return h, h.open()
}

func (h *soakHop) open() (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sink, err = appliancetest.ListenSink(h.address, h.got)
	return err
}

// close cuts every connection: what has arrived may not have been answered.
func (h *soakHop) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sink != nil {
		h.sink.Close()
		h.sink = nil
	}
}

func (h *soakHop) got(m *appliancetest.SinkMessage) string {
	if h.slow.Load() {
		time.Sleep(soakSlow)
	}
	if h.refuses.Load() {
		return "451 4.3.2 Not now"
	}
	n, ok := soakNumber(m.Data)
	if !ok {
		h.book.stranger()
		return ""
	}
	if m.From == "" {
		h.book.note(n, func(m *soakMail) { m.reported++ })
		return ""
	}
	first := h.book.note(n, func(m *soakMail) { m.seen++ }).seen == 1
	switch {
	case n%100 == 7:
		return "550 5.1.1 Nobody of that name"
	case n%20 == 3 && first:
		return "451 4.2.1 Later"
	}
	h.book.take(n, m)
	if n%50 == 9 && first {
		h.drops.Add(1)
		return "drop"
	}
	return ""
}
