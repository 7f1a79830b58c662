package disk

import (
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// A readFS is a file system on which nothing can be changed: a queue that is
// opened on it is as it was afterwards, whatever Pebble wants to do to it.
type readFS struct{ guard }

var _ vfs.FS = (*readFS)(nil)

func readOnly(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: syscall.EROFS}
}

// Create implements vfs.FS.
func (readFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, readOnly("create", name)
}

// OpenReadWrite implements vfs.FS.
func (readFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, readOnly("open", name)
}

// ReuseForWrite implements vfs.FS.
func (readFS) ReuseForWrite(_, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, readOnly("open", name)
}

// MkdirAll implements vfs.FS.
func (readFS) MkdirAll(name string, _ os.FileMode) error { return readOnly("mkdir", name) }

// Link implements vfs.FS.
func (readFS) Link(_, name string) error { return readOnly("link", name) }

// Rename implements vfs.FS.
func (readFS) Rename(_, name string) error { return readOnly("rename", name) }

// Remove implements vfs.FS.
func (readFS) Remove(name string) error { return readOnly("remove", name) }

// RemoveAll implements vfs.FS.
func (readFS) RemoveAll(name string) error { return readOnly("remove", name) }

// Lock implements vfs.FS. Nothing need be locked: who reads a queue has the
// lock of the directory, or a snapshot of its own.
func (readFS) Lock(string) (io.Closer, error) { return noFile{}, nil }

// reader returns a store of what lies in dir that can only be read, without a
// queue: see openReadOnly.
func (s *Store) reader(dir string) *Store {
	health := &health{log: zap.NewNop(), gauge: prometheus.NewGauge(prometheus.GaugeOpts{Name: "unused"}), closing: s.life.Done(), pauseTime: s.health.pauseTime}
	return &Store{fs: s.fs, now: s.now, log: zap.NewNop(), dir: dir, health: health, files: &guard{FS: s.fs, health: health}}
}

// openReadOnly opens the queue of a reader.
func (s *Store) openReadOnly() (err error) {
	o := s.queueOptions(nil)
	o.FS, o.ReadOnly, o.EventListener = &readFS{*s.files}, true, nil
	s.db, err = openQuietly(s.sub(queueName), o)
	return err
}
