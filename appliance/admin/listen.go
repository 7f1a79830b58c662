package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Address is where the server of these settings is reached: as configured, or
// admin.sock in the data directory.
func Address(s appliance.Settings) string {
	if s.Admin.Address != "" {
		return s.Admin.Address
	}
	return "unix:" + filepath.Join(s.DataDir, "admin.sock")
}

// Listen opens the listening socket of an admin address. A unix socket has
// mode 0600 from its first moment on; one that nobody listens on any more is
// replaced.
func Listen(address string) (net.Listener, error) {
	network, rest := appliance.SplitNetwork(address)
	if network == "unix" {
		return listenUnix(rest)
	}
	return net.Listen(network, rest)
}

// maxSocketPath is the room for a path in sockaddr_un, less the final NUL.
const maxSocketPath = 107

// patience is how long to wait for a predecessor that is on its way out.
const patience = 5 * time.Second

// listenUnix binds the socket in a directory of our own that nobody else can
// enter and moves it into its place when its mode is right. The umask, which
// belongs to the whole process, need not be touched, and a stale socket is
// replaced in one step.
func listenUnix(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := awaitFree(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".a")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private) //nolint:errcheck // empty by then, or the error below says more
	temporary := filepath.Join(private, "s")
	if max(len(temporary), len(path)) > maxSocketPath {
		return nil, fmt.Errorf("the path of the socket %s is too long: set admin.address to a shorter one, such as unix:/run/waxwing/admin.sock", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{Listener: l, path: path, own: own}, nil
}

// awaitFree returns when there is no socket at path that somebody listens on.
// Anything else that stands there is not touched.
func awaitFree(path string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		fi, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if fi.Mode()&os.ModeSocket == 0 {
			return fmt.Errorf("%s exists and is no socket: remove it, or set admin.address to another path", path)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			return nil // stale
		}
		if err := c.Close(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("another server answers on %s: stop it, or set admin.address to another path", path)
		}
	}
}

// unixListener removes its socket when it is closed, unless a successor has
// put its own in the same place.
type unixListener struct {
	net.Listener
	path string
	own  os.FileInfo
	once sync.Once
}

// Addr is the path that clients use.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close implements net.Listener.
func (l *unixListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.own) {
			err = errors.Join(err, os.Remove(l.path))
		}
	})
	return err
}

// isUnix says whether l is a unix socket.
func isUnix(l net.Listener) bool { return strings.HasPrefix(l.Addr().Network(), "unix") }
