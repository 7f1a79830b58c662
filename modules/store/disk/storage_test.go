package disk

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/waxwing-mail/waxwing/appliance"
)

// aStoreOnDisk has messages in a table and in the log, small ones and one in a
// file, one of them held, and a value.
func aStoreOnDisk(t *testing.T) (*Store, *ledger) {
	t.Helper()
	s, l := startStore(t, nil, filepath.Join(t.TempDir(), "data")), newLedger()
	must(t, l.put(s, "signer/x/key", "a key"))
	must(t, l.commit(s, "table", strings.Repeat("in a table\r\n", 4000), "a", "b"))
	must(t, s.db.Flush())
	must(t, l.commit(s, "log", "in the log\r\n", "a"))
	must(t, l.commit(s, "file", strings.Repeat("x", large), "a"))
	must(t, l.commit(s, "held", "waits\r\n", "a"))
	n, err := s.Change(t.Context(), appliance.Filter{IDs: []appliance.QueueID{"held"}}, appliance.ChangeHold)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	return s, l
}

// stopped returns a store of the same directory that is not started.
func stopped(t *testing.T, s *Store) *Store {
	t.Helper()
	must(t, s.Stop(t.Context()))
	return newStore(t, s.fs, s.dir)
}

func whats(all []appliance.StorageFinding) (names []string) {
	for _, f := range all {
		names = append(names, f.What)
	}
	return names
}

// fingerprint is the content of every file below a directory, and its time.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		must(t, err)
		all[path] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			must(t, err)
			all[path] += fi.ModTime().String() + string(b)
		}
		return nil
	}))
	return all
}

// TestVerify: a store that is well is found to be, while it runs and when it
// is stopped, and is the same afterwards.
func TestVerify(t *testing.T) {
	s, _ := aStoreOnDisk(t)
	check := func(s *Store, what string) {
		r, err := s.Verify(t.Context())
		must(t, err)
		if r.Directory != s.dir || r.Format != layoutVersion || r.Messages != 4 || r.Deliveries != 4 || r.Held != 1 || r.Values != 1 ||
			r.Octets < large || len(r.Damaged)+len(r.SetAside)+len(r.Foreign)+r.LeftOver > 0 {
			t.Errorf("%s: %+v", what, r)
		}
		if _, err := os.Lstat(s.sub(snapshotName)); err == nil {
			t.Errorf("%s: the snapshot is left over", what)
		}
	}
	check(s, "running")
	off := stopped(t, s)
	before := fingerprint(t, s.dir)
	check(off, "stopped")
	after := fingerprint(t, s.dir)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s has changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, and there were %d", len(after), len(before))
	}
}

