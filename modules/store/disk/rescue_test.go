package disk

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/waxwing-mail/waxwing/appliance"
)

// oldQueue is a stopped store with messages in tables and in the log, some of
// them delivered since.
func oldQueue(t *testing.T) (*vfs.MemFS, *ledger) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	l := newLedger()
	s := newStore(t, mem, "data")
	must(t, s.Start(t.Context()))
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		noise := make([]byte, 500+rng.IntN(3000)) // so that tables have many blocks
		for j := range noise {
			noise[j] = "abcdefghijklmnopqrstuvwxyz012345"[rng.IntN(32)]
		}
		must(t, l.commit(s, appliance.QueueID(fmt.Sprintf("m%03d", i)), string(noise), "a", "b"))
		if i == 80 || i == 150 {
			must(t, s.db.Flush())
		}
	}
	must(t, l.commit(s, "large", strings.Repeat("x", large), "a"))
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	must(t, err)
	for i, one := range leased {
		switch i % 10 {
		case 0:
			must(t, l.deliver(s, one, nil, "a", "b"))
		case 1:
			must(t, l.deliver(s, one, nil, "a"))
		}
	}
	must(t, s.Stop(t.Context()))
	return mem, l
}

// TestDamagedQueueP10 damages every file of the queue in many places. The
// store starts, by itself, and what it has is what was committed. Damage in
// one place costs no more than the messages that were there.
func TestDamagedQueueP10(t *testing.T) {
	mem, l := oldQueue(t)
	names, err := mem.List("data/queue")
	must(t, err)
	slices.Sort(names)
	rng := rand.New(rand.NewPCG(5, 6))
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		path := "data/queue/" + name
		content, err := readFile(mem, path)
		must(t, err)
		for i := range 10 {
			how, damaged := damageFile(rng, i, content)
			where := fmt.Sprintf("%s, %d octets, %s", name, len(content), how)
			after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			must(t, after.Remove(path))
			if damaged != nil {
				g := &guard{FS: after, health: &health{}}
				must(t, g.writeFile("data/queue", name, damaged))
			}
			known := l
			if strings.HasSuffix(name, ".log") {
				known = l.forgetful()
			}
			known.checkDamaged(t, after, where, how == "flip")
		}
	}
}

// forgetful is the ledger for a log that is damaged. What it ends with may be
// a write that a power cut has torn: nobody can tell it from one that was
// acknowledged, so that the last message, and the last deliveries, may be
// gone in silence.
func (l *ledger) forgetful() *ledger {
	f := l.snapshot()
	f.unsure = true
	return f
}

// damageFile returns what becomes of a file; nil is that it is gone.
func damageFile(rng *rand.Rand, i int, content []byte) (how string, damaged []byte) {
	b := bytes.Clone(content)
	switch {
	case i == 0:
		return "gone", nil
	case i == 1:
		return "empty", []byte{}
	case i == 2:
		return "half", b[:len(b)/2]
	case i == 3:
		return "zeroes", make([]byte, len(b))
	case len(b) > 0:
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	return "flip", b
}

// checkDamaged is check for a queue with damage: messages may be missing, but
// not many after a single flip, and what is there is right.
func (l *ledger) checkDamaged(t *testing.T, fsys vfs.FS, where string, flip bool) {
	t.Helper()
	s := newStore(t, fsys, "data")
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("%s: does not start: %v", where, err)
		return
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}()
	there := l.leaseDamaged(t, s, where)
	lost := 0
	for id, e := range l.messages {
		if !there[id] && e.acked && len(e.done) < e.to {
			lost++
		}
	}
	aside, err := s.fs.List(s.sub(quarantineName))
	must(t, err)
	switch {
	case lost > 0 && len(aside) == 0 && !l.unsure:
		t.Errorf("%s: %d messages are lost and nothing is in the quarantine", where, lost)
	case flip && lost > 20:
		t.Errorf("%s: %d messages are lost", where, lost)
	case lost > 0:
		t.Logf("%s: %d messages are lost, in quarantine: %d", where, lost, len(aside))
	}
}

// leaseDamaged leases and reads everything. Damage that is found on the way
// is repaired, and what was being done is done again.
func (l *ledger) leaseDamaged(t *testing.T, s *Store, where string) map[appliance.QueueID]bool {
	t.Helper()
	there := make(map[appliance.QueueID]bool)
	for try := 0; ; try++ {
		s.leases.clear()
		clear(there)
		leased, err := leaseAll(s, testTime.Add(time.Minute))
		for _, one := range leased {
			if err == nil {
				err = l.checkLeased(one.Key.ID, one)
			}
			there[one.Key.ID] = true
		}
		if err == nil {
			return there
		}
		if try == 3 {
			t.Errorf("%s: %v", where, err)
			return there
		}
		waitRepaired(s)
	}
}

