package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	snapshotName   = "snapshot"  // of a verification or a backup that is under way
	restoringName  = "restoring" // a restore that is not finished
)

// layoutVersion is the version of everything below the directory. It is
// raised when an older Waxwing could not read what this one writes.
const layoutVersion = 2

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
		return nil, advise(s.dir, err)
	}
	if vfs.Root(s.fs) != vfs.Default {
		return s.lockInMemory()
	}
	if err := checkDataDirectory(s.dir); err != nil {
		return nil, err
	}
	name := s.sub(lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, advise(s.dir, err)
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

// advise adds to an error about the directory what to do about it.
func advise(dir string, err error) error {
	us := os.Geteuid()
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: mount a volume there that can be written, or name another directory with data_dir", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %d, as which waxwing runs, may not make it or write there: run install -d -m 0700 -o %d %s", us, us, dir)
	}
	return err
}

// adviseDisk adds to an error of the disk, while the store starts, what to do.
func adviseDisk(err error) error {
	switch {
	case isFull(err):
		return fmt.Errorf("%w: what is queued is untouched; make room on the disk and start again", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: what is queued is untouched; check the disk, see the log of the kernel, and start again", err)
	}
	return err
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
	o, err := look(dir)
	if err != nil {
		return err
	}
	return o.refuse(dir)
}

// checkDataDirectory is checkDirectory for the directory of the store itself,
// which may be a volume.
func checkDataDirectory(dir string) error {
	o, err := look(dir)
	if err != nil || o.volume() {
		return err
	}
	return o.refuse(dir)
}

// ownership is to whom a directory belongs.
type ownership struct {
	mode     fs.FileMode
	owner    int
	us       int
	writable bool // for us
	mount    bool // a file system begins here
}

func look(dir string) (ownership, error) {
	fi, err := os.Lstat(dir)
	if err != nil {
		return ownership{}, err
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return ownership{}, fmt.Errorf("%s is a symbolic link; name the directory itself", dir)
	case !fi.IsDir():
		return ownership{}, fmt.Errorf("%s is not a directory", dir)
	}
	o := ownership{mode: fi.Mode(), us: os.Geteuid(), writable: unix.Access(dir, unix.W_OK|unix.X_OK) == nil}
	o.owner = o.us
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		o.owner = int(st.Uid)
		up, err := os.Stat(filepath.Dir(dir))
		if err != nil {
			return ownership{}, err
		}
		above, ok := up.Sys().(*syscall.Stat_t)
		o.mount = ok && above.Dev != st.Dev
	}
	return o, nil
}

// volume says whether this is a directory that root has prepared for us, as
// Kubernetes does: it belongs to root, and its group, or everybody in the
// container, may write. Who could exchange files there is root, who always
// can; everybody may write only where a volume begins, because a directory
// like that in the middle of a file system is an accident.
func (o ownership) volume() bool {
	return o.owner == 0 && o.us != 0 && o.writable && (o.mode&0o002 == 0 || o.mount)
}

func (o ownership) refuse(dir string) error {
	switch {
	case o.owner != o.us:
		return fmt.Errorf("%s belongs to user %d and waxwing runs as user %d: run chown %d %s", dir, o.owner, o.us, o.us, dir)
	case o.mode&0o002 != 0:
		return fmt.Errorf("%s is writable for everybody: run chmod o-w %s", dir, dir)
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
func formatText(version int) string { return fmt.Sprintf(formatPattern, version) }

const formatPattern = "waxwing store %d\n"

// checkFormat refuses a directory that a newer Waxwing has written. A file
// that says nothing legible is none of a newer one, but damaged.
func (s *Store) checkFormat() error {
	b, err := readFile(s.files, s.sub(formatName))
	if err != nil {
		return ignoreMissing(err)
	}
	var v int
	if _, err := fmt.Sscanf(string(b), formatPattern, &v); err != nil {
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
