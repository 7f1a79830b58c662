package appliance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// socketMode lets nobody but our own user connect.
	socketMode = 0o600
	// maxSocketPath is the room for a path in sockaddr_un, in octets, less the
	// final NUL.
	maxSocketPath = 107
)

// listenUnix binds the socket in a directory of our own that nobody else can
// enter and moves it into its place when its mode is right: there is no moment
// at which others could connect, the umask, which belongs to the whole process,
// need not be touched, and a stale socket is replaced in one step.
func listenUnix(path string) (net.Listener, error) {
	if err := checkFree(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".a")
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // empty by then, or the error below says more
	temporary := filepath.Join(private, "s")
	if max(len(temporary), len(path)) > maxSocketPath {
		return nil, fmt.Errorf("the path of the socket %s is too long: choose a shorter one, such as unix:/run/waxwing/x.sock", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, socketMode), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{Listener: l, path: path, own: own}, nil
}

// checkFree says why nobody may listen at path: only where nothing is, or a
// socket that nobody listens on any more. The error is EADDRINUSE if somebody
// does. Any other error than a refused connection may mean that too.
func checkFree(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s exists and is no socket: remove it, or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("another server answers on %s: stop it, or choose another path: %w", path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EAGAIN): // it has more to accept than it can
		return fmt.Errorf("another server listens on %s: stop it, or choose another path: %w", path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return fmt.Errorf("somebody may listen on %s: %w", path, err)
}

// unixListener removes its socket when it is closed, unless a successor has
// put its own in the same place.
type unixListener struct {
	net.Listener
	path string
	own  os.FileInfo
}

// Addr is the path that clients use.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close implements net.Listener. While it still listens nobody takes the place
// of its socket.
func (l *unixListener) Close() error {
	var err error
	if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.own) {
		err = os.Remove(l.path)
	}
	return errors.Join(err, l.Listener.Close())
}
