package memory

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/namedlock"
)

type value struct {
	content  []byte
	modified time.Time
}

// values are the Values of a Store, under the store's lock.
type values struct {
	s     *Store
	m     map[string]value
	locks *namedlock.Set
}

func (v *values) enter(ctx context.Context, key string) error {
	if err := appliance.CheckValueKey(key); err != nil {
		return err
	}
	return v.s.enter(ctx)
}

func missing(key string) error { return &fs.PathError{Op: "get", Path: key, Err: fs.ErrNotExist} }

// Get implements appliance.Values.
func (v *values) Get(ctx context.Context, key string) ([]byte, error) {
	if err := v.enter(ctx, key); err != nil {
		return nil, err
	}
	defer v.s.mu.Unlock()
	found, ok := v.m[key]
	if !ok {
		return nil, missing(key)
	}
	return bytes.Clone(found.content), nil
}

// Put implements appliance.Values.
func (v *values) Put(ctx context.Context, key string, content []byte) error {
	if err := v.enter(ctx, key); err != nil {
		return err
	}
	defer v.s.mu.Unlock()
	return v.put(key, content)
}

// put keeps a key from being both a value and a place for others.
func (v *values) put(key string, content []byte) error {
	for other := range v.m {
		if strings.HasPrefix(other, key+"/") || strings.HasPrefix(key, other+"/") {
			return fmt.Errorf("value %s: a key is either a value or a place for others", key)
		}
	}
	v.m[key] = value{append([]byte{}, content...), time.Now()}
	return nil
}

// Swap implements appliance.Values.
func (v *values) Swap(ctx context.Context, key string, old, content []byte) error {
	if err := v.enter(ctx, key); err != nil {
		return err
	}
	defer v.s.mu.Unlock()
	now, exists := v.m[key]
	if exists != (old != nil) || !bytes.Equal(now.content, old) {
		return fmt.Errorf("value %s: %w", key, appliance.ErrConflict)
	}
	return v.put(key, content)
}

// Delete implements appliance.Values.
func (v *values) Delete(ctx context.Context, key string) error {
	if err := v.enter(ctx, key); err != nil {
		return err
	}
	defer v.s.mu.Unlock()
	if _, ok := v.m[key]; !ok {
		return missing(key)
	}
	delete(v.m, key)
	return nil
}

// List implements appliance.Values.
func (v *values) List(ctx context.Context, prefix string) (all []appliance.ValueInfo, err error) {
	if place := strings.TrimSuffix(prefix[:strings.LastIndexByte(prefix, '/')+1], "/"); place != "" {
		if err := appliance.CheckValueKey(place); err != nil {
			return nil, err
		}
	}
	if err := v.s.enter(ctx); err != nil {
		return nil, err
	}
	defer v.s.mu.Unlock()
	for key, found := range v.m {
		if strings.HasPrefix(key, prefix) {
			all = append(all, appliance.ValueInfo{Key: key, Size: int64(len(found.content)), Modified: found.modified})
		}
	}
	slices.SortFunc(all, func(a, b appliance.ValueInfo) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// Lock implements appliance.Values.
func (v *values) Lock(ctx context.Context, key string, ttl time.Duration) (func() error, error) {
	if err := appliance.CheckValueKey(key); err != nil {
		return nil, err
	}
	return v.locks.Lock(ctx, key, ttl)
}
