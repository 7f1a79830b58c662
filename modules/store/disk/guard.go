package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// A guard is the file system as the store sees it. It stands between the
// store and the disk, and keeps the rules that hold for every file:
//
//   - files are 0600 and directories 0700, and nothing but a regular file is
//     opened;
//   - after an fsync that failed nobody knows what is on the disk (the kernel
//     may have dropped the data and forgotten the error), so the store fails;
//   - once the store has failed nothing is changed any more: what is on the
//     disk is what a crash at that moment would have left.
type guard struct {
	vfs.FS
	health *health
}

var _ vfs.FS = (*guard)(nil)

// isFull says that the device, or the quota on it, has no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// change makes a change to the disk unless the store has failed.
func (g *guard) change(do func() error) error {
	if err := g.health.err(); err != nil {
		return err
	}
	return do()
}

// open makes a file writable for its owner alone.
func (g *guard) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if err := g.health.err(); err != nil {
		return nil, err
	}
	f, err := open()
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
	return &guardFile{File: f, g: g, name: name, dir: true}, nil
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
	c, err := g.FS.Lock(name)
	if err != nil || vfs.Root(g.FS) != vfs.Default {
		return c, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
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

// makeDirs makes a directory and those above it durable, the topmost first.
// One that is there and empty may have been made by a process that was killed
// before its name was durable, and so it is made durable again.
func (g *guard) makeDirs(dir string) error {
	there, err := findDir(g.FS, dir)
	if err != nil {
		return err
	}
	parent := g.PathDir(dir)
	if there {
		return g.syncName(parent, dir)
	}
	if err := g.makeDirs(parent); err != nil {
		return err
	}
	if err := g.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return g.syncDir(parent)
}

// syncName makes the name of a directory durable that is empty. The one above
// it need not be ours: where it may not be opened, or cannot be synced, its
// owner has made the directory, and not we.
func (g *guard) syncName(parent, dir string) error {
	if names, err := g.List(dir); err != nil || len(names) > 0 || parent == dir {
		return nil //nolint:nilerr // nobody may list it, or it is found out when it is used
	}
	d, err := g.FS.OpenDir(parent)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return err
}

// guardFile is a file, or a directory opened to be synced.
type guardFile struct {
	vfs.File
	g    *guard
	name string
	dir  bool
}

// Write implements io.Writer.
func (f *guardFile) Write(p []byte) (n int, err error) {
	err = f.g.change(func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

// Sync implements vfs.File. A file that found the disk full is given up, and
// nothing else is lost; every other failure is one of the store.
func (f *guardFile) Sync() error {
	err := f.g.change(f.File.Sync)
	if err != nil && (f.dir || !isFull(err)) && f.g.health.err() == nil {
		return f.g.health.fail(fmt.Errorf("fsync of %s: %w", f.name, err))
	}
	return err
}
