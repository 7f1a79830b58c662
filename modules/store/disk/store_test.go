package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(child(dir))
	}
	// Pebble forgets this one when it cannot be opened, which ends the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(
		"github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

// newStore returns a provisioned store in a directory of fsys.
func newStore(t testing.TB, fsys vfs.FS, dir string) *Store {
	t.Helper()
	s := New()
	s.fs = fsys
	if err := s.Provision(&appliance.Context{DataDir: dir}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreOnDisk(t *testing.T) {
	appliancetest.RunStore(t, appliancetest.StoreCase{
		Open: func(t *testing.T) appliance.Store { return newStore(t, nil, filepath.Join(t.TempDir(), "data")) },
		Again: func(t *testing.T, s appliance.Store) appliance.Store {
			return newStore(t, nil, s.(*Store).dir)
		},
	})
}

func TestStoreInMemory(t *testing.T) {
	appliancetest.RunStore(t, appliancetest.StoreCase{
		Open: func(t *testing.T) appliance.Store { return newStore(t, vfs.NewCrashableMem(), "data") },
		Again: func(t *testing.T, s appliance.Store) appliance.Store {
			return newStore(t, s.(*Store).fs, "data")
		},
	})
}
