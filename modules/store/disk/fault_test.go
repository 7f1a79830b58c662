package disk

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestFaultR4 fails the n-th operation that changes the disk, for every n,
// once or from then on. Whatever was acknowledged must be on the disk, by the
// strictest reading of what is there: nothing that was not synced.
func TestFaultR4(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		once bool
	}{
		{"EIO once", syscall.EIO, true},
		{"EIO from then on", syscall.EIO, false},
		{"ENOSPC once", syscall.ENOSPC, true},
		{"ENOSPC from then on", syscall.ENOSPC, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, failed := 1, 0
			for ; faulty(t, n, c.err, c.once, &failed); n++ {
				if t.Failed() {
					return
				}
			}
			if n < 100 || failed == 0 {
				t.Errorf("%d operations, %d failed stores: the test looks in the wrong place", n, failed)
			}
			t.Logf("%d operations, the store failed after %d of them", n, failed)
		})
	}
}

// faulty says whether there was an n-th operation to fail.
func faulty(t *testing.T, n int, fault error, once bool, failed *int) bool {
	mem := vfs.NewCrashableMem()
	var ops atomic.Int64
	var op atomic.Pointer[errorfs.Op]
	inject := onWrite(func(o errorfs.Op) error {
		switch k := int(ops.Add(1)); {
		case k == n:
			op.Store(&o)
		case k < n || once:
			return nil
		}
		return fault
	})
	l := newLedger()
	s := newStore(t, errorfs.Wrap(mem, inject), "data")
	s.health.pauseTime = 0
	started := s.Start(t.Context()) == nil
	if started {
		_ = life(s, l) // whatever it says, the ledger knows what was acknowledged
		if s.Healthy() != nil {
			*failed++
			noLonger(t, s, n)
		}
		_ = s.Stop(t.Context()) // may fail, too
	}
	if op.Load() == nil {
		return false
	}
	where := fmt.Sprintf("operation %d, %d of %s", n, op.Load().Kind, op.Load().Path)
	l.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), where)
	return true
}

// noLonger: once the store has failed nothing is acknowledged any more, and
// every answer is a temporary one.
func noLonger(t *testing.T, s *Store, n int) {
	t.Helper()
	ctx := t.Context()
	_, errDraft := s.Draft(ctx)
	_, errLease := leaseAll(s, testTime)
	_, errChange := s.Change(ctx, appliance.Filter{}, appliance.ChangeHold)
	for name, err := range map[string]error{
		"Draft": errDraft, "Lease": errLease, "Change": errChange,
		"Commit": s.Commit(ctx), "Settle": s.Settle(ctx), "Put": s.Values().Put(ctx, "k", nil),
	} {
		if err == nil || !appliance.ReplyTo(err).Temporary() || errors.Is(err, appliance.ErrFull) {
			t.Errorf("operation %d: %s of a failed store: %v", n, name, err)
		}
	}
}
