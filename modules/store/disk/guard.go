package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// A guard is the file system as the store sees it. It stands between the
// store, Pebble included, and the disk, and knows what neither of them does:
//
//   - files are 0600 and directories 0700, and nothing but a regular file is
//     opened;
//   - a write of the queue that finds the disk full gives up the ballast and
//     is done again;
//   - after an fsync that failed nobody knows what is on the disk (the kernel
//     may have dropped the data and forgotten the error), so the store fails;
//   - once the store has failed nothing is changed any more: what is on the
//     disk is what a crash at that moment would have left.
type guard struct {
	vfs.FS
	health *health
	space  *space
	queue  bool // Pebble's own: every failure to sync is final
}

var _ vfs.FS = (*guard)(nil)

// isFull says that the device, or the quota on it, has no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// change makes a change to the disk, twice if it was full and there is ballast.
func (g *guard) change(do func() error) error {
	if err := g.dead(); err != nil {
		return err
	}
	err := do()
	if !g.queue || !isFull(err) {
		return err
	}
	if g.space.makeRoom() {
		return do()
	}
	g.health.pause() // Pebble tries again at once
	return err
}

// dead is the error of a store that has failed.
func (g *guard) dead() error {
	err := g.health.err()
	if err != nil && g.queue {
		g.health.pause()
	}
	return err
}

// synced looks at the outcome of an fsync.
func (g *guard) synced(name string, err error) error {
	if err != nil && (g.queue || !isFull(err)) {
		g.health.fail(fmt.Errorf("fsync of %s: %w", name, err))
	}
	return err
}

func (g *guard) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := g.change(func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if fd := f.Fd(); fd != vfs.InvalidFd {
		if err := unix.Fchmod(int(fd), 0o600); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &guardFile{File: f, g: g, name: name}, nil
}

// Create implements vfs.FS.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.regular(name); err != nil {
		return nil, err
	}
	return g.open(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// Open implements vfs.FS.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.regular(name); err != nil {
		return nil, err
	}
	return g.FS.Open(name, opts...)
}

// regular keeps a symbolic link from leading out of the directory and a FIFO
// from blocking the process. The directories are ours alone (0700), so that
// nobody can exchange a file between this look and the opening.
func (g *guard) regular(name string) error {
	if vfs.Root(g.FS) != vfs.Default {
		return nil // in memory there are neither
	}
	fi, err := os.Lstat(name)
	if err != nil {
		return nil //nolint:nilerr // opening it says more
	}
	if !fi.Mode().IsRegular() && !fi.IsDir() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	return nil
}

// OpenDir implements vfs.FS.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, g: g, name: name}, nil
}

// MkdirAll implements vfs.FS.
func (g *guard) MkdirAll(dir string, _ os.FileMode) error {
	return g.change(func() error { return g.FS.MkdirAll(dir, 0o700) })
}

// Link implements vfs.FS.
func (g *guard) Link(oldname, newname string) error {
	return g.change(func() error { return g.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (g *guard) Rename(oldname, newname string) error {
	return g.change(func() error { return g.FS.Rename(oldname, newname) })
}

// Remove implements vfs.FS.
func (g *guard) Remove(name string) error {
	return g.change(func() error { return g.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (g *guard) RemoveAll(name string) error {
	return g.change(func() error { return g.FS.RemoveAll(name) })
}

// Lock implements vfs.FS.
func (g *guard) Lock(name string) (io.Closer, error) {
	var c io.Closer
	err := g.change(func() (err error) {
		c, err = g.FS.Lock(name)
		return err
	})
	return c, err
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// syncDir makes the names in a directory durable.
func (g *guard) syncDir(dir string) error {
	d, err := g.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// guardFile is a file, or a directory opened to be synced.
type guardFile struct {
	vfs.File
	g    *guard
	name string
}

// Write implements io.Writer. What is left of a short write is written again.
func (f *guardFile) Write(p []byte) (n int, err error) {
	err = f.g.change(func() error {
		k, err := f.File.Write(p[n:])
		n += k
		return err
	})
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *guardFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.g.change(func() error {
		k, err := f.File.WriteAt(p[n:], offset+int64(n))
		n += k
		return err
	})
	return n, err
}

// Preallocate implements vfs.File.
func (f *guardFile) Preallocate(offset, length int64) error {
	return f.g.change(func() error { return f.File.Preallocate(offset, length) })
}

// Sync implements vfs.File.
func (f *guardFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *guardFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *guardFile) sync(sync func() error) error {
	if err := f.g.dead(); err != nil {
		return err
	}
	return f.g.synced(f.name, sync())
}

// SyncTo implements vfs.File.
func (f *guardFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}
