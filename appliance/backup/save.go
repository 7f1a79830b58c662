package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// partialSuffix is of the names under which a backup is written.
const partialSuffix = ".partial"

// Save writes a backup to a path at which nothing may be yet: to an archive if
// its name ends with ".tar", else to a directory. write writes an archive, as a
// [Writer] does. Until all of it is whole and durable it stands beside its
// place, as PATH.partial; what cannot be finished is removed.
func Save(to string, write func(io.Writer) error) (report appliance.StorageReport, err error) {
	partial := to + partialSuffix
	for _, name := range []string{to, partial} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return report, errors.Join(fmt.Errorf("there is a %s already: a backup never overwrites anything", name), err)
		}
	}
	if strings.HasSuffix(to, ".tar") {
		report, err = saveArchive(partial, write)
	} else {
		report, err = saveDirectory(partial, write)
	}
	if err == nil {
		err = os.Rename(partial, to)
	}
	if err != nil {
		return report, errors.Join(err, os.RemoveAll(partial))
	}
	return report, syncDir(filepath.Dir(to))
}

// Copy writes a backup as an archive to out. It reads what it writes: an
// archive that is not whole is an error.
func Copy(out io.Writer, write func(io.Writer) error) (report appliance.StorageReport, err error) {
	err = through(write, func(r io.Reader) error {
		both := io.TeeReader(r, out)
		return errors.Join(Read(both, reportInto(&report, ignore)), ignore("", 0, both))
	})
	return report, err
}

func saveArchive(name string, write func(io.Writer) error) (report appliance.StorageReport, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return report, err
	}
	report, err = Copy(f, write)
	if err == nil {
		err = f.Sync()
	}
	return report, errors.Join(err, f.Close())
}

func saveDirectory(name string, write func(io.Writer) error) (report appliance.StorageReport, err error) {
	if err := os.Mkdir(name, 0o700); err != nil {
		return report, err
	}
	tree := &tree{top: name, dirs: map[string]struct{}{name: {}}}
	err = through(write, func(r io.Reader) error { return Read(r, reportInto(&report, tree.add)) })
	if err == nil {
		err = tree.syncDirs()
	}
	return report, err
}

// through has read read what write writes. Either ends the other by failing.
func through(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err) // which never fails
		written <- err
	}()
	err := read(r)
	if err == nil {
		err = ignore("", 0, r) // the padding of the archive
	}
	_ = r.CloseWithError(err) // which never fails
	if wrote := <-written; wrote != nil && !errors.Is(wrote, err) {
		return wrote // the cause
	}
	return err
}

// ignore is a [appliance.BackupFile] that only reads.
func ignore(_ string, _ int64, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// maxReport is the largest report that is read, in octets. A list of findings
// has an end long before.
const maxReport = 16 << 20

// reportInto reads the report that comes along.
func reportInto(report *appliance.StorageReport, each appliance.BackupFile) appliance.BackupFile {
	return func(name string, size int64, content io.Reader) error {
		if name != ReportName {
			return each(name, size, content)
		}
		text, err := io.ReadAll(io.LimitReader(content, maxReport))
		if err == nil {
			err = json.Unmarshal(text, report)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ReportName, err)
		}
		return each(name, size, bytes.NewReader(text))
	}
}

// A tree is a directory that a backup is being written to.
type tree struct {
	top  string
	dirs map[string]struct{} // that were made
}

// add writes a file durably; its name is durable after syncDirs.
func (t *tree) add(name string, _ int64, content io.Reader) error {
	to := filepath.Join(t.top, filepath.FromSlash(name))
	if err := t.makeDir(filepath.Dir(to)); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (t *tree) makeDir(dir string) error {
	if _, made := t.dirs[dir]; made {
		return nil
	}
	if err := t.makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	t.dirs[dir] = struct{}{}
	return os.Mkdir(dir, 0o700)
}

func (t *tree) syncDirs() error {
	for _, dir := range slices.Sorted(maps.Keys(t.dirs)) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
