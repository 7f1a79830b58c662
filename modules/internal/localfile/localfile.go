// Package localfile reads the small files that the configuration names:
// users, keys, certificates.
//
// [Read] takes regular files only, of bounded size, so that a path that leads
// to a FIFO, a device or a disk image is an error and not a start that hangs.
// Symbolic links are followed: secrets in containers are made of them.
//
// A [Watched] value is read again when its files change. It asks no more than
// once a second, on the way of whoever uses the value, so there is no
// goroutine to join. A file is read once it has been left alone for a second:
// the half of a file that an editor or "htpasswd" has written so far is never
// seen. If the new content is bad, or the file is gone or cannot be read, the
// old value stays, the log says so once, and [Watched.Err] has the reason
// until it is over.
//
// [WatchSet] is for a directory, whose files come and go: what is watched is
// asked for at each look.
package localfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"go.uber.org/zap"
)

// Read returns the content of the regular file at path, of at most max octets.
func Read(path string, max int64) ([]byte, error) {
	b, _, err := ReadMode(path, max)
	return b, err
}

// ReadSecret is [Read] for a file that nobody else on the machine should see:
// the log has a warning if its mode lets everybody read it.
func ReadSecret(log *zap.Logger, path string, max int64) ([]byte, error) {
	b, mode, err := ReadMode(path, max)
	if err == nil {
		WarnExposed(log, path, mode)
	}
	return b, err
}

// WarnExposed is the warning of [ReadSecret], for a file that turns out to
// hold a secret when it has been read.
func WarnExposed(log *zap.Logger, path string, mode fs.FileMode) {
	if mode&0o004 != 0 {
		log.Warn("everybody on this machine can read this secret; chmod it to 0600 or 0640",
			zap.String("file", path), zap.Stringer("mode", mode))
	}
}

// ReadMode is [Read] with the mode of the file.
func ReadMode(path string, max int64) ([]byte, fs.FileMode, error) {
	b, mode, err := readMode(path, max)
	return b, mode, Advise(err)
}

// Advise adds to an error about a missing permission whose it is, which in a
// container or a service is not obvious, and what to do. It returns all others
// as they are.
func Advise(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: let user %d, as which waxwing runs, or its group read it and enter the directories above it", err, os.Geteuid())
}

func readMode(path string, max int64) ([]byte, fs.FileMode, error) {
	// Stat comes first: opening some devices does something. What was exchanged
	// for a FIFO since would wait for a writer, were it not for O_NONBLOCK.
	fi, err := os.Stat(path)
	if err == nil {
		err = regular(path, fi)
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if fi, err = f.Stat(); err == nil {
		err = regular(path, fi)
	}
	if err != nil {
		return nil, 0, err
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(b)) > max {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is larger than %d octets", max)}
	}
	return b, fi.Mode(), nil
}

func regular(path string, fi fs.FileInfo) error {
	if !fi.Mode().IsRegular() {
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a regular file")}
	}
	return nil
}
