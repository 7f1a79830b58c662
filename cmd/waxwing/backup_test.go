package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

// P1, P3, P4: a backup under load, of a queue that is long. The machine is lost
// right afterwards, and the backup restored on another. What was answered 250
// before the backup has arrived, or arrives now; what had arrived before the
// backup was begun does not come again; and no client of the time waited for it.
func TestBackupUnderLoad_P1(t *testing.T) {
	const clients = 8
	book := &ledger{acked: make(map[string]bool), arrived: make(map[string]int)}
	var quick atomic.Bool
	sink := newSink(t, func(m *appliancetest.SinkMessage) string {
		if !quick.Load() {
			time.Sleep(300 * time.Millisecond) // so that mail piles up
		}
		return book.got(m)
	})
	p := newProcess(t, smarthost(sink.Addr()))
	p.start()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { submitUntil(stop, p, book, c) })
	}
	until(t, time.Minute, "200 messages were answered 250", func() bool { return book.acks() >= 200 })

	before, arrived := book.state()
	saved := filepath.Join(p.dir, "saved")
	out := p.run("storage", "backup", saved)
	during := book.acks()
	if !strings.Contains(out, "nothing is damaged") {
		t.Errorf("the backup says: %s", out)
	}
	until(t, 20*time.Second, "mail is taken after the backup", func() bool { return book.acks() > during })
	p.kill() // and the machine is gone
	close(stop)
	wg.Wait()
	if err := os.RemoveAll(filepath.Join(p.dir, "data")); err != nil {
		t.Fatal(err)
	}

	out = p.run("storage", "restore", saved)
	if !strings.Contains(out, "warning: the server will attempt ") {
		t.Errorf("the restore says: %s", out)
	}
	waiting := out[strings.Index(out, ": ")+2 : strings.Index(out, " message")]
	quick.Store(true)
	p.start()
	until(t, time.Minute, "the queue that was restored is empty", func() bool {
		return strings.Contains(p.run("queue", "list"), "is empty")
	})
	if out := p.run("storage", "verify"); !strings.Contains(out, ": 0 messages") || !strings.Contains(out, "nothing is damaged") {
		t.Errorf("the storage in the end: %s", out)
	}
	p.terminate()
	checkRestored(t, book, before, arrived)
	t.Logf("%d answered 250 before the backup, %d arrived before it, %s in it, %d during it", len(before), len(arrived), waiting, during-len(before))
}

// acks says how many messages were answered 250.
func (l *ledger) acks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// state is the ledger of a moment.
func (l *ledger) state() (acked map[string]bool, arrived map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked), maps.Clone(l.arrived)
}

// checkRestored compares the end with the moment before the backup.
func checkRestored(t *testing.T, book *ledger, before map[string]bool, arrived map[string]int) {
	t.Helper()
	_, end := book.state()
	for s := range before {
		if end[s] == 0 {
			t.Errorf("P1: %q was answered 250 before the backup and has not arrived", s)
		}
	}
	again := 0
	for s := range arrived {
		if end[s] > 1 {
			again++ // its outcome may not have been recorded yet
		}
	}
	if again > 20 { // queue.concurrency of the configuration
		t.Errorf("P4: %d messages that had arrived before the backup came again", again)
	}
	if n := end["(torn message)"]; n > 0 {
		t.Errorf("P3: %d messages arrived torn", n)
	}
	if len(before)-len(arrived) < 50 {
		t.Errorf("%d messages waited: the test shows nothing", len(before)-len(arrived))
	}
}
