package backup_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/backup"
)

var content = map[string]string{"bodies/01": strings.Repeat("x", 100_000), "format": "1\n", "values/a/b": ""}

// write writes an archive of content.
func write(w io.Writer) error {
	bw := backup.NewWriter(w)
	for _, name := range []string{"bodies/01", "format", "values/a/b"} {
		if err := bw.Add(name, int64(len(content[name])), strings.NewReader(content[name])); err != nil {
			return err
		}
	}
	return bw.Finish(appliance.StorageReport{Messages: 7}, nil)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSave: what is saved, as a directory or an archive, is handed out again,
// and sha256sum agrees.
func TestSave(t *testing.T) {
	for _, name := range []string{"one", "one.tar"} {
		to := filepath.Join(t.TempDir(), name)
		report, err := backup.Save(to, write)
		if err != nil || report.Messages != 7 {
			t.Fatalf("%s: %+v, %v", name, report, err)
		}
		if again, err := backup.Check(to); err != nil || again.Messages != 7 {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
		n := 0
		must(t, backup.Files(to)(func(name string, size int64, r io.Reader) error {
			n++
			b, err := io.ReadAll(r)
			if string(b) != content[name] || size != int64(len(b)) {
				t.Errorf("%s has %d octets, and should have %d", name, len(b), size)
			}
			return err
		}))
		if n != len(content) {
			t.Errorf("%s: %d files", name, n)
		}
		dir := to
		if strings.HasSuffix(to, ".tar") {
			dir = t.TempDir()
			out, err := exec.Command("tar", "-xf", to, "-C", dir).CombinedOutput()
			if err != nil {
				t.Fatalf("tar: %s", out)
			}
		}
		sums := exec.Command("sha256sum", "--check", "--quiet", "--strict", backup.SumsName)
		sums.Dir = dir
		if out, err := sums.CombinedOutput(); err != nil {
			t.Errorf("sha256sum: %v: %s", err, out)
		}
		fi, err := os.Stat(filepath.Join(dir, "format"))
		must(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, fi.Mode())
		}
		if _, err := backup.Save(to, write); err == nil || !strings.Contains(err.Error(), "never overwrites") {
			t.Errorf("%s is overwritten: %v", name, err)
		}
	}
}

// TestSaveFails: what could not be finished leaves nothing, and says why.
func TestSaveFails(t *testing.T) {
	cause := errors.New("the disk is on fire")
	for name, write := range map[string]func(io.Writer) error{
		"told": func(w io.Writer) error {
			bw := backup.NewWriter(w)
			must(t, bw.Add("format", 1, strings.NewReader("1")))
			return bw.Finish(appliance.StorageReport{}, cause)
		},
		"short": func(w io.Writer) error {
			return backup.NewWriter(w).Add("format", 5, strings.NewReader("1"))
		},
		"cut":     func(w io.Writer) error { _, err := w.Write(archive(t)[:700]); return err },
		"nothing": func(io.Writer) error { return nil },
	} {
		for _, suffix := range []string{"", ".tar"} {
			to := filepath.Join(t.TempDir(), "b"+suffix)
			_, err := backup.Save(to, write)
			if err == nil || name == "told" && !errors.Is(err, cause) || name == "cut" && !errors.Is(err, backup.ErrIncomplete) {
				t.Errorf("%s%s: %v", name, suffix, err)
			}
			if all, _ := filepath.Glob(to + "*"); len(all) > 0 {
				t.Errorf("%s%s: %v is left", name, suffix, all)
			}
		}
	}
}

func archive(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ignore(_ string, _ int64, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// TestReadRefuses: an archive that was cut anywhere, or of which an octet of a
// file was changed, is no backup; nor is one whose names lead elsewhere.
func TestReadRefuses(t *testing.T) {
	whole := archive(t)
	end := bytes.LastIndex(whole, []byte("values/a/b\n")) // of SHA256SUMS
	for n := 0; n < end; n += 331 {
		if err := backup.Read(bytes.NewReader(whole[:n]), ignore); err == nil {
			t.Fatalf("cut at %d of %d", n, len(whole))
		}
	}
	damaged := bytes.Clone(whole)
	damaged[bytes.Index(whole, []byte("xxxxx"))+70_000] ^= 1
	if err := backup.Read(bytes.NewReader(damaged), ignore); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("an octet changed: %v", err)
	}
	for _, h := range []tar.Header{
		{Name: "../x", Typeflag: tar.TypeReg},
		{Name: "/etc/passwd", Typeflag: tar.TypeReg},
		{Name: "bodies/../../x", Typeflag: tar.TypeReg},
		{Name: "a\nb", Typeflag: tar.TypeReg},
		{Name: "bodies", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		{Name: "bodies", Typeflag: tar.TypeDir},
		{Name: "bodies/f", Typeflag: tar.TypeFifo},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&h))
		must(t, w.Close())
		err := backup.Read(&b, func(name string, _ int64, _ io.Reader) error {
			t.Errorf("%q was handed out", name)
			return nil
		})
		if err == nil || errors.Is(err, backup.ErrIncomplete) {
			t.Errorf("%q: %v", h.Name, err)
		}
	}
}

// TestDirectoryRefuses: a directory that is not what was saved is refused, and
// no link in it is followed.
func TestDirectoryRefuses(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"damaged": func(dir string) error { return os.WriteFile(filepath.Join(dir, "format"), []byte("2\n"), 0o600) },
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, "format")) },
		"no sums": func(dir string) error { return os.Remove(filepath.Join(dir, backup.SumsName)) },
		"a link": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "format"), filepath.Join(dir, "f")), os.Symlink("f", filepath.Join(dir, "format")))
		},
		"a way out": func(dir string) error {
			line := fmt.Sprintf("%x  ../../etc/passwd\n", sha256.Sum256(nil))
			return os.WriteFile(filepath.Join(dir, backup.SumsName), []byte(line), 0o600)
		},
		"no sum": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, backup.SumsName), []byte("format\n"), 0o600)
		},
	} {
		dir := filepath.Join(t.TempDir(), "b")
		_, err := backup.Save(dir, write)
		must(t, err)
		must(t, spoil(dir))
		if _, err := backup.Check(dir); err == nil {
			t.Errorf("%s: it is taken for whole", name)
		}
	}
}

// FuzzRead: whatever is read as an archive, no name that leads elsewhere is
// handed out, and nothing is taken for whole without its sums.
func FuzzRead(f *testing.F) {
	f.Add(archive(f))
	f.Add(archive(f)[:1500])
	f.Fuzz(func(t *testing.T, b []byte) {
		ended := false
		err := backup.Read(bytes.NewReader(b), func(name string, size int64, r io.Reader) error {
			if !filepath.IsLocal(name) || strings.ContainsAny(name, "\n\\") {
				t.Errorf("%q was handed out", name)
			}
			ended = name == backup.SumsName
			return ignore(name, size, r)
		})
		if err == nil && !ended {
			t.Error("no sums, and no error")
		}
	})
}
