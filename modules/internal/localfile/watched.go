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
	paths func() ([]string, error)
	log   *zap.Logger
	born  time.Time // for a monotonic clock
	value atomic.Pointer[T]
	next  atomic.Int64          // when to look again, since born
	wrong atomic.Pointer[error] // why the value is not what the files say, nil if it is

	mu      sync.Mutex // held by whoever looks
	seen    []look
	bad     error  // what load said of the files as seen
	failing string // what the log has been told; "" while the files are as seen
}

// A look is what was seen of one file.
type look struct {
	path string
	info fs.FileInfo
}

// Watch loads the value for the first time; an error of load, or of a file
// that is not there, is returned as it is.
func Watch[T any](log *zap.Logger, load func() (T, error), paths ...string) (*Watched[T], error) {
	return WatchSet(log, load, func() ([]string, error) { return paths, nil })
}

// WatchSet is [Watch] for files that come and go. paths is asked for them at
// each look, in an order that depends on nothing but them; all of them exist.
// With the directories among them, whose times change when a file is added or
// removed, a set that is being exchanged is left alone for a second as well.
func WatchSet[T any](log *zap.Logger, load func() (T, error), paths func() ([]string, error)) (*Watched[T], error) {
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

// Err says why the files as they are now could not be read, so that the value
// is an older one; nil if it is theirs.
func (w *Watched[T]) Err() error {
	if err := w.wrong.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *Watched[T]) refresh() {
	now, err := w.look()
	if err != nil {
		w.complain(err)
		return
	}
	if slices.EqualFunc(now, w.seen, same) {
		w.failing = ""
		w.setErr(w.bad)
		return
	}
	if slices.ContainsFunc(now, beingWritten) {
		return
	}
	v, err := w.load()
	// What the system cannot read now, for want of a file descriptor perhaps,
	// it may read the next time. What it could read and is bad stays bad.
	if _, unread := errors.AsType[syscall.Errno](err); !unread {
		w.seen, w.bad = now, err
	}
	if err != nil {
		w.complain(err)
		return
	}
	w.value.Store(&v)
	w.failing = ""
	w.setErr(nil)
	w.log.Info("changed on disk and read again", zap.Strings("files", names(now)))
}

// complain says a reason once, not once a second.
func (w *Watched[T]) complain(err error) {
	w.setErr(err)
	if err.Error() == w.failing {
		return
	}
	w.failing = err.Error()
	w.log.Error("cannot be read again; what was read before stays in force",
		zap.Strings("files", names(w.seen)), zap.Error(err))
}

func (w *Watched[T]) setErr(err error) {
	if err == nil {
		w.wrong.Store(nil)
		return
	}
	w.wrong.Store(&err)
}

func (w *Watched[T]) look() ([]look, error) {
	paths, err := w.paths()
	if err != nil {
		return nil, err
	}
	all := make([]look, len(paths))
	for i, p := range paths {
		all[i].path = p
		if all[i].info, err = os.Stat(p); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// maxNamed bounds the files that are named in the log.
const maxNamed = 10

// names are the files of a look, without their directories.
func names(all []look) []string {
	var list []string
	for _, l := range all {
		if l.info.IsDir() {
			continue
		}
		if len(list) == maxNamed {
			return append(list, "…")
		}
		list = append(list, l.path)
	}
	return list
}

// same says whether two looks found the same file with the same content, as
// far as can be told without reading it. The inode tells a file that was
// replaced by another of the same age, as in a restored backup.
func same(a, b look) bool {
	return a.path == b.path && os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() &&
		a.info.ModTime().Equal(b.info.ModTime()) && a.info.Mode() == b.info.Mode()
}

// beingWritten says whether the file changed a moment ago. A time to come, of
// a wrong clock, is not a moment ago.
func beingWritten(l look) bool {
	age := time.Since(l.info.ModTime())
	return 0 <= age && age < settled
}
