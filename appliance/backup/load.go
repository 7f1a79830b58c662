package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Files returns what hands out the files of the store from a backup, which is
// a directory or an archive. It fails at the end if the backup is not whole.
func Files(name string) func(appliance.BackupFile) error {
	return func(each appliance.BackupFile) error { return load(name, ofStore(each)) }
}

// Check reads a backup to its end, whole as it must be, and returns the report
// that was made with it.
func Check(name string) (report appliance.StorageReport, err error) {
	err = load(name, reportInto(&report, ignore))
	return report, err
}

func load(name string, each appliance.BackupFile) error {
	if fi, err := os.Stat(name); err == nil && fi.IsDir() {
		return readDirectory(name, each)
	}
	f, err := openRegular(name)
	if err != nil {
		return err
	}
	if err := errors.Join(Read(f, each), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readDirectory reads the files that SHA256SUMS names, and no others.
func readDirectory(dir string, each appliance.BackupFile) error {
	f, err := openRegular(filepath.Join(dir, SumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, ErrIncomplete)
	}
	if err != nil {
		return err
	}
	all, err := parseSums(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, s := range all {
		if err := s.read(dir, each); err != nil {
			return err
		}
	}
	return nil
}

// read hands out a file and compares it with its sum.
func (s sum) read(dir string, each appliance.BackupFile) error {
	f, err := openRegular(filepath.Join(dir, filepath.FromSlash(s.name)))
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	var seen sums
	got, err := seen.begin(s.name)
	if err != nil {
		return err
	}
	whole := io.TeeReader(f, got.hash)
	if err := each(s.name, fi.Size(), whole); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return err
	}
	if string(got.hash.Sum(nil)) != s.sum {
		return fmt.Errorf("the backup is damaged: %s is not what %s says", s.name, SumsName)
	}
	return nil
}

// openRegular opens a plain file: no link that leads elsewhere, and no FIFO
// that would never end.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
