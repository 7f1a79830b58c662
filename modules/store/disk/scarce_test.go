package disk

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestScarceR2: connections take all file descriptors. The queue waits for one
// to open its next file, and has not failed.
func TestScarceR2(t *testing.T) {
	for _, fault := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		t.Run(fault.Error(), func(t *testing.T) {
			var scarce, refused atomic.Int64
			s := newStore(t, errorfs.Wrap(vfs.NewMem(), onWrite(func(op errorfs.Op) error {
				create := op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite
				if !create || !strings.Contains(op.Path, "/queue/") || scarce.Add(-1) < 0 {
					return nil
				}
				refused.Add(1)
				return fault
			})), "data")
			s.health.pauseTime = 0
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := newLedger()
			for i := range 5 {
				scarce.Store(20)
				if err := l.commit(s, appliance.QueueID(fmt.Sprintf("m%d", i)), small, "a"); err != nil {
					t.Fatal(err)
				}
				if err := s.db.Flush(); err != nil { // opens a log, and a table
					t.Fatal(err)
				}
			}
			if refused.Load() != 100 {
				t.Errorf("%d opens were refused, want 100: the test looks in the wrong place", refused.Load())
			}
			if err := s.Healthy(); err != nil {
				t.Error(err)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