// TestVerifyDamage_R8: each kind of damage is found, by its name, and named
// once; nothing else is.
func TestVerifyDamage_R8(t *testing.T) {
	flip := func(name string, at int) func(t *testing.T, s *Store) {
		return func(t *testing.T, s *Store) {
			paths, err := filepath.Glob(s.sub(name))
			must(t, err)
			if len(paths) == 0 {
				t.Fatalf("no %s", name)
			}
			path := paths[len(paths)-1]
			b, err := os.ReadFile(path)
			must(t, err)
			b[at] ^= 1
			must(t, os.WriteFile(path, b, 0o600))
		}
	}
	file := func(name string, do func(path string) error) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) { must(t, do(s.sub(name))) }
	}
	// record changes what is stored while the store runs.
	record := func(change func(s *Store) error) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) {
			again := startStore(t, nil, s.dir)
			must(t, change(again))
			must(t, again.Stop(t.Context()))
		}
	}
	first := func(id appliance.QueueID) appliance.DeliveryKey { return appliance.DeliveryKey{ID: id} }
	flipRecord := func(key []byte) func(*Store) error {
		return func(s *Store) error {
			b, err := s.get(key)
			must(t, err)
			b[len(b)/2] ^= 4
			return s.db.Set(key, b, pebble.Sync)
		}
	}
	for _, c := range []struct {
		name    string
		damage  func(t *testing.T, s *Store)
		damaged string // what one of the findings begins with, "" for none
		foreign string
		left    int
	}{
		{"a message record", record(flipRecord(messageKey("log"))), "message log", "", 0},
		{"a body record", record(flipRecord(bodyKey("log"))), "message log", "", 0},
		{"a delivery record", record(flipRecord(deliveryKey(first("log")))), "message log", "", 0},
		{"two records exchanged", record(func(s *Store) error {
			b, err := s.get(bodyKey("held"))
			must(t, err)
			return s.db.Set(bodyKey("log"), b, pebble.Sync)
		}), "message log", "", 0},
		{"no message record", record(func(s *Store) error { return s.db.Delete(messageKey("log"), pebble.Sync) }), "message log", "", 0},
		{"no body record", record(func(s *Store) error { return s.db.Delete(bodyKey("log"), pebble.Sync) }), "message log", "", 0},
		{"no delivery", record(func(s *Store) error { return s.db.Delete(deliveryKey(first("log")), pebble.Sync) }), "message log", "", 1},
		{"no place in the schedule", record(func(s *Store) error {
			r, err := s.delivery(first("log"))
			must(t, err)
			return s.db.Delete(indexKey(first("log"), &r.Delivery), pebble.Sync)
		}), "message log", "", 0},
		{"a stale place in the schedule", record(func(s *Store) error {
			return s.db.Set(indexKey(first("log"), &appliance.Delivery{Destination: "mx/other"}), nil, pebble.Sync)
		}), "", "", 1},
		{"a body flipped", flip("bodies/file", 1000), "message file", "", 0},
		{"a body cut", file("bodies/file", func(p string) error { return os.Truncate(p, 1000) }), "message file", "", 0},
		{"a body grown", file("bodies/file", func(p string) error { return os.Truncate(p, large+1) }), "message file", "", 0},
		{"a body zeroed", file("bodies/file", func(p string) error { return os.WriteFile(p, make([]byte, large), 0o600) }), "message file", "", 0},
		{"a body gone", file("bodies/file", os.Remove), "message file", "", 0},
		{"a link for a body", file("bodies/file", func(p string) error {
			return firstError(os.Rename(p, p+"0"), os.Symlink(p+"0", p))
		}), "message file", "bodies/file", 1},
		{"a FIFO for a body", file("bodies/file", func(p string) error {
			return firstError(os.Remove(p), unix.Mkfifo(p, 0o600))
		}), "message file", "bodies/file", 0},
		{"a directory for a body", file("bodies/file", func(p string) error {
			return firstError(os.Remove(p), os.Mkdir(p, 0o700))
		}), "message file", "bodies/file", 0},
		{"a body of nobody", file("bodies/other", func(p string) error { return os.WriteFile(p, nil, 0o600) }), "", "", 1},
		{"a draft", file("bodies/.draft-9", func(p string) error { return os.WriteFile(p, nil, 0o600) }), "", "", 1},
		{"a strange file", file("bodies/READ ME", func(p string) error { return os.WriteFile(p, nil, 0o600) }), "", "bodies/READ ME", 0},
		{"a strange file at the top", file("notes", func(p string) error { return os.WriteFile(p, nil, 0o600) }), "", "notes", 0},
		{"a FIFO in the queue", file("queue/fifo.sst", func(p string) error { return unix.Mkfifo(p, 0o600) }), "", "queue/fifo.sst", 0},
		{"a link for a value", file("values/link", func(p string) error { return os.Symlink("/etc/passwd", p) }), "", "values/link", 0},
		{"a table flipped", flip("queue/*.sst", 60), "queue/", "", 0},
		{"a log flipped", flip("queue/*.log", 60), "queue/", "", 0},
		{"a manifest flipped", flip("queue/MANIFEST-*", 20), "queue", "", 0},
		{"no marker", file("queue", func(p string) error {
			all, err := filepath.Glob(filepath.Join(p, "marker.manifest.*"))
			return firstError(err, os.Remove(all[0]))
		}), "queue", "", 0},
		{"no format", file("format", os.Remove), "format", "", 0},
		{"a format of zeroes", file("format", func(p string) error { return os.WriteFile(p, make([]byte, 16), 0o600) }), "format", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := aStoreOnDisk(t)
			if strings.Contains(c.name, "log flipped") { // kill: a stop would move the log to a table
				s = killed(t, s)
			} else {
				s = stopped(t, s)
			}
			c.damage(t, s)
			r, err := s.Verify(t.Context())
			must(t, err)
			found := whats(r.Damaged)
			if c.damaged == "" && len(found) > 0 ||
				c.damaged != "" && !slices.ContainsFunc(found, func(what string) bool { return strings.HasPrefix(what, c.damaged) }) {
				t.Errorf("damaged: %v, want %q", r.Damaged, c.damaged)
			}
			if strings.HasPrefix(c.damaged, "message") && (len(found) != 1 || r.Messages < 3) {
				t.Errorf("%d messages are whole, damaged: %v", r.Messages, r.Damaged)
			}
			if got := strings.Join(whats(r.Foreign), " "); got != c.foreign {
				t.Errorf("foreign: %q, want %q", got, c.foreign)
			}
			if r.LeftOver != c.left {
				t.Errorf("left over: %d, want %d", r.LeftOver, c.left)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// killed returns a store of a copy of the directory, as it is at this moment.
func killed(t *testing.T, s *Store) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.CopyFS(dir, os.DirFS(s.dir)))
	return newStore(t, nil, dir)
}

// TestVerifyWhileRunning_P10: damage that the server has not met yet is found,
// and nothing is done about it.
func TestVerifyWhileRunning_P10(t *testing.T) {
	s, _ := aStoreOnDisk(t)
	must(t, os.Truncate(s.bodyPath("file"), 17))
	r, err := s.Verify(t.Context())
	must(t, err)
	if got := whats(r.Damaged); !slices.Equal(got, []string{"message file"}) || r.Messages != 3 {
		t.Errorf("damaged: %v", r.Damaged)
	}
	if aside, err := os.ReadDir(s.sub(quarantineName)); err != nil || len(aside) > 0 {
		t.Errorf("verify has set aside %v, %v", aside, err)
	}
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	must(t, err)
	for _, one := range leased { // now the server meets it
		if r, err := one.Message.Body.Open(); err == nil {
			_, _ = io.Copy(io.Discard, r)
		}
	}
	r, err = s.Verify(t.Context())
	must(t, err)
	if got := whats(r.SetAside); len(r.Damaged) > 0 || !slices.Equal(got, []string{"quarantine/file"}) {
		t.Errorf("damaged: %v, set aside: %v", r.Damaged, r.SetAside)
	}
}

// TestVerifyRefuses: what is no store, or of somebody else, is said to be that.
func TestVerifyRefuses(t *testing.T) {
	s, _ := aStoreOnDisk(t)
	_, err := newStore(t, nil, s.dir).Verify(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another waxwing is running") {
		t.Errorf("P11: a store that runs in another process: %v", err)
	}
	if _, err := newStore(t, nil, t.TempDir()).Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "holds no queue") {
		t.Errorf("an empty directory: %v", err)
	}
	s = stopped(t, s)
	must(t, os.WriteFile(s.sub(formatName), []byte(formatText(layoutVersion+1)), 0o600))
	if _, err := s.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "newer waxwing") {
		t.Errorf("P20: of a newer version: %v", err)
	}
}