func waitRepaired(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.repairing {
		s.idle.Wait()
	}
}

// TestLogRecords: a log is read on behind what is damaged.
func TestLogRecords(t *testing.T) {
	mem, _ := oldQueue(t)
	names, err := mem.List("data/queue")
	must(t, err)
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		content, err := readFile(mem, "data/queue/"+name)
		must(t, err)
		var number uint32
		_, err = fmt.Sscanf(name, "%d.log", &number)
		must(t, err)
		all := 0
		if bad := logRecords(content, number, func([]byte) { all++ }); bad > 0 || all < 40 {
			t.Errorf("%s: %d records, %d damaged chunks", name, all, bad)
		}
		for at := 30; at < len(content); at += 1001 {
			b := bytes.Clone(content)
			b[at] ^= 0x10
			n := 0
			logRecords(b, number, func([]byte) { n++ })
			if n < all-15 { // a header costs its block
				t.Errorf("octet %d: %d of %d records left", at, n, all)
			}
		}
	}
}

// TestDamagedLog_P10: damage to what a log held durably costs the message that
// was there, and nothing behind it, wherever in the log it is and however short
// the log. Only of the record that a log ends with can nobody tell whether it
// was ever whole.
func TestDamagedLog_P10(t *testing.T) {
	mem, l := vfs.NewCrashableMem(), newLedger()
	s := startStore(t, mem, "data")
	const n = 40
	for i := range n {
		must(t, l.commit(s, appliance.QueueID(fmt.Sprintf("m%02d", i)), small, "a"))
	}
	path, size := "", 0
	names, err := mem.List("data/queue")
	must(t, err)
	for _, name := range names {
		if isLog(name) {
			path = "data/queue/" + name
		}
	}
	content, err := readFile(mem, path)
	must(t, err)
	number, _, _ := wal.ParseLogFilename(path[len("data/queue/"):])
	logRecords(content, uint32(number), func(record []byte) { size = len(record) + chunkHeaders[2] })
	end := len(bytes.TrimRight(content, "\x00"))
	for at := 0; at < end-2*size; at += 211 {
		after := mem.CrashClone(vfs.CrashCloneCfg{})
		b := bytes.Clone(content)
		b[at] ^= 1 << (at % 8)
		g := &guard{FS: after, health: &health{}}
		must(t, g.writeFile("data/queue", path[len("data/queue/"):], b))
		again := startStore(t, after, "data")
		there := l.leaseDamaged(t, again, fmt.Sprint("octet ", at))
		aside, err := after.List("data/quarantine")
		must(t, err)
		if len(there) < n-1 && len(aside) == 0 {
			t.Errorf("octet %d of %d: %d of %d messages are left, and nobody is told", at, end, len(there), n)
		}
		if inPayload(at%size) && len(there) != n-1 {
			t.Errorf("octet %d of %d: %d of %d messages are left", at, end, len(there), n)
		}
	}
}

// inPayload says whether an octet of a record in the log is not of its header,
// whose damage costs more: it hides where the next record begins.
func inPayload(at int) bool { return at >= chunkHeaders[2] }

// TestPowerCutInRescue cuts the power at every seventh operation of a rescue, and
// before those that change names. The next start finds the damaged queue, or the rescued one complete.
func TestPowerCutInRescue(t *testing.T) {
	mem, l := oldQueue(t)
	damageManifest(t, mem)
	var mu sync.Mutex
	cuts := 0
	cut := onWrite(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if cuts++; cuts%7 == 0 || op.Kind == errorfs.OpRename || op.Kind == errorfs.OpRemoveAll {
			after := mem.CrashClone(vfs.CrashCloneCfg{})
			l.checkRescued(t, after, fmt.Sprintf("cut %d before op %d of %s", cuts, op.Kind, op.Path))
		}
		return nil
	})
	s := newStore(t, errorfs.Wrap(mem, cut), "data")
	must(t, s.Start(t.Context()))
	must(t, s.Stop(t.Context()))
	l.checkRescued(t, mem.CrashClone(vfs.CrashCloneCfg{}), "the end")
	if cuts < 50 {
		t.Errorf("only %d cuts", cuts)
	}
}

