package localfile

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// checkEvery is how often a Watched looks at its files, at most.
	checkEvery = time.Second
	// settled is how long a file must have been left alone to be read again.
	settled = time.Second
)

// A Watched is a value made of files. Its methods may be called from many
// goroutines at once.
type Watched[T any] struct {
	load  func() (T, error)
	paths []string
	log   *zap.Logger
	born  time.Time // for a monotonic clock
	value atomic.Pointer[T]
	next  atomic.Int64 // when to look again, since born

	mu      sync.Mutex // held by whoever looks
	seen    []fs.FileInfo
	failing string // what the log has been told; "" while the files are as seen
}

// Watch loads the value for the first time; an error of load, or of a file
// that is not there, is returned as it is.
func Watch[T any](log *zap.Logger, load func() (T, error), paths ...string) (*Watched[T], error) {
	w := &Watched[T]{load: load, paths: paths, log: log, born: time.Now()}
	// Looked at before it is read: a change in between is noticed afterwards.
	seen, statErr := w.look()
	v, err := load()
	if err == nil {
		err = statErr
	}
	if err != nil {
		return nil, err
	}
	w.seen = seen
	w.value.Store(&v)
	w.next.Store(int64(checkEvery))
	return w, nil
}

// Get returns the value as it is now.
func (w *Watched[T]) Get() T {
	now := time.Since(w.born)
	// Who finds somebody else looking takes what is there.
	if int64(now) >= w.next.Load() && w.mu.TryLock() {
		w.next.Store(int64(now + checkEvery))
		w.refresh()
		w.mu.Unlock()
	}
	return *w.value.Load()
}

func (w *Watched[T]) refresh() {
	now, err := w.look()
	if err != nil {
		w.complain(err)
		return
	}
	if slices.EqualFunc(now, w.seen, same) {
		w.failing = ""
		return
	}
	if slices.ContainsFunc(now, beingWritten) {
		return
	}
	v, err := w.load()
	// What the system cannot read now, for want of a file descriptor perhaps,
	// it may read the next time. What it could read and is bad stays bad.
	if _, unread := errors.AsType[syscall.Errno](err); !unread {
		w.seen = now
	}
	if err != nil {
		w.complain(err)
		return
	}
	w.value.Store(&v)
	w.failing = ""
	w.log.Info("changed on disk and read again", zap.Strings("files", w.paths))
}

// complain says a reason once, not once a second.
func (w *Watched[T]) complain(err error) {
	if err.Error() == w.failing {
		return
	}
	w.failing = err.Error()
	w.log.Error("cannot be read again; what was read before stays in force",
		zap.Strings("files", w.paths), zap.Error(err))
}

func (w *Watched[T]) look() ([]fs.FileInfo, error) {
	all := make([]fs.FileInfo, len(w.paths))
	for i, p := range w.paths {
		var err error
		if all[i], err = os.Stat(p); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// same says whether two looks found the same file with the same content, as
// far as can be told without reading it. The inode tells a file that was
// replaced by another of the same age, as in a restored backup.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// beingWritten says whether the file changed a moment ago. A time to come, of
// a wrong clock, is not a moment ago.
func beingWritten(fi fs.FileInfo) bool {
	age := time.Since(fi.ModTime())
	return 0 <= age && age < settled
}
