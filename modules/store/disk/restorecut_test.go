package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestPowerCutInRestore cuts the power before every operation of a restore. The
// directory is empty then, and can be restored into; or no server starts on it,
// and says why; or everything is there. After the restore everything is.
func TestPowerCutInRestore(t *testing.T) {
	for _, hold := range []bool{false, true} {
		t.Run(fmt.Sprintf("hold %v", hold), func(t *testing.T) {
			r := newRestoreCuts(t)
			mem := vfs.NewCrashableMem()
			var mu sync.Mutex // what the store deletes it deletes beside its other work
			cuts, looked := 0, 0
			to := newStore(t, errorfs.Wrap(mem, onWrite(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				cuts++
				for _, percent := range []int{0, 50, 100} {
					rng := rand.New(rand.NewPCG(uint64(cuts), uint64(percent)))
					after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
					looked += r.check(after, hold, fmt.Sprintf("cut %d before op %d of %s, %d%%", cuts, op.Kind, op.Path, percent))
				}
				return nil
			})), "data")
			if _, err := to.Restore(t.Context(), r.backup.files, appliance.RestoreOptions{Hold: hold}); err != nil {
				t.Fatal(err)
			}
			looked += r.check(mem.CrashClone(vfs.CrashCloneCfg{}), hold, "the end")
			if cuts < 30 || r.empty == 0 || r.unfinished == 0 || r.whole == 0 {
				t.Errorf("%d cuts, %d empty, %d unfinished, %d whole: the test looks in the wrong place", cuts, r.empty, r.unfinished, r.whole)
			}
			figures(t, fmt.Sprintf("power cuts in a restore, one before each step, hold %v", hold), 3*cuts, looked)
		})
	}
}

// restoreCuts is a backup, and what became of the directories that it was
// restored to.
type restoreCuts struct {
	t                        *testing.T
	l                        *ledger
	backup                   saved
	empty, unfinished, whole int
}

func newRestoreCuts(t *testing.T) *restoreCuts {
	mem, l := usedQueue(t)
	r := &restoreCuts{t: t, l: l, backup: make(saved)}
	s := startStore(t, mem, "data")
	if _, err := s.Backup(t.Context(), r.backup.add); err != nil {
		t.Fatal(err)
	}
	return r
}

// check says how many messages it looked for.
func (r *restoreCuts) check(fsys *vfs.MemFS, held bool, where string) (looked int) {
	r.t.Helper()
	names, err := fsys.List("data")
	must(r.t, ignoreMissing(err))
	names = slices.DeleteFunc(names, func(name string) bool { return name == lockName })
	switch {
	case len(names) == 0:
		r.empty++
		return 0
	case slices.Contains(names, restoringName):
		r.unfinished++
		s := newStore(r.t, fsys, "data")
		if err := s.Start(r.t.Context()); !errors.Is(err, errRestoring) {
			r.t.Errorf("%s: with half a restore the start says %v", where, err)
		}
		if _, err := s.Restore(r.t.Context(), r.backup.files, appliance.RestoreOptions{}); !errors.Is(err, errRestoring) {
			r.t.Errorf("%s: with half a restore another one says %v", where, err)
		}
		return 0
	}
	r.whole++
	if held {
		r.release(fsys, where)
	}
	return r.l.check(r.t, fsys, where)
}

// release releases everything, so that all of it is due.
func (r *restoreCuts) release(fsys *vfs.MemFS, where string) {
	r.t.Helper()
	s := newStore(r.t, fsys, "data")
	s.now = func() time.Time { return testTime }
	must(r.t, s.Start(r.t.Context()))
	if leased, err := leaseAll(s, testTime); err != nil || len(leased) > 0 {
		r.t.Errorf("%s: %d deliveries are due, %v", where, len(leased), err)
	}
	if _, err := s.Change(r.t.Context(), appliance.Filter{}, appliance.ChangeRelease); err != nil {
		r.t.Errorf("%s: %v", where, err)
	}
	must(r.t, s.Stop(r.t.Context()))
}