// TestLostMarker: a queue whose marker names no manifest is damaged, and its
// records are carried over; but one that never held a record is new. It is on a
// real disk, where a directory cannot be read like a file.
func TestLostMarker(t *testing.T) {
	lose := func(dir string, names ...string) {
		for _, name := range names {
			paths, err := filepath.Glob(filepath.Join(dir, queueName, name))
			must(t, err)
			if len(paths) == 0 {
				t.Fatalf("no %s", name)
			}
			for _, path := range paths {
				must(t, os.Remove(path))
			}
		}
	}
	waiting := func(dir string) (n int) {
		s := newStore(t, nil, dir)
		must(t, s.Start(t.Context()))
		for _, err := range s.Query(t.Context(), appliance.Filter{}) {
			must(t, err)
			n++
		}
		must(t, s.Stop(t.Context()))
		return n
	}
	for _, lost := range [][]string{{"marker.manifest.*"}, {"marker.manifest.*", "MANIFEST-*"}} {
		dir := filepath.Join(t.TempDir(), "data")
		s := newStore(t, nil, dir)
		must(t, s.Start(t.Context()))
		for _, id := range []appliance.QueueID{"table", "log"} {
			msg, err := accepted(s, id, "body", "x")
			must(t, err)
			must(t, s.Commit(t.Context(), msg))
			if id == "table" {
				must(t, s.db.Flush())
			}
		}
		must(t, s.Stop(t.Context()))
		lose(dir, lost...)
		if n := waiting(dir); n != 2 {
			t.Errorf("without %v: %d messages, want 2", lost, n)
		}
	}
	// A crash between the two files that Pebble makes first.
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.MkdirAll(filepath.Join(dir, queueName), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, queueName, "MANIFEST-000001"), nil, 0o600))
	if n := waiting(dir); n != 0 {
		t.Errorf("%d messages in a new queue", n)
	}
	if aside, err := os.ReadDir(filepath.Join(dir, quarantineName)); err != nil || len(aside) > 0 {
		t.Errorf("quarantine of a new queue: %v, %v", aside, err)
	}
}

func damageManifest(t *testing.T, mem *vfs.MemFS) {
	t.Helper()
	g := &guard{FS: mem, health: &health{}}
	names, err := mem.List("data/queue")
	must(t, err)
	n := 0
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") {
			content, err := readFile(mem, "data/queue/"+name)
			must(t, err)
			content[len(content)-1] ^= 1
			must(t, g.writeFile("data/queue", name, content))
			n++
		}
	}
	if n == 0 {
		t.Fatal("no manifest")
	}
}

// checkRescued: nothing is lost by a damaged manifest.
func (l *ledger) checkRescued(t *testing.T, fsys *vfs.MemFS, where string) {
	t.Helper()
	s := newStore(t, fsys, "data")
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("%s: does not start: %v", where, err)
		return
	}
	there := l.leaseDamaged(t, s, where)
	for id, e := range l.messages {
		if !there[id] && e.acked && len(e.done) < e.to {
			t.Errorf("%s: message %s is lost", where, id)
		}
	}
	for _, name := range []string{rescuedName, sorterName} {
		if isDir(fsys, s.sub(name)) {
			t.Errorf("%s: %s is left over", where, name)
		}
	}
	must(t, s.Stop(context.Background()))
}

// TestRepairWhileRunning: damage that is found while the store runs is
// repaired without a restart. Work goes on, leases and drafts included.
func TestRepairWhileRunning(t *testing.T) {
	mem, l := oldQueue(t)
	names, err := mem.List("data/queue")
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			b, err := mem.UnsafeGetFileDataBuffer("data/queue/" + name)
			must(t, err)
			b[1000] ^= 1 // in a block of bodies
		}
	}
	s := startStore(t, mem, "data")
	d, err := s.Draft(t.Context())
	must(t, err)
	_, err = d.Write([]byte(strings.Repeat("y", large)))
	must(t, err)
	there := l.leaseDamaged(t, s, "running")
	if n := len(there); n < 170 {
		t.Errorf("%d messages are there", n)
	}
	aside, err := mem.List("data/quarantine")
	must(t, err)
	if !slices.ContainsFunc(aside, func(name string) bool { return strings.HasPrefix(name, "queue-") }) {
		t.Errorf("the damaged queue is not in the quarantine: %v", aside)
	}
	must(t, s.Healthy())
	msg, err := accepted(s, "new", "", "a")
	must(t, err)
	msg.Draft = d
	must(t, s.Commit(t.Context(), msg))
	for e, err := range s.Query(t.Context(), appliance.Filter{IDs: []appliance.QueueID{"new"}}) {
		must(t, err)
		if e.Size < large {
			t.Errorf("the draft of before the repair holds %d octets", e.Size)
		}
	}
}
