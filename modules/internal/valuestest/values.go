// Package valuestest has an appliance.Values in memory for the tests of
// modules that keep something in the store.
package valuestest

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/namedlock"
)

// Values is an appliance.Values in memory. The zero Values is empty.
type Values struct {
	// Fail, if set, is asked before each operation ("get", "put", "swap",
	// "delete", "list", "lock"); its error is the operation's.
	Fail func(op, key string) error

	locks namedlock.Set
	mu    sync.Mutex
	data  map[string][]byte
}

var _ appliance.Values = (*Values)(nil)

func (v *Values) begin(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if v.Fail != nil {
		return v.Fail(op, key)
	}
	return nil
}

// Get implements appliance.Values.
func (v *Values) Get(ctx context.Context, key string) ([]byte, error) {
	if err := v.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.data[key]; ok {
		return bytes.Clone(b), nil
	}
	return nil, fs.ErrNotExist
}

// Put implements appliance.Values.
func (v *Values) Put(ctx context.Context, key string, value []byte) error {
	if err := v.begin(ctx, "put", key); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set(key, value)
	return nil
}

func (v *Values) set(key string, value []byte) {
	if v.data == nil {
		v.data = make(map[string][]byte)
	}
	v.data[key] = bytes.Clone(value)
}

// Swap implements appliance.Values.
func (v *Values) Swap(ctx context.Context, key string, old, value []byte) error {
	if err := v.begin(ctx, "swap", key); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if b, ok := v.data[key]; ok != (old != nil) || !bytes.Equal(b, old) {
		return appliance.ErrConflict
	}
	v.set(key, value)
	return nil
}

// Delete implements appliance.Values.
func (v *Values) Delete(ctx context.Context, key string) error {
	if err := v.begin(ctx, "delete", key); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.data[key]; !ok {
		return fs.ErrNotExist
	}
	delete(v.data, key)
	return nil
}

// List implements appliance.Values.
func (v *Values) List(ctx context.Context, prefix string) ([]appliance.ValueInfo, error) {
	if err := v.begin(ctx, "list", prefix); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []appliance.ValueInfo
	for _, k := range slices.Sorted(maps.Keys(v.data)) {
		if strings.HasPrefix(k, prefix) {
			all = append(all, appliance.ValueInfo{Key: k, Size: int64(len(v.data[k]))})
		}
	}
	return all, nil
}

// Lock implements appliance.Values.
func (v *Values) Lock(ctx context.Context, key string, ttl time.Duration) (func() error, error) {
	if err := v.begin(ctx, "lock", key); err != nil {
		return nil, err
	}
	return v.locks.Lock(ctx, key, ttl)
}
