package main

import (
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// R13, P4: SIGTERM while clients submit and a slow next hop receives, five
// times. Each time the server ends by itself with status 0; nothing is lost
// and, because what is under way is finished, nothing comes twice.
func TestStopUnderLoad_R13(t *testing.T) {
	const stops, clients = 5, 8
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	sink := newSink(t, func(m *appliancetest.SinkMessage) string {
		time.Sleep(100 * time.Millisecond)
		return book.got(m)
	})
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { submitUntil(stop, p, book, c) })
	}
	for n := range stops {
		until(t, 10*time.Second, "some mail has come in", func() bool {
			book.mu.Lock()
			defer book.mu.Unlock()
			return len(book.acked) >= 30*(n+1)
		})
		began := time.Now()
		p.terminate()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopping took %v", took)
		}
		p.start()
	}
	close(stop)
	wg.Wait()
	until(t, time.Minute, "everything answered 250 has arrived", func() bool { return book.missing() == 0 })
	p.terminate()
	report(t, book, 0)
	book.mu.Lock()
	defer book.mu.Unlock()
	for s := range book.arrived {
		if !book.acked[s] {
			t.Errorf("%s arrived and its client was not answered 250: it will send it again", s)
		}
	}
}
