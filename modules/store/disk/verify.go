package disk

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.StorageKeeper = (*Store)(nil)

// Verify implements appliance.StorageKeeper.
func (s *Store) Verify(ctx context.Context) (report appliance.StorageReport, err error) {
	err = s.withSnapshot(ctx, func(ctx context.Context, dir string) error {
		report, err = s.inspect(ctx, dir)
		return err
	})
	if err != nil {
		return report, err
	}
	return report, s.surroundings(&report)
}

// withSnapshot calls do with a snapshot of the store.
func (s *Store) withSnapshot(ctx context.Context, do func(ctx context.Context, dir string) error) error {
	ctx, snap, err := s.hold(ctx)
	if err != nil {
		return err
	}
	if snap.dir != s.dir {
		err = s.fill(ctx)
	}
	if err == nil {
		err = do(ctx, snap.dir)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, snap.release())
}

// surroundings looks at what is in the directory and in no snapshot.
func (s *Store) surroundings(report *appliance.StorageReport) error {
	names, err := s.files.List(s.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(ownNames, name) && !strings.HasPrefix(name, tempPrefix) {
			report.Note(&report.Foreign, name, "not a file of waxwing")
		}
	}
	return s.setAsideBefore(report)
}

// ownNames are what lies in a data directory: of the store, and of the server.
var ownNames = []string{
	lockName, formatName, queueName, bodiesName, valuesName, quarantineName, ballastName, rescuedName, sorterName,
	snapshotName, restoringName, "admin.sock", "lost+found", "report.json", "SHA256SUMS",
}

// setAsideBefore lists the quarantine.
func (s *Store) setAsideBefore(report *appliance.StorageReport) error {
	dir := s.sub(quarantineName)
	names, err := s.files.List(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	slices.Sort(names)
	for _, name := range names {
		why := "it was damaged, and what could be read was carried over"
		if appliance.QueueID(name).IsValid() {
			why = "its records were lost"
			if b, err := readFile(s.files, s.fs.PathJoin(dir, name, "reason")); err == nil {
				why, _, _ = strings.Cut(string(b), "\n")
			}
		}
		report.Note(&report.SetAside, quarantineName+"/"+name, why)
	}
	return nil
}
