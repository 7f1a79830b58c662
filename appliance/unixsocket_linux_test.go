package appliance

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSocketsBusy: a server that has more connections waiting than it can hold
// is not taken for one that is gone.
func TestSocketsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := new(Sockets).Listen("unix:" + path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listens in the place of a busy server: %v", err)
	}
}
