package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Restore implements appliance.StorageKeeper. The files come to restoring/ first:
//
//	restoring/ is there     the restore is not finished; a server does not start
//	restoring/ is gone      all of it is there, or nothing is
//
// A crash in between leaves a directory to be emptied by hand.
func (s *Store) Restore(
	ctx context.Context, from func(appliance.BackupFile) error, o appliance.RestoreOptions,
) (report appliance.StorageReport, err error) {
	if err := s.checkEmpty(); err != nil {
		return report, err
	}
	lock, err := s.lockDirectory()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	temp := s.sub(restoringName)
	if err := errors.Join(s.checkEmpty(), s.makeDirectory(temp)); err != nil {
		return report, err
	}
	report, err = s.unpack(ctx, temp, from, o)
	if err != nil {
		return report, errors.Join(err, s.files.RemoveAll(temp))
	}
	return report, s.moveIn(temp)
}

// checkEmpty refuses a directory in which there is something: a restore puts
// nothing into the place of anything.
func (s *Store) checkEmpty() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return ignoreMissing(err)
	}
	if slices.Contains(names, restoringName) {
		return fmt.Errorf("%s: %w", s.dir, errRestoring)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case lockName, "lost+found":
		default:
			return fmt.Errorf("%s is not empty, there is %s in it: a restore needs an empty directory", s.dir, name)
		}
	}
	return nil
}

// errRestoring is of a directory that holds half a backup.
var errRestoring = errors.New("a restore was not finished here: empty the directory and restore again")

// unpack fills temp, and makes sure that it is worth it.
func (s *Store) unpack(
	ctx context.Context, temp string, from func(appliance.BackupFile) error, o appliance.RestoreOptions,
) (report appliance.StorageReport, err error) {
	u := &unpacking{s: s, ctx: ctx, top: temp, dirs: make(map[string]struct{})}
	if err := from(u.file); err != nil {
		return report, err
	}
	if err := u.syncDirs(); err != nil {
		return report, err
	}
	if report, err = s.inspect(ctx, temp); err != nil {
		return report, err
	}
	if n := len(report.Damaged); n > 0 && !o.Damaged {
		return report, fmt.Errorf("the backup is damaged: %s: %s; nothing was restored",
			report.Damaged[0].What, report.Damaged[0].Why)
	}
	if o.Hold {
		err = s.holdAll(ctx, temp)
		report.Held = report.Deliveries
	}
	return report, err
}

// An unpacking writes the files of a backup.
type unpacking struct {
	s    *Store
	ctx  context.Context
	top  string
	dirs map[string]struct{}
}

func (u *unpacking) file(name string, _ int64, content io.Reader) (err error) {
	top, _, _ := strings.Cut(name, "/")
	if !slices.Contains([]string{formatName, queueName, bodiesName, valuesName}, top) || !fs.ValidPath(name) {
		return fmt.Errorf("%.80q is no file of a store", name)
	}
	if err := u.ctx.Err(); err != nil {
		return err
	}
	files := u.s.files
	to := files.PathJoin(u.top, files.PathJoin(strings.Split(name, "/")...))
	dir := files.PathDir(to)
	if err := files.makeDirs(dir); err != nil {
		return err
	}
	u.dirs[dir] = struct{}{}
	f, err := files.Create(to, "restore")
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, content); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDirs makes the names of the files durable.
func (u *unpacking) syncDirs() error {
	for _, dir := range slices.Sorted(maps.Keys(u.dirs)) {
		if err := u.s.files.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// holdAll starts a store on what was unpacked, to hold all that waits.
func (s *Store) holdAll(ctx context.Context, dir string) error {
	h := New()
	h.fs = s.fs
	if err := h.Provision(&appliance.Context{DataDir: dir, Log: s.log}); err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	_, err := h.Change(ctx, appliance.Filter{}, appliance.ChangeHold)
	return errors.Join(err, h.Stop(ctx))
}

// moveIn puts what was unpacked in its place. The format file says that there
// is a store, and so comes last.
func (s *Store) moveIn(temp string) error {
	for _, name := range []string{quarantineName, valuesName, bodiesName, queueName, formatName} {
		err := s.files.Rename(s.fs.PathJoin(temp, name), s.sub(name))
		if ignoreMissing(err) != nil {
			return err
		}
	}
	if err := s.files.syncDir(s.dir); err != nil {
		return err
	}
	return errors.Join(s.files.RemoveAll(temp), s.files.syncDir(s.dir))
}
