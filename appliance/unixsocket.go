package appliance

import (
	"context"
	"net"
	"os"
	"syscall"
)

// socketMode lets nobody but our own user connect.
const socketMode = 0o600

// listenUnix makes the socket with its mode: on Linux bind takes it over from
// the descriptor, so that there is no moment at which others could connect.
func listenUnix(path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.Fchmod(int(fd), socketMode) // not everywhere possible; see below
		})
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
