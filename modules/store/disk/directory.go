package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The names in the directory.
const (
	lockName       = "lock"
	formatName     = "format"
	queueName      = "queue"
	bodiesName     = "bodies"
	valuesName     = "values"
	quarantineName = "quarantine"
)

// layoutVersion is the version of everything below the directory. It is
// raised when an older Waxwing could not read what this one writes.
const layoutVersion = 1

// A dirLock is held by the one server that uses the directory.
type dirLock struct{ file io.Closer }

func (l *dirLock) release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// lockDirectory checks the directory, locks it and looks at its version. It
// changes nothing in a directory that is in use or of a newer version.
func (s *Store) lockDirectory() (*dirLock, error) {
	if err := s.files.makeDirs(s.dir); err != nil {
		return nil, err
	}
	if vfs.Root(s.fs) != vfs.Default {
		return s.lockInMemory()
	}
	if err := checkDirectory(s.dir); err != nil {
		return nil, err
	}
	name := s.sub(lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	l := &dirLock{f}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(lockError(f, err), l.release())
	}
	err = s.checkFormat()
	if err == nil {
		err = writePID(f)
	}
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (s *Store) lockInMemory() (*dirLock, error) {
	c, err := s.fs.Lock(s.sub(lockName))
	if err != nil {
		return nil, fmt.Errorf("another waxwing is running on it: %w", err)
	}
	l := &dirLock{c}
	if err := s.checkFormat(); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func lockError(f *os.File, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("cannot lock: %w", err)
	}
	pid := make([]byte, 20)
	n, _ := f.ReadAt(pid, 0)
	if _, err := strconv.Atoi(strings.TrimSpace(string(pid[:n]))); err != nil {
		return errors.New("another waxwing is running on it; only one can use a directory at a time")
	}
	return fmt.Errorf("another waxwing is running on it, process %s; only one can use a directory at a time",
		strings.TrimSpace(string(pid[:n])))
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// checkDirectory refuses a directory in which somebody else could exchange
// files under our hands.
func checkDirectory(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, _ := fi.Sys().(*syscall.Stat_t)
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link; name the directory itself", dir)
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case fi.Mode()&0o002 != 0:
		return fmt.Errorf("%s is writable for everybody: run chmod o-w %s", dir, dir)
	case st != nil && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d and waxwing runs as user %d: run chown %d %s",
			dir, st.Uid, os.Geteuid(), os.Geteuid(), dir)
	}
	return nil
}

// makeDirectory makes a directory that is ours alone, durably.
func (s *Store) makeDirectory(dir string) error {
	if vfs.Root(s.fs) == vfs.Default {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := checkDirectory(dir); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	} else if err := s.files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return s.files.syncDir(s.fs.PathDir(dir))
}

// formatText is what the format file says.
func formatText(version int) string { return fmt.Sprintf("waxwing store %d\n", version) }

// checkFormat refuses a directory that a newer Waxwing has written. A file
// that says nothing legible is none of a newer one, but damaged.
func (s *Store) checkFormat() error {
	b, err := readFile(s.files, s.sub(formatName))
	if err != nil {
		return ignoreMissing(err)
	}
	var v int
	if _, err := fmt.Sscanf(string(b), "waxwing store %d\n", &v); err != nil {
		s.log.Warn("the format file is not legible and is written anew", zap.String("file", s.sub(formatName)))
		return nil
	}
	if v > layoutVersion {
		return fmt.Errorf("it was written by a newer waxwing (format %d, this one knows %d); nothing has been changed, use the newer one",
			v, layoutVersion)
	}
	return nil
}

// writeFormat is called when the format is known to be one we can read.
func (s *Store) writeFormat() error {
	if b, err := readFile(s.files, s.sub(formatName)); err == nil && string(b) == formatText(layoutVersion) {
		return nil
	}
	return s.files.writeFile(s.dir, formatName, []byte(formatText(layoutVersion)))
}

// writeFile replaces a file atomically and durably: under power failure it is
// the old one or the new one.
func (g *guard) writeFile(dir, name string, content []byte) (err error) {
	temp := g.PathJoin(dir, tempPrefix+name)
	f, err := g.Create(temp, "value")
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Clone(content)) // which a vfs.File may change
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = g.Rename(temp, g.PathJoin(dir, name))
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(g.Remove(temp)))
	}
	return g.syncDir(dir)
}

// tempPrefix begins the names of files that are not finished. Nothing that
// other modules name can begin like this.
const tempPrefix = ".tmp-"

func readFile(fsys vfs.FS, name string) (b []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	b, err = io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
