package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/namedlock"
)

// values keeps each value in a file of its own, 0600, whose path is its key.
// A person can see, back up and bring along what is there; a file that is put
// there while the server is stopped is a value.
type values struct {
	s     *Store
	locks *namedlock.Set
	mu    sync.Mutex // one change at a time

	durable map[string]bool // directories whose names this process has synced; guarded by mu
}

var _ appliance.Values = (*values)(nil)

func (v *values) path(key string) string {
	return v.s.fs.PathJoin(v.s.sub(valuesName), v.s.fs.PathJoin(strings.Split(key, "/")...))
}

// begin begins a call for a key and is paired with Store.leave.
func (v *values) begin(ctx context.Context, key string) error {
	if err := appliance.CheckValueKey(key); err != nil {
		return err
	}
	return v.s.enter(ctx)
}

// Get implements appliance.Values.
func (v *values) Get(ctx context.Context, key string) ([]byte, error) {
	if err := v.begin(ctx, key); err != nil {
		return nil, err
	}
	defer v.s.leave()
	return v.read(key)
}

func (v *values) read(key string) ([]byte, error) {
	path := v.path(key)
	if isDir(v.s.fs, path) || !isDir(v.s.fs, v.s.fs.PathDir(path)) {
		return nil, &fs.PathError{Op: "get", Path: key, Err: fs.ErrNotExist}
	}
	b, err := readFile(v.s.files, path)
	if err != nil {
		return nil, fmt.Errorf("value %s: %w", key, err)
	}
	return b, nil
}

// Put implements appliance.Values.
func (v *values) Put(ctx context.Context, key string, value []byte) error {
	if err := v.begin(ctx, key); err != nil {
		return err
	}
	defer v.s.leave()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.write(key, value)
}

func (v *values) write(key string, value []byte) error {
	path := v.path(key)
	dir := v.s.fs.PathDir(path)
	if isDir(v.s.fs, path) {
		return fmt.Errorf("value %s: there are values below it", key)
	}
	err := v.makeDir(dir)
	if err == nil {
		err = v.s.files.writeFile(dir, v.s.fs.PathBase(path), value)
	}
	if err != nil {
		return fmt.Errorf("value %s: %w", key, full(err))
	}
	return nil
}

// makeDir makes a directory below values durably. One that is there may be of
// a process that died, or of a call that failed, before its name was synced.
func (v *values) makeDir(dir string) error {
	if dir == v.s.sub(valuesName) || v.durable[dir] && isDir(v.s.fs, dir) {
		return nil
	}
	parent := v.s.fs.PathDir(dir)
	if err := v.makeDir(parent); err != nil {
		return err
	}
	if err := v.s.files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := v.s.files.syncDir(parent); err != nil {
		return err
	}
	v.durable[dir] = true
	return nil
}

// Swap implements appliance.Values.
func (v *values) Swap(ctx context.Context, key string, old, value []byte) error {
	if err := v.begin(ctx, key); err != nil {
		return err
	}
	defer v.s.leave()
	v.mu.Lock()
	defer v.mu.Unlock()
	now, err := v.read(key)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if missing != (old == nil) || !bytes.Equal(now, old) {
		return fmt.Errorf("value %s: %w", key, appliance.ErrConflict)
	}
	return v.write(key, value)
}

// Delete implements appliance.Values. Directories that become empty stay.
func (v *values) Delete(ctx context.Context, key string) error {
	if err := v.begin(ctx, key); err != nil {
		return err
	}
	defer v.s.leave()
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, err := v.read(key); err != nil {
		return err
	}
	path := v.path(key)
	if err := v.s.files.Remove(path); err != nil {
		return fmt.Errorf("value %s: %w", key, err)
	}
	return v.s.files.syncDir(v.s.fs.PathDir(path))
}

// List implements appliance.Values.
func (v *values) List(ctx context.Context, prefix string) ([]appliance.ValueInfo, error) {
	place := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if place != "" {
		if err := appliance.CheckValueKey(strings.TrimSuffix(place, "/")); err != nil {
			return nil, err
		}
	}
	if err := v.s.enter(ctx); err != nil {
		return nil, err
	}
	defer v.s.leave()
	all, err := v.walk(ctx, place)
	all = slices.DeleteFunc(all, func(i appliance.ValueInfo) bool { return !strings.HasPrefix(i.Key, prefix) })
	slices.SortFunc(all, func(a, b appliance.ValueInfo) int { return strings.Compare(a.Key, b.Key) })
	return all, err
}

// walk lists everything below a place, which is "" or ends with a slash.
// What cannot be a key is none.
func (v *values) walk(ctx context.Context, place string) (all []appliance.ValueInfo, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir := v.path(strings.TrimSuffix(place, "/"))
	if !isDir(v.s.fs, dir) {
		return nil, nil
	}
	names, err := v.s.files.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		key := place + name
		if appliance.CheckValueKey(key) != nil {
			continue
		}
		fi, err := v.s.files.Stat(v.path(key))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			return nil, err
		case fi.IsDir():
			below, err := v.walk(ctx, key+"/")
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		case v.s.isRegular(v.path(key)):
			all = append(all, appliance.ValueInfo{Key: key, Size: fi.Size(), Modified: fi.ModTime()})
		}
	}
	return all, nil
}

// Lock implements appliance.Values. The directory has a single owner, so that
// a lock within the process will do.
func (v *values) Lock(ctx context.Context, key string, ttl time.Duration) (func() error, error) {
	if err := appliance.CheckValueKey(key); err != nil {
		return nil, err
	}
	return v.locks.Lock(ctx, key, ttl)
}

// sweep removes what a crash has left of a write.
func (v *values) sweep() error { return v.sweepDir(v.s.sub(valuesName)) }

func (v *values) sweepDir(dir string) error {
	names, err := v.s.files.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := v.s.fs.PathJoin(dir, name)
		switch {
		case strings.HasPrefix(name, tempPrefix):
			err = v.s.files.Remove(path)
		case v.s.files.regular(path) == nil && isDir(v.s.fs, path):
			err = v.sweepDir(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
