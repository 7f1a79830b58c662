package admin_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func TestUnixSocketIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "a.sock")
	l, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket is %v", fi.Mode())
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", dir.Mode(), err)
	}
	check(t, l.Close())
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	check(t, dead.Close())
	l, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	check(t, l.Close())
}

// TestSuccessorKeepsItsSocket: whoever closes late does not remove what
// another has put in the same place.
func TestSuccessorKeepsItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	old, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	check(t, os.Remove(path))
	next, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	check(t, old.Close())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the successor is gone: %v", err)
	}
	check(t, next.Close())
}

// TestListenAwaitsPredecessor: a server that is on its way out is waited for.
func TestListenAwaitsPredecessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	old, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error)
	go func() {
		c, err := old.Accept() // the successor asks whether anybody is there
		if err == nil {
			err = c.Close()
		}
		left <- errors.Join(err, old.Close())
	}()
	next, err := admin.Listen("unix:" + path)
	check(t, <-left)
	if err != nil {
		t.Fatal(err)
	}
	check(t, next.Close())
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "is no socket",
		filepath.Join(dir, strings.Repeat("x", 100)): "too long",
	} {
		if _, err := admin.Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}
