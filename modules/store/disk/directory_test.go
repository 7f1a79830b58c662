package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestDirectoryR9: a directory in which others could exchange files is
// refused with the reason, and nothing is put into it.
func TestDirectoryR9(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{"world-writable", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Chmod(dir, 0o777))
		}, "chmod o-w"},
		{"symbolic link", func(t *testing.T, dir string) {
			must(t, os.Symlink(t.TempDir(), dir))
		}, "symbolic link"},
		{"a file", func(t *testing.T, dir string) {
			must(t, os.WriteFile(dir, nil, 0o600))
		}, "directory"},
		{"queue leads elsewhere", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Symlink("/etc", filepath.Join(dir, queueName)))
		}, "symbolic link"},
		{"the lock leads elsewhere", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Symlink("/etc/passwd", filepath.Join(dir, lockName)))
		}, "symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			c.make(t, dir)
			err := newStore(t, nil, dir).Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestModes: files are 0600 and directories 0700, whatever the umask.
func TestModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "data")
	s := startStore(t, nil, dir)
	if err := life(s, newLedger()); err != nil {
		t.Fatal(err)
	}
	n := 0
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		n++
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if fi.Mode() != want {
			t.Errorf("%s is %v, want %v", path, fi.Mode(), want)
		}
		return nil
	}))
	if n < 15 {
		t.Errorf("only %d files", n)
	}
}

// TestSpecialFilesR8: links and FIFOs among the values and bodies are never
// opened: they would lead elsewhere, or block for ever.
func TestSpecialFilesR8(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startStore(t, nil, dir)
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, valuesName, "link")))
	must(t, unix.Mkfifo(filepath.Join(dir, valuesName, "fifo"), 0o600))
	for _, key := range []string{"link", "fifo"} {
		if b, err := s.Values().Get(t.Context(), key); err == nil {
			t.Errorf("%s: %q", key, b)
		}
	}
	if all, err := s.Values().List(t.Context(), ""); err != nil || len(all) > 0 {
		t.Errorf("listed: %v, %v", all, err)
	}
	must(t, newLedger().commit(s, "fifo", strings.Repeat("x", large), "a"))
	must(t, os.Remove(s.bodyPath("fifo")))
	must(t, unix.Mkfifo(s.bodyPath("fifo"), 0o600))
	leased, err := leaseAll(s, testTime)
	if err != nil || len(leased) != 1 {
		t.Fatalf("leased %v, %v", leased, err)
	}
	if _, err := leased[0].Message.Body.Open(); err == nil {
		t.Error("a FIFO was opened as a body")
	}
	must(t, s.Stop(t.Context()))
	startStore(t, nil, dir) // and none of them is in the way of a start
}

// TestNewerFormatP20: what a newer version has written is refused untouched.
func TestNewerFormatP20(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, formatName), []byte(formatText(layoutVersion+1)), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, lockName), []byte("1\n"), 0o600))
	err := newStore(t, nil, dir).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "newer waxwing") {
		t.Errorf("got %v", err)
	}
	names, err := os.ReadDir(dir)
	must(t, err)
	if len(names) != 2 {
		t.Errorf("something was created: %v", names)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, lockName)); err != nil || string(pid) != "1\n" {
		t.Errorf("the lock file says %q, %v", pid, err)
	}
	// A file that says nothing is damaged and no reason not to start (P10).
	must(t, os.WriteFile(filepath.Join(dir, formatName), nil, 0o600))
	startStore(t, nil, dir)
	if b, err := os.ReadFile(filepath.Join(dir, formatName)); err != nil || string(b) != formatText(layoutVersion) {
		t.Errorf("the format file says %q, %v", b, err)
	}
}

func TestConfiguration(t *testing.T) {
	s := New()
	s.Path = "data"
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a relative path: %v", err)
	}
	s.Path = "/data"
	must(t, s.Validate())
	must(t, s.Provision(&appliance.Context{DataDir: "/elsewhere"}))
	if s.dir != "/data" {
		t.Errorf("the directory is %s", s.dir)
	}
	if err := New().Provision(new(appliance.Context)); err == nil || !strings.Contains(err.Error(), "path: ") {
		t.Errorf("no directory at all: %v", err)
	}
}
