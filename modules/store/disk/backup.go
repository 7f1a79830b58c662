package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Backup implements appliance.StorageKeeper. It reads everything twice: to
// know what is in it, and to hand it out.
func (s *Store) Backup(ctx context.Context, each appliance.BackupFile) (report appliance.StorageReport, err error) {
	err = s.withSnapshot(ctx, func(ctx context.Context, dir string) (err error) {
		if report, err = s.inspect(ctx, dir); err != nil {
			return err
		}
		for _, name := range []string{formatName, valuesName, bodiesName, queueName} {
			if err := s.save(ctx, dir, name, each); err != nil {
				return err
			}
		}
		return nil
	})
	return report, err
}

// save hands out a file of a snapshot, or all files below a directory. What is
// neither is not of the store.
func (s *Store) save(ctx context.Context, top, name string, each appliance.BackupFile) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := s.fs.PathJoin(top, name)
	switch {
	case s.isRegular(path):
		return s.saveFile(path, name, each)
	case s.files.regular(path) != nil || !isDir(s.fs, path):
		return nil
	}
	names, err := s.files.List(path)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, below := range names {
		if isTemporary(below) {
			continue
		}
		if err := s.save(ctx, top, name+"/"+below, each); err != nil {
			return err
		}
	}
	return nil
}

// isTemporary says whether a file is of no use in another directory.
func isTemporary(name string) bool {
	return name == "LOCK" || name[0] == '.' // drafts, and values that are being written
}

func (s *Store) saveFile(path, name string, each appliance.BackupFile) error {
	f, err := s.files.Open(path)
	if err != nil {
		return ignoreMissing(err)
	}
	fi, err := f.Stat()
	if err == nil {
		err = each(name, fi.Size(), f)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(err, f.Close())
}
