package disk

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A badFS is a disk that says of some changes that they have failed, although
// something of them was done: half of a write, or all of it.
type badFS struct {
	vfs.FS
	half  bool                    // of writes half is done; nothing else fails
	fault func(path string) error // asked after the change; nil is no fault
}

func (b *badFS) then(path string, err error) error {
	if err != nil || b.half {
		return err
	}
	return b.fault(path)
}

// file is one that was opened for writing. It is closed if that has failed.
func (b *badFS) file(path string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := b.then(path, nil); err != nil {
		f.Close()
		return nil, err
	}
	return &badFile{f, b, path}, nil
}

func (b *badFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := b.FS.Create(name, c)
	return b.file(name, f, err)
}

func (b *badFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := b.FS.OpenReadWrite(name, c, opts...)
	return b.file(name, f, err)
}

func (b *badFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := b.FS.ReuseForWrite(oldname, newname, c)
	return b.file(newname, f, err)
}

func (b *badFS) OpenDir(name string) (vfs.File, error) {
	f, err := b.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &badFile{f, b, name}, nil
}

func (b *badFS) Link(oldname, newname string) error {
	return b.then(newname, b.FS.Link(oldname, newname))
}

func (b *badFS) Rename(oldname, newname string) error {
	return b.then(newname, b.FS.Rename(oldname, newname))
}

func (b *badFS) Remove(name string) error { return b.then(name, b.FS.Remove(name)) }

func (b *badFS) RemoveAll(name string) error { return b.then(name, b.FS.RemoveAll(name)) }

func (b *badFS) MkdirAll(dir string, perm os.FileMode) error {
	return b.then(dir, b.FS.MkdirAll(dir, perm))
}

func (b *badFS) Unwrap() vfs.FS { return b.FS }

type badFile struct {
	vfs.File
	b    *badFS
	path string
}

func (f *badFile) Write(p []byte) (int, error) {
	if !f.b.half {
		n, err := f.File.Write(p)
		return n, f.b.then(f.path, err)
	}
	if err := f.b.fault(f.path); err != nil {
		n, errWrite := f.File.Write(p[:len(p)/2])
		if errWrite != nil {
			err = errWrite
		}
		return n, err
	}
	return f.File.Write(p)
}

func (f *badFile) Sync() error     { return f.b.then(f.path, f.File.Sync()) }
func (f *badFile) SyncData() error { return f.b.then(f.path, f.File.SyncData()) }
func (f *badFile) Close() error    { return f.b.then(f.path, f.File.Close()) }

func (f *badFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.b.then(f.path, err)
}
