package localfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	write(t, full, "12345", 0)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(full, link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		max  int64
		want string // in the error; "" is none
	}{
		{full, 5, ""},
		{link, 5, ""},
		{full, 4, "larger than 4"},
		{dir, 5, "not a regular file"},
		{fifo, 5, "not a regular file"},
		{filepath.Join(dir, "absent"), 5, "no such file"},
	} {
		b, err := localfile.Read(c.path, c.max)
		switch {
		case c.want == "" && (err != nil || string(b) != "12345"):
			t.Errorf("%s: %q, %v", c.path, b, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.path, err, c.want)
		}
	}
}

func TestAdvise(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/tls/key.pem", Err: syscall.EACCES}
	err := localfile.Advise(denied)
	if want := fmt.Sprintf("open /tls/key.pem: permission denied: let user %d, as which waxwing runs, ", os.Geteuid()); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	for _, other := range []error{nil, fs.ErrNotExist} {
		if got := localfile.Advise(other); got != other {
			t.Errorf("%v became %v", other, got)
		}
	}
}

func TestX3SecretForEverybody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "marker", 0)
	for mode, warnings := range map[fs.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o604: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.DebugLevel)
		if _, err := localfile.ReadSecret(zap.New(core), path, 10); err != nil {
			t.Fatal(err)
		}
		if logs.Len() != warnings {
			t.Errorf("mode %v: %d warnings, want %d", mode, logs.Len(), warnings)
		}
	}
}

// watch is a Watched on a file whose content is "bad" or a value, with the
// clock of a synctest bubble.
type watch struct {
	t    *testing.T
	path string
	w    *localfile.Watched[string]
	logs *observer.ObservedLogs
	fail error // of the next reads
}

func newWatch(t *testing.T) *watch {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one", time.Hour)
	core, logs := observer.New(zapcore.DebugLevel)
	one := &watch{t: t, path: path, logs: logs}
	w, err := localfile.Watch(zap.New(core), func() (string, error) {
		if one.fail != nil {
			return "", one.fail
		}
		b, err := localfile.Read(path, 100)
		if err == nil && string(b) == "bad" {
			err = errors.New("line 7 is bad")
		}
		return string(b), err
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	one.w = w
	return one
}

// want waits until the files are looked at again.
func (w *watch) want(value string, logged ...string) {
	w.t.Helper()
	time.Sleep(time.Second)
	if got := w.w.Get(); got != value {
		w.t.Errorf("value %q, want %q", got, value)
	}
	var got []string
	for _, e := range w.logs.TakeAll() {
		got = append(got, e.Level.String())
	}
	if strings.Join(got, " ") != strings.Join(logged, " ") {
		w.t.Errorf("logged %v, want %v", got, logged)
	}
}

func TestWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		w.want("one")
		write(t, w.path, "two", time.Minute)
		w.want("two", "info")
		w.want("two")
		write(t, w.path, "bad", time.Minute-time.Second)
		w.want("two", "error")
		w.want("two") // once
		write(t, w.path, "three", 50*time.Second)
		w.want("three", "info")
		if err := os.Rename(w.path, w.path+"x"); err != nil {
			t.Fatal(err)
		}
		w.want("three", "error")
		w.want("three")
		write(t, w.path, "four", 40*time.Second)
		w.want("four", "info")
	})
}

// TestWatchedComesBack: a file that is gone for a while is told of each time.
func TestWatchedComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		for range 2 {
			if err := os.Rename(w.path, w.path+"x"); err != nil {
				t.Fatal(err)
			}
			w.want("one", "error")
			if err := os.Rename(w.path+"x", w.path); err != nil {
				t.Fatal(err)
			}
			w.want("one")
		}
	})
}

// TestWatchedTriesAgain: a file that has changed at a moment in which it cannot
// be read is not forgotten. It may be the certificate that replaces one that
// is about to expire.
func TestWatchedTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		w.fail = &fs.PathError{Op: "open", Path: w.path, Err: syscall.EMFILE}
		write(t, w.path, "two", time.Minute)
		w.want("one", "error")
		w.want("one") // once
		w.fail = nil
		w.want("two", "info")
	})
}

// TestWatchedErr: the reason stays as long as the value is not that of the
// files, whatever the log has been told, and no longer.
func TestWatchedErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		step := func(what, want string) {
			t.Helper()
			time.Sleep(time.Second)
			w.w.Get()
			if got := w.w.Err(); want == "" && got != nil || want != "" && (got == nil || !strings.Contains(got.Error(), want)) {
				t.Errorf("%s: error %v, want %q", what, got, want)
			}
		}
		step("as it was", "")
		write(t, w.path, "bad", time.Minute)
		step("bad", "line 7")
		step("still bad", "line 7")
		if err := os.Rename(w.path, w.path+"x"); err != nil {
			t.Fatal(err)
		}
		step("gone", "no such file")
		if err := os.Rename(w.path+"x", w.path); err != nil {
			t.Fatal(err)
		}
		step("back and bad", "line 7")
		write(t, w.path, "two", 30*time.Second)
		step("good", "")
	})
}

