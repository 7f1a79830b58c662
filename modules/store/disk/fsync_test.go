package disk

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// syncs are the ways to sync a file.
var syncs = []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}

// TestFsyncOnce_R4: after an fsync that failed once, whatever of, the message is
// not acknowledged, and nothing on the disk is written, synced or given a name
// any more, although every other fsync would succeed and mean nothing.
func TestFsyncOnce_R4(t *testing.T) {
	for _, c := range []struct{ name, path, body string }{
		{"the log", ".log", small},
		{"a body", bodiesName + "/" + draftPrefix, strings.Repeat("x", large)},
		{"the directory of bodies", "data/" + bodiesName, strings.Repeat("x", large)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			armed, failed := false, false
			var after []string
			mem := vfs.NewCrashableMem()
			s := startStore(t, errorfs.Wrap(mem, onWrite(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case failed:
					after = append(after, op.Path)
				case armed && slices.Contains(syncs, op.Kind) && strings.Contains(op.Path, c.path):
					failed = true
					return syscall.EIO
				}
				return nil
			})), "data")
			l := newLedger()
			must(t, l.commit(s, "before", small, "a"))
			rest(t, s)
			mu.Lock()
			armed = true
			mu.Unlock()
			for _, id := range []string{"1", "2"} {
				if err := l.commit(s, "id"+appliance.QueueID(id), c.body, "a"); err == nil {
					t.Error("a message is acknowledged")
				}
			}
			if s.Healthy() == nil {
				t.Error("the store says that it is well")
			}
			mu.Lock()
			defer mu.Unlock()
			if !failed || len(after) > 0 {
				t.Errorf("failed: %v; afterwards the disk was changed: %v", failed, after)
			}
			l.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), "a restart")
		})
	}
}

// rest waits until the store does nothing in the background any more.
func rest(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if m := s.db.Metrics(); m.Flush.NumInProgress == 0 && m.Compact.NumInProgress == 0 && m.Flush.Count > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the store does not come to rest")
		}
	}
}
