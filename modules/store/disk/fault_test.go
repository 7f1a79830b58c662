package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A faultyDisk makes a disk of a good one on which operations fail as said.
// fault is asked about each change.
type faultyDisk func(good vfs.FS, fault func(path string) error) vfs.FS

// refusing does nothing of an operation that fails.
func refusing(good vfs.FS, fault func(string) error) vfs.FS {
	return errorfs.Wrap(good, onWrite(func(o errorfs.Op) error { return fault(fmt.Sprintf("%d of %s", o.Kind, o.Path)) }))
}

// short does half of a write that fails. Nothing else fails.
func short(good vfs.FS, fault func(string) error) vfs.FS {
	return &badFS{FS: good, half: true, fault: fault}
}

// lying does what it says has failed.
func lying(good vfs.FS, fault func(string) error) vfs.FS {
	return &badFS{FS: good, fault: fault}
}

// TestFaultR4 fails the n-th operation that changes the disk, for every n,
// once or from then on. Whatever was acknowledged must be on the disk, by the
// strictest reading of what is there: nothing that was not synced.
func TestFaultR4(t *testing.T) {
	for _, c := range []struct {
		name string
		disk faultyDisk
		err  error
		once bool
	}{
		{"EIO once", refusing, syscall.EIO, true},
		{"EIO from then on", refusing, syscall.EIO, false},
		{"ENOSPC once", refusing, syscall.ENOSPC, true},
		{"ENOSPC from then on", refusing, syscall.ENOSPC, false},
		{"short write and EIO once", short, syscall.EIO, true},
		{"short write and EIO from then on", short, syscall.EIO, false},
		{"short write and ENOSPC once", short, syscall.ENOSPC, true},
		{"short write and ENOSPC from then on", short, syscall.ENOSPC, false},
		{"done and EIO once", lying, syscall.EIO, true},
		{"done and EIO from then on", lying, syscall.EIO, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, looked, failed := 0, 0, 0
			for more := true; more && !t.Failed(); {
				var k int
				k, more = faulty(t, c.disk, &fault{n: n + 1, err: c.err, once: c.once}, &failed)
				if more {
					n, looked = n+1, looked+k
				}
			}
			if n < 40 || failed == 0 && c.err != syscall.ENOSPC {
				t.Errorf("%d operations, %d failed stores: the test looks in the wrong place", n, failed)
			}
			figures(t, "operations that fail: "+c.name, n, looked)
			t.Logf("%d operations, the store failed after %d of them", n, failed)
		})
	}
}

// A fault is what becomes of the n-th operation, and of those after it unless
// it happens once.
type fault struct {
	n    int
	err  error
	once bool

	ops atomic.Int64
	at  atomic.Pointer[string] // the n-th
}

func (f *fault) on(path string) error {
	switch k := int(f.ops.Add(1)); {
	case k == f.n:
		f.at.Store(&path)
	case k < f.n || f.once:
		return nil
	}
	return &fs.PathError{Op: "do", Path: path, Err: f.err}
}

// where is the n-th operation, if there was one.
func (f *fault) where() string {
	if at := f.at.Load(); at != nil {
		return *at
	}
	return "which there is not"
}

// faulty says how many acknowledged messages it looked for after a life with
// the fault, and whether there was an n-th operation.
func faulty(t *testing.T, disk faultyDisk, f *fault, failed *int) (looked int, happened bool) {
	mem := vfs.NewCrashableMem()
	l := newLedger()
	s := newStore(t, disk(mem, f.on), "data")
	s.health.pauseTime = 0
	started := s.Start(t.Context()) == nil
	if started {
		_ = life(s, l) // whatever it says, the ledger knows what was acknowledged
		if s.Healthy() != nil {
			*failed++
			noLonger(t, s, f.n)
		}
		_ = s.Stop(t.Context()) // may fail, too
	}
	if f.at.Load() == nil {
		return 0, false
	}
	return l.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), fmt.Sprintf("operation %d, %s", f.n, f.where())), true
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
