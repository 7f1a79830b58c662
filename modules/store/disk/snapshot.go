package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A snapshot is the directory as it is at one moment: what a power cut at that
// moment would leave. Of a store that runs it is a directory of links below its
// own, so that it is made in no time and costs hardly any space:
//
//	snapshot/queue/   a checkpoint of Pebble: links to its tables, copies of its logs
//	snapshot/bodies/  links; no body is removed between the checkpoint and them
//	snapshot/values/  links; a value is replaced, never changed
//	snapshot/format
//
// Nothing in it is written to, and Start removes what a crash has left of one.
// Of a store that was not started it is the directory itself, locked.
type snapshot struct {
	dir     string
	release func() error
}

// errBusy turns away who comes while another snapshot is there.
var errBusy = errors.New("another verification or backup is under way; wait for it to end")

// hold makes a snapshot, which is to be released. Stop waits for that, and ends
// ctx.
func (s *Store) hold(ctx context.Context) (context.Context, *snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.life.Err() != nil:
		return nil, nil, errClosed
	case !s.open:
		return s.holdStopped(ctx)
	case s.holding:
		return nil, nil, errBusy
	}
	s.holding = true
	s.runs.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.life, func() { cancel(errClosed) })
	return ctx, &snapshot{s.sub(snapshotName), func() error {
		defer s.runs.Done()
		forget()
		cancel(nil)
		err := s.files.RemoveAll(s.sub(snapshotName))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.holding = false
		return err
	}}, nil
}

// holdStopped keeps a server from starting meanwhile. A directory without a
// lock file, as a saved one is, has no server.
func (s *Store) holdStopped(ctx context.Context) (context.Context, *snapshot, error) {
	if vfs.Root(s.fs) != vfs.Default {
		return ctx, &snapshot{s.dir, func() error { return nil }}, nil
	}
	if _, err := look(s.dir); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(s.sub(lockName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ctx, &snapshot{s.dir, func() error { return nil }}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, nil, errors.Join(lockError(f, err), f.Close())
	}
	return ctx, &snapshot{s.dir, f.Close}, nil
}

// fill makes the links of a snapshot of a store that runs.
func (s *Store) fill(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.space.admit(); err != nil {
		return fmt.Errorf("there is too little disk space for a snapshot: %w", err)
	}
	to := s.sub(snapshotName)
	if err := errors.Join(s.files.RemoveAll(to), s.files.MkdirAll(to, 0o700)); err != nil {
		return err
	}
	s.keep.Lock()
	defer s.keep.Unlock()
	if err := s.checkpoint(ctx, s.fs.PathJoin(to, queueName)); err != nil {
		return fmt.Errorf("snapshot of the queue: %w", err)
	}
	if err := s.link(formatName, to); err != nil {
		return err
	}
	if err := s.linkAll(ctx, bodiesName, to); err != nil {
		return err
	}
	s.values.mu.Lock()
	defer s.values.mu.Unlock()
	return errors.Join(s.linkAll(ctx, valuesName, to), s.health.err())
}

// checkpoint makes a checkpoint of the queue. Pebble copies as much of the
// manifest as it has written since it was opened: that is nothing if there was
// nothing to flush, as when the start before was killed after its flush. Then
// something is flushed, and it is done again.
func (s *Store) checkpoint(ctx context.Context, to string) error {
	if err := s.db.Checkpoint(to, pebble.WithFlushedWAL()); err != nil {
		return err
	}
	if empty, err := s.lacksManifest(to); err != nil || !empty {
		return err
	}
	flushed, err := s.flushSomething()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.files.RemoveAll(to); err != nil {
		return err
	}
	return s.db.Checkpoint(to, pebble.WithFlushedWAL())
}

// lacksManifest says whether the manifest of a checkpoint is empty.
func (s *Store) lacksManifest(dir string) (bool, error) {
	names, err := s.files.List(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "MANIFEST-") {
			continue
		}
		fi, err := s.files.Stat(s.fs.PathJoin(dir, name))
		if err != nil || fi.Size() > 0 {
			return false, err
		}
	}
	return true, nil
}

// linkAll links the files of waxwing below a directory. What is none, or is
// gone in the meantime, is left out.
func (s *Store) linkAll(ctx context.Context, dir, to string) error {
	if err := s.files.MkdirAll(s.fs.PathJoin(to, dir), 0o700); err != nil {
		return err
	}
	names, err := s.files.List(s.sub(dir))
	if err != nil {
		return err
	}
	for _, name := range names {
		below := dir + "/" + name
		switch path := s.sub(below); {
		case s.files.regular(path) != nil || !isOwnName(dir, name):
		case isDir(s.fs, path) && dir != bodiesName:
			err = s.linkAll(ctx, below, to)
		case s.isRegular(path):
			err = ignoreMissing(s.link(below, to))
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// isOwnName says whether a file in a directory of bodies or values may be one.
func isOwnName(dir, name string) bool {
	if dir == bodiesName {
		return appliance.QueueID(name).IsValid()
	}
	return appliance.CheckValueKey(name) == nil
}

func (s *Store) link(name, to string) error {
	return vfs.LinkOrCopy(s.fs, s.sub(name), s.fs.PathJoin(to, name))
}
