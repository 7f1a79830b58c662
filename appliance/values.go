package appliance

import (
	"context"
	"errors"
	"time"
)

// Values holds small facts that must outlive the process: DKIM keys,
// certificates, accounts, captured messages. A key is one or more segments of
// letters, digits and "._@+-=", separated by "/"; no segment starts with a
// dot. Values of a Context are confined to the instance's own place,
// "kind/name/", by [ValuesAt].
type Values interface {
	// Get returns the value. The error is fs.ErrNotExist if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put makes the value durable before it returns.
	Put(ctx context.Context, key string, value []byte) error
	// Swap is Put if the value is still old, or does not exist and old is nil;
	// otherwise the error is ErrConflict and nothing changes.
	Swap(ctx context.Context, key string, old, value []byte) error
	// Delete removes the value. The error is fs.ErrNotExist if there is none.
	Delete(ctx context.Context, key string) error
	// List returns what stands under prefix, at any depth, sorted by key.
	List(ctx context.Context, prefix string) ([]ValueInfo, error)
	// Lock waits until the named lock is free and takes it. It is free again
	// after unlock, or when its holder has not been heard of for ttl.
	Lock(ctx context.Context, key string, ttl time.Duration) (unlock func() error, err error)
}

// ValueInfo describes a value.
type ValueInfo struct {
	Key      string
	Size     int64
	Modified time.Time
}

// ErrConflict means that somebody else has changed a value in the meantime.
var ErrConflict = errors.New("value has changed in the meantime")

// ValuesAt returns the part of v under prefix, which ends with a slash.
func ValuesAt(v Values, prefix string) Values { return valuesAt{v, prefix} }

type valuesAt struct {
	v      Values
	prefix string
}

func (p valuesAt) Get(ctx context.Context, key string) ([]byte, error) {
	return p.v.Get(ctx, p.prefix+key)
}

func (p valuesAt) Put(ctx context.Context, key string, value []byte) error {
	return p.v.Put(ctx, p.prefix+key, value)
}

func (p valuesAt) Swap(ctx context.Context, key string, old, value []byte) error {
	return p.v.Swap(ctx, p.prefix+key, old, value)
}

func (p valuesAt) Delete(ctx context.Context, key string) error { return p.v.Delete(ctx, p.prefix+key) }

func (p valuesAt) List(ctx context.Context, prefix string) ([]ValueInfo, error) {
	all, err := p.v.List(ctx, p.prefix+prefix)
	for i := range all {
		all[i].Key = all[i].Key[len(p.prefix):]
	}
	return all, err
}

func (p valuesAt) Lock(ctx context.Context, key string, ttl time.Duration) (func() error, error) {
	return p.v.Lock(ctx, p.prefix+key, ttl)
}