// saved is a backup in memory.
type saved map[string][]byte

func (b saved) add(name string, size int64, content io.Reader) error {
	text, err := io.ReadAll(content)
	if int64(len(text)) != size {
		return fmt.Errorf("%s has %d octets, and %d were announced", name, len(text), size)
	}
	b[name] = text
	return err
}

func (b saved) files(each appliance.BackupFile) error {
	for name, text := range b {
		if err := each(name, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

// TestRestore: what was saved, while the store ran and when it was stopped, is
// what is restored. With Hold nothing of it is due.
func TestRestore(t *testing.T) {
	s, l := aStoreOnDisk(t)
	running, off := make(saved), make(saved)
	r, err := s.Backup(t.Context(), running.add)
	if err != nil || r.Messages != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err = stopped(t, s).Backup(t.Context(), off.add)
	must(t, err)
	for _, c := range []struct {
		name   string
		backup saved
		hold   bool
		due    int
	}{{"running", running, false, 3}, {"stopped", off, false, 3}, {"held", running, true, 0}} {
		t.Run(c.name, func(t *testing.T) {
			to := newStore(t, nil, filepath.Join(t.TempDir(), "new"))
			r, err := to.Restore(t.Context(), c.backup.files, appliance.RestoreOptions{Hold: c.hold})
			if err != nil || r.Messages != 4 || r.Held != 4-c.due {
				t.Fatalf("%+v, %v", r, err)
			}
			must(t, to.Start(t.Context()))
			leased, err := leaseAll(to, testTime.Add(time.Minute))
			must(t, err)
			if len(leased) != c.due {
				t.Errorf("%d deliveries are due, want %d", len(leased), c.due)
			}
			for _, one := range leased {
				if err := l.checkLeased(one.Key.ID, one); err != nil {
					t.Error(err)
				}
			}
			l.checkValues(t, to, c.name)
			n, err := to.Change(t.Context(), appliance.Filter{}, appliance.ChangeRelease)
			if err != nil || n != 4-c.due {
				t.Errorf("%d deliveries can be released, %v", n, err)
			}
			must(t, to.Stop(t.Context()))
			if _, err := os.Lstat(to.sub(restoringName)); err == nil {
				t.Error("restoring is left over")
			}
		})
	}
}

// TestRestoreRefuses: a restore replaces nothing, and is all or nothing.
func TestRestoreRefuses(t *testing.T) {
	s, _ := aStoreOnDisk(t)
	good := make(saved)
	_, err := s.Backup(t.Context(), good.add)
	must(t, err)
	damaged := make(saved)
	for name, text := range good {
		damaged[name] = text
	}
	damaged["bodies/file"] = damaged["bodies/file"][:99]
	for _, c := range []struct {
		name   string
		there  string
		backup func(appliance.BackupFile) error
		want   string
	}{
		{"a directory that is used", "queue", good.files, "not empty"},
		{"a directory of somebody", "notes.txt", good.files, "not empty"},
		{"an unfinished restore", restoringName, good.files, "not finished"},
		{"a damaged backup", "", damaged.files, "message file"},
		{"a backup that ends early", "", func(each appliance.BackupFile) error {
			return firstError(good.files(each), io.ErrUnexpectedEOF)
		}, "unexpected EOF"},
		{"a way out", "", saved{"bodies/../../x": nil}.files, "no file of a store"},
		{"another file", "", saved{"lock": nil}.files, "no file of a store"},
		{"nothing", "", saved{}.files, "holds no queue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := newStore(t, nil, filepath.Join(t.TempDir(), "new"))
			if c.there != "" {
				must(t, os.MkdirAll(filepath.Join(to.dir, c.there), 0o700))
			}
			_, err := to.Restore(t.Context(), c.backup, appliance.RestoreOptions{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			names, err := to.fs.List(to.dir)
			must(t, err)
			names = slices.DeleteFunc(names, func(name string) bool { return name == lockName })
			if want := strings.Fields(c.there); !slices.Equal(names, want) {
				t.Errorf("there is %v, want %v", names, want)
			}
		})
	}
	to := newStore(t, nil, filepath.Join(t.TempDir(), "new"))
	if _, err := to.Restore(t.Context(), damaged.files, appliance.RestoreOptions{Damaged: true}); err != nil {
		t.Errorf("what is left of a damaged backup: %v", err)
	}
	half := newStore(t, nil, filepath.Join(t.TempDir(), "half"))
	must(t, os.MkdirAll(half.sub(restoringName), 0o700))
	if err := half.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Errorf("a start on half a restore: %v", err)
	}
}

// TestSnapshotLeavesNoTrace: a snapshot that a crash has left is removed, and
// there is one at a time.
func TestSnapshotLeavesNoTrace(t *testing.T) {
	s, _ := aStoreOnDisk(t)
	_, err := s.Backup(t.Context(), func(string, int64, io.Reader) error {
		_, err := s.Verify(t.Context())
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second one: %v", err)
	}
	if _, err := os.Lstat(s.sub(snapshotName)); err == nil {
		t.Error("a backup that failed has left its snapshot")
	}
	must(t, s.Healthy())
	must(t, s.Stop(t.Context()))
	if _, err := s.Verify(t.Context()); err == nil {
		t.Error("a store that was stopped is verified")
	}
	must(t, os.MkdirAll(filepath.Join(s.dir, snapshotName, queueName), 0o700))
	startStore(t, nil, s.dir)
	if _, err := os.Lstat(s.sub(snapshotName)); err == nil {
		t.Error("a start has left an old snapshot")
	}
}

// TestBackupInMemory: on a file system without links a snapshot is a copy.
func TestBackupInMemory(t *testing.T) {
	s, l := startStore(t, vfs.NewMem(), "data"), newLedger()
	must(t, l.commit(s, "file", strings.Repeat("x", large), "a"))
	b := make(saved)
	_, err := s.Backup(t.Context(), b.add)
	if err != nil || b["bodies/file"] == nil {
		t.Errorf("%d files, %v", len(b), err)
	}
}
