package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// startLimit is how long a start may take, whatever fails: in memory it takes
// some milliseconds.
const startLimit = 20 * time.Second

// onRead is called before every operation that only looks at the disk.
type onRead func(op errorfs.Op) error

func (f onRead) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return f(op)
	}
	return nil
}

func (onRead) String() string { return "on read" }

// unreadable does nothing of a read that fails.
func unreadable(good vfs.FS, fault func(string) error) vfs.FS {
	return errorfs.Wrap(good, onRead(func(o errorfs.Op) error { return fault(fmt.Sprintf("%d of %s", o.Kind, o.Path)) }))
}

// usedQueue is the disk after a life that a power cut has ended: a table, a
// log that is not in it, bodies and values, and what the next start removes.
func usedQueue(t *testing.T) (*vfs.MemFS, *ledger) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	l := newLedger()
	s := startStore(t, mem, "data")
	must(t, life(s, l))
	rest(t, s)
	must(t, l.commit(s, "m6", small, "a"))
	must(t, s.files.writeFile(s.sub(bodiesName), "orphan", []byte("of a commit that never was")))
	return mem.CrashClone(vfs.CrashCloneCfg{}), l
}

// TestFaultAtStart_R4 fails the n-th operation of a start on a queue with
// messages, for every n, once or from then on. The start ends, and says which
// file it was and why; whatever was acknowledged is there afterwards, and
// nothing is taken for damaged that could not be read or written.
func TestFaultAtStart_R4(t *testing.T) {
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
		{"done and EIO once", lying, syscall.EIO, true},
		{"short write and EIO from then on", short, syscall.EIO, false},
		{"reading, EIO once", unreadable, syscall.EIO, true},
		{"reading, EIO from then on", unreadable, syscall.EIO, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			used, l := usedQueue(t)
			n, looked, refused := 0, 0, 0
			for more := true; more && !t.Failed(); {
				a := startAttempt{t: t, l: l, fault: &fault{n: n + 1, err: c.err, once: c.once}}
				var k int
				if k, more = a.on(used.CrashClone(vfs.CrashCloneCfg{}), c.disk); more {
					n, looked = n+1, looked+k
				}
				if a.refused {
					refused++
				}
			}
			if n < 3 || refused == 0 {
				t.Errorf("%d operations, %d starts refused: the test looks in the wrong place", n, refused)
			}
			figures(t, "operations of a start that fail: "+c.name, n, looked)
			t.Logf("%d operations, %d starts refused", n, refused)
		})
	}
}

// A startAttempt is one start with a fault.
type startAttempt struct {
	t       *testing.T
	l       *ledger
	fault   *fault
	refused bool
}

// on starts a store, and another one on what a power cut leaves of that. It
// says how many messages it looked for and whether there was an n-th operation.
func (a *startAttempt) on(mem *vfs.MemFS, disk faultyDisk) (looked int, happened bool) {
	s := newStore(a.t, disk(mem, a.fault.on), "data")
	s.health.pauseTime = 0
	started := make(chan error, 1)
	go func() { started <- s.Start(context.Background()) }()
	var err error
	select {
	case err = <-started:
	case <-time.After(startLimit):
		a.t.Errorf("operation %d, %s: the start has not ended", a.fault.n, a.fault.where())
		return 0, true
	}
	if err == nil {
		_ = s.Stop(context.Background()) // may fail, too
	} else {
		a.refused = true
		a.checkReason(err)
	}
	if a.fault.at.Load() == nil {
		return 0, false
	}
	return a.l.check(a.t, mem.CrashClone(vfs.CrashCloneCfg{}), fmt.Sprintf("operation %d, %s", a.fault.n, a.fault.where())), true
}

// checkReason: who reads the error knows what the disk said, and of what.
func (a *startAttempt) checkReason(err error) {
	var path *fs.PathError
	if !errors.Is(err, a.fault.err) || !errors.As(err, &path) || !strings.Contains(err.Error(), path.Path) ||
		!strings.Contains(err.Error(), "start again") {
		a.t.Errorf("operation %d, %s: the start says %v", a.fault.n, a.fault.where(), err)
	}
}

// TestEmptyDirectoryP1: the data directory is there, empty, and its name is not
// durable, as mkdir leaves it. What is committed in it is.
func TestEmptyDirectoryP1(t *testing.T) {
	mem := vfs.NewCrashableMem()
	must(t, mem.MkdirAll("data", 0o700))
	s := newStore(t, mem, "data")
	must(t, s.Start(t.Context()))
	l := newLedger()
	must(t, l.commit(s, "m1", small, "a"))
	after := mem.CrashClone(vfs.CrashCloneCfg{})
	must(t, s.Stop(t.Context()))
	if l.check(t, after, "a power cut") != 1 {
		t.Error("the test looks for nothing")
	}
}

// TestVerifyAfterStartThatWasCut cuts the power before every operation of a
// start. The queue is well at the next one, and what is verified right then is:
// whatever step it was, the snapshot of it can be opened.
func TestVerifyAfterStartThatWasCut(t *testing.T) {
	used, l := usedQueue(t)
	var moments []moment
	var mu sync.Mutex
	s := newStore(t, errorfs.Wrap(used, onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		where := fmt.Sprintf("cut %d before op %d of %s", len(moments), op.Kind, op.Path)
		moments = append(moments, moment{l, used.CrashClone(vfs.CrashCloneCfg{}), where})
		return nil
	})), "data")
	must(t, s.Start(t.Context()))
	must(t, s.Stop(t.Context()))
	for _, m := range moments {
		s := startStore(t, m.fs, "data")
		r, err := s.Verify(t.Context())
		if err != nil || len(r.Damaged) > 0 || r.Messages == 0 {
			t.Errorf("%s: %d messages, %v, %v", m.where, r.Messages, r.Damaged, err)
		}
	}
	if len(moments) < 30 {
		t.Errorf("only %d cuts: the test looks in the wrong place", len(moments))
	}
}
