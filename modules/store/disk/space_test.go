package disk

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

func startWithReserve(t *testing.T, fsys vfs.FS, reserve appliance.Size) *Store {
	t.Helper()
	s := New()
	s.fs = fsys
	if err := s.Provision(&appliance.Context{DataDir: "data", Limits: appliance.Limits{MinFreeDisk: reserve}}); err != nil {
		t.Fatal(err)
	}
	s.space.interval = 0
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestReserveP9: below the reserve mail is refused with 452 4.3.1, delivery
// goes on, and mail is accepted again without a restart.
func TestReserveP9(t *testing.T) {
	mem := vfs.NewMem()
	free := func(n uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40}) }
	free(1 << 30)
	s := startWithReserve(t, mem, 256<<20)
	l := newLedger()
	if err := l.commit(s, "m1", small, "a"); err != nil {
		t.Fatal(err)
	}
	growing, err := s.Draft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	free(257 << 20)
	for size, want := range map[int64]error{0: nil, 1 << 20: nil, 1<<20 + 1: appliance.ErrFull} {
		if err := s.Room(t.Context(), size); !errors.Is(err, want) {
			t.Errorf("1 MiB above the reserve, room for %d: %v", size, err)
		}
	}
	free(256<<20 - 1)
	if err := s.Room(t.Context(), 0); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("room below the reserve: %v", err)
	}
	if _, err := s.Draft(t.Context()); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("draft below the reserve: %v", err)
	}
	// A large message that began in time does not use up the reserve.
	if _, err := io.Copy(growing, strings.NewReader(strings.Repeat("x", 4*spaceCheck))); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("a growing draft below the reserve: %v", err)
	}
	if err := growing.Abort(); err != nil {
		t.Error(err)
	}
	leased, err := leaseAll(s, testTime)
	if err != nil || len(leased) != 1 {
		t.Fatalf("lease below the reserve: %v, %v", leased, err)
	}
	if err := l.deliver(s, leased[0], nil, "a"); err != nil {
		t.Errorf("settle below the reserve: %v", err)
	}
	free(256 << 20)
	if err := l.commit(s, "m2", small, "a"); err != nil {
		t.Errorf("commit with space again: %v", err)
	}
}

// TestFullDiskR3: the log of the queue finds the disk full. The ballast keeps
// delivery going; when that is used up, too, delivery waits; and all of it
// comes back without a restart.
func TestFullDiskR3(t *testing.T) {
	mem := vfs.NewMem()
	free := func(n uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40}) }
	free(1 << 30)
	var full atomic.Bool
	s := startWithReserve(t, errorfs.Wrap(mem, onWrite(func(op errorfs.Op) error {
		if !full.Load() || op.Kind != errorfs.OpFileWrite || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		if _, err := mem.Stat("data/" + ballastName); err != nil {
			return nil // somebody made room
		}
		return syscall.ENOSPC
	})), 0)
	l := newLedger()
	for _, id := range []appliance.QueueID{"m1", "m2"} {
		if err := l.commit(s, id, small, "a"); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	free(lastSpace)
	leased, err := leaseAll(s, testTime)
	if err != nil || len(leased) != 2 {
		t.Fatalf("lease on a full disk: %v, %v", leased, err)
	}
	if err := l.deliver(s, leased[0], nil, "a"); err != nil {
		t.Fatalf("settle on a full disk: %v", err)
	}
	if err := l.commit(s, "m3", small, "a"); !errors.Is(err, appliance.ErrFull) {
		t.Errorf("commit on a full disk: %v", err)
	}
	free(lastSpace - 1)
	if err := l.deliver(s, leased[1], nil, "a"); !errors.Is(err, errNoSpace) {
		t.Errorf("settle without any space: %v", err)
	}
	if _, err := leaseAll(s, testTime.Add(time.Hour)); !errors.Is(err, errNoSpace) {
		t.Errorf("lease without any space: %v", err)
	}
	full.Store(false)
	free(1 << 30)
	if err := l.deliver(s, leased[1], nil, "a"); err != nil {
		t.Errorf("settle with space again: %v", err)
	}
	if err := l.commit(s, "m4", small, "a"); err != nil {
		t.Errorf("commit with space again: %v", err)
	}
	if _, err := mem.Stat("data/" + ballastName); err != nil {
		t.Errorf("no new ballast: %v", err)
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
}

// R16: drafts share a budget of memory; beyond it the smallest goes to a file.
func TestDraftMemoryR16(t *testing.T) {
	mem := vfs.NewMem()
	s := startStore(t, mem, "data")
	s.memory.used.Store(maxDraftMemory - 10_000)
	l := newLedger()
	if err := l.commit(s, "first", strings.Repeat("x", 5000), "a"); err != nil {
		t.Fatal(err)
	}
	if used := s.memory.used.Load(); used != maxDraftMemory-10_000 {
		t.Errorf("a draft that is over still counts: %d", used)
	}
	if err := l.commit(s, "second", strings.Repeat("x", 50_000), "a"); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("data/bodies")
	if err != nil || len(names) != 1 || names[0] != "second" {
		t.Errorf("in bodies: %v, %v", names, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.check(t, mem, "afterwards")
}