// TestWatchSet: files that come, go and are renamed change the value, each
// once the directory has been left alone.
func TestWatchSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a"), "1", time.Hour)
		list := func() ([]string, error) {
			files, err := filepath.Glob(filepath.Join(dir, "[a-z]"))
			return append(files, dir), err
		}
		load := func() (string, error) {
			files, err := filepath.Glob(filepath.Join(dir, "[a-z]"))
			var all string
			for _, f := range files {
				b, err := localfile.Read(f, 10)
				if err != nil {
					return "", err
				}
				all += filepath.Base(f) + string(b)
			}
			return all, err
		}
		core, logs := observer.New(zapcore.DebugLevel)
		w, err := localfile.WatchSet(zap.New(core), load, list)
		if err != nil {
			t.Fatal(err)
		}
		// changed is when the directory was changed, on the clock of the test.
		changed := func(ago time.Duration) {
			when := time.Now().Add(-ago)
			if err := os.Chtimes(dir, when, when); err != nil {
				t.Fatal(err)
			}
		}
		want := func(value string, logged int) {
			t.Helper()
			time.Sleep(time.Second)
			if got := w.Get(); got != value {
				t.Errorf("value %q, want %q", got, value)
			}
			if all := logs.TakeAll(); len(all) != logged {
				t.Errorf("logged %v, want %d entries", all, logged)
			}
		}
		changed(time.Minute)
		want("a1", 1)
		write(t, filepath.Join(dir, "b"), "2", time.Minute)
		changed(-time.Second / 2)
		want("a1", 0) // it may be one of two
		want("a1b2", 1)
		if err := os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "c")); err != nil {
			t.Fatal(err)
		}
		changed(time.Minute)
		want("a1c2", 1)
		if err := os.Remove(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		changed(time.Minute)
		want("c2", 1)
		want("c2", 0)
	})
}

// TestWatchedReplaced: another file with the same size and time is noticed.
func TestWatchedReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		fi, err := os.Stat(w.path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, w.path+".new", "two", time.Since(fi.ModTime()))
		if err := os.Rename(w.path+".new", w.path); err != nil {
			t.Fatal(err)
		}
		w.want("two", "info")
	})
}

// TestWatchedHalfWritten: a file that changed a moment ago is left alone.
func TestWatchedHalfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		write(t, w.path, "half", -time.Second/2) // half a second old when it is looked at
		w.want("one")
		w.want("half", "info")
	})
}

// TestWatchedAtMostOnceASecond: a file that is asked for all the time is not
// looked at all the time.
func TestWatchedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		write(t, w.path, "two", time.Minute)
		time.Sleep(time.Second - time.Nanosecond)
		if got := w.w.Get(); got != "one" {
			t.Errorf("looked at before a second passed: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := w.w.Get(); got != "two" {
			t.Errorf("not looked at after a second: %q", got)
		}
	})
}

func TestWatchFails(t *testing.T) {
	_, err := localfile.Watch(zap.NewNop(), func() (int, error) { return 0, nil }, filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	bad := errors.New("bad")
	_, err = localfile.Watch(zap.NewNop(), func() (int, error) { return 0, bad })
	if !errors.Is(err, bad) {
		t.Errorf("bad content: %v", err)
	}
}

// write makes a file that changed so long ago.
func write(t *testing.T, path, content string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-age)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// TestExchangedForFIFO: who exchanges a file for a FIFO in the right moment does
// not stop its reader for ever.
func TestExchangedForFIFO(t *testing.T) {
	dir := t.TempDir()
	path, fifo, spare := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "spare")
	write(t, path, "12345", 0)
	end, exchanged := time.Now().Add(300*time.Millisecond), make(chan error, 1)
	go func() {
		for time.Now().Before(end) {
			err := errors.Join(os.WriteFile(spare, []byte("12345"), 0o600), syscall.Mkfifo(fifo, 0o600),
				os.Rename(fifo, path), os.Rename(spare, path))
			if err != nil {
				exchanged <- err
				return
			}
		}
		exchanged <- nil
	}()
	read := make(chan error, 1)
	go func() {
		for time.Now().Before(end) {
			if b, err := localfile.Read(path, 5); err == nil && string(b) != "12345" {
				read <- fmt.Errorf("read %q", b)
				return
			}
		}
		read <- nil
	}()
	if err := <-exchanged; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the reader waits for a writer")
	}
}
