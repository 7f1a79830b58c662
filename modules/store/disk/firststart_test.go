package disk

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestPowerCutInFirstStart cuts the power before every operation of the first
// start there is, of which any part may be on the disk. The next start begins
// anew: nothing is taken for damaged, since there was nothing yet.
func TestPowerCutInFirstStart(t *testing.T) {
	tries := 8
	if testing.Short() {
		tries = 2
	}
	cuts := 0
	for try := range tries {
		mem := vfs.NewCrashableMem()
		var mu sync.Mutex
		step := 0
		s := newStore(t, errorfs.Wrap(mem, onWrite(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			step++
			for percent := 20; percent <= 80; percent += 20 {
				cuts++
				rng := rand.New(rand.NewPCG(uint64(try), uint64(step)))
				after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
				checkFirstStart(t, after, fmt.Sprintf("cut %d before op %d of %s, %d%%", step, op.Kind, op.Path, percent))
			}
			return nil
		})), "data")
		must(t, s.Start(t.Context()))
		must(t, s.Stop(t.Context()))
	}
	if cuts < 100*tries {
		t.Errorf("only %d cuts: the test looks in the wrong place", cuts)
	}
}

func checkFirstStart(t *testing.T, after *vfs.MemFS, where string) {
	t.Helper()
	before := after.String()
	s := newStore(t, after, "data")
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("%s: %v\n%s", where, err, before)
		return
	}
	aside, err := after.List("data/" + quarantineName)
	must(t, ignoreMissing(err))
	if len(aside) > 0 {
		t.Errorf("%s: set aside: %q\n%s", where, aside, before)
	}
	must(t, s.Stop(t.Context()))
}
