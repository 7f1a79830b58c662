package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A queueFS is the file system as Pebble sees it. Pebble has no answer to a
// log or a manifest that cannot be written but to panic, with locks held, and
// it tries again at once, for ever, to write a table, even while it opens. So
// it is never told of either:
//
//   - a write that finds the disk full gives up the ballast and is done again;
//   - a table that still does not fit is an error, after a pause; while the
//     queue is being opened, which waits for the table, it is a failure;
//   - a file that cannot be opened because there is no file descriptor left is
//     opened when there is one;
//   - any other failure makes the store fail, and from then on nothing changes
//     on the disk while Pebble believes that everything goes well. What it
//     then reports as written is acknowledged to nobody, because the store
//     asks health last.
type queueFS struct {
	guard
	space     *space
	snapshots string      // the directory of snapshots, which Pebble fills, too
	opened    atomic.Bool // pebble.Open has returned
}

var _ vfs.FS = (*queueFS)(nil)

// aside says whether a file is of a snapshot: nothing depends on it, and who
// makes it is told of every error.
func (q *queueFS) aside(name string) bool { return strings.HasPrefix(name, q.snapshots) }

// try makes a change to the file with the name. If pretend is true the change
// was not made and Pebble is to believe that it was.
func (q *queueFS) try(name string, do func() error) (pretend bool, err error) {
	if q.health.err() != nil {
		return true, nil
	}
	err = do()
	if isFull(err) && q.space.makeRoom() {
		err = do()
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return false, err
	case isFull(err) && isTable(name) && q.opened.Load():
		q.health.pause()
		return false, err
	}
	return true, q.giveUp(name, err)
}

func (q *queueFS) create(name string, create func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	pretend, err := q.try(name, func() (err error) {
		f, err = q.patiently(name, create)
		return err
	})
	switch {
	case pretend:
		q.health.pause()
		return &queueFile{File: noFile{}, q: q, name: name}, nil
	case err != nil:
		return nil, err
	}
	return &queueFile{File: f, q: q, name: name}, nil
}

// Create implements vfs.FS.
func (q *queueFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if q.aside(name) {
		return q.FS.Create(name, c)
	}
	return q.create(name, func() (vfs.File, error) { return q.guard.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (q *queueFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return q.create(name, func() (vfs.File, error) { return q.guard.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (q *queueFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return q.create(newname, func() (vfs.File, error) { return q.guard.ReuseForWrite(oldname, newname, c) })
}

// List implements vfs.FS. What Pebble began in the background while it opens
// uses what it releases when that fails, and a panic there ends the process.
// Listing its directory is the one thing by which it can still fail then: so a
// directory that cannot be listed is a failure, and to Pebble it is empty.
func (q *queueFS) List(dir string) ([]string, error) {
	names, err := q.guard.List(dir)
	if err == nil || q.opened.Load() || q.aside(dir) {
		return names, err
	}
	return nil, q.giveUp(dir, err)
}

// OpenDir implements vfs.FS.
func (q *queueFS) OpenDir(name string) (vfs.File, error) {
	f, err := q.FS.OpenDir(name)
	if err != nil || q.aside(name) {
		return f, err
	}
	return &queueFile{File: f, q: q, name: name}, nil
}

// Link implements vfs.FS.
func (q *queueFS) Link(oldname, newname string) error {
	if q.aside(newname) {
		return q.FS.Link(oldname, newname)
	}
	_, err := q.try(newname, func() error { return q.FS.Link(oldname, newname) })
	return err
}

// Rename implements vfs.FS.
func (q *queueFS) Rename(oldname, newname string) error {
	if q.aside(newname) {
		return q.FS.Rename(oldname, newname)
	}
	_, err := q.try(newname, func() error { return q.FS.Rename(oldname, newname) })
	return err
}

// Remove implements vfs.FS.
func (q *queueFS) Remove(name string) error {
	if q.aside(name) {
		return q.FS.Remove(name)
	}
	_, err := q.try(name, func() error { return q.FS.Remove(name) })
	return err
}

// RemoveAll implements vfs.FS.
func (q *queueFS) RemoveAll(name string) error {
	if q.aside(name) {
		return q.FS.RemoveAll(name)
	}
	_, err := q.try(name, func() error { return q.FS.RemoveAll(name) })
	return err
}

// queueFile is a file of Pebble, or its directory.
type queueFile struct {
	vfs.File
	q    *queueFS
	name string
}

// Write implements io.Writer. What is left of a short write is written again.
func (f *queueFile) Write(p []byte) (n int, err error) {
	pretend, err := f.q.try(f.name, func() error {
		k, err := f.File.Write(p[n:])
		n += k
		return err
	})
	if pretend {
		n = len(p)
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *queueFile) WriteAt(p []byte, offset int64) (n int, err error) {
	pretend, err := f.q.try(f.name, func() error {
		k, err := f.File.WriteAt(p[n:], offset+int64(n))
		n += k
		return err
	})
	if pretend {
		n = len(p)
	}
	return n, err
}

// Preallocate implements vfs.File. It is a favour, and no harm is done if it
// fails.
func (f *queueFile) Preallocate(offset, length int64) error {
	_, err := f.q.try(f.name, func() error {
		_ = f.File.Preallocate(offset, length)
		return nil
	})
	return err
}

// Sync implements vfs.File.
func (f *queueFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *queueFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *queueFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// sync does an fsync once, whatever the error: after one that failed, another
// would report the success of nothing.
func (f *queueFile) sync(sync func() error) error {
	_, err := f.q.try(f.name, func() error { return f.q.giveUp(f.name, sync()) })
	return err
}

// giveUp makes the store fail with an error that is beyond repair, and
// pretends that there was none.
func (q *queueFS) giveUp(name string, err error) error {
	if err == nil {
		return nil
	}
	_ = q.health.fail(fmt.Errorf("%s: %w", name, err))
	return nil
}

// Close implements vfs.File.
func (f *queueFile) Close() error { return f.q.giveUp(f.name, f.File.Close()) }

// noFile is what Pebble writes to after the store has failed.
type noFile struct{ vfs.File }

func (noFile) Close() error                { return nil }
func (noFile) Read([]byte) (int, error)    { return 0, fs.ErrClosed }
func (noFile) Stat() (vfs.FileInfo, error) { return noFileInfo{}, nil }
func (noFile) Fd() uintptr                 { return vfs.InvalidFd }
func (noFile) Prefetch(int64, int64) error { return nil }

// ReadAt implements io.ReaderAt.
func (noFile) ReadAt([]byte, int64) (int, error) { return 0, fs.ErrClosed }

// noFileInfo is that of an empty file. Pebble asks for the size of a log that
// it means to use again, and an error would end the process.
type noFileInfo struct{ vfs.FileInfo }

func (noFileInfo) Size() int64 { return 0 }
