package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Values holds small facts that must outlive the process: DKIM keys,
// certificates, accounts, captured messages. A key is one or more segments of
// letters, digits and "._@+-=", separated by "/"; no segment starts with a
// dot ([CheckValueKey]). A key is either a value or a place for others, as
// with files and directories. Values of a Context are confined to the
// instance's own place, "kind/name/", by [ValuesAt].
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
	// List returns the values whose key begins with prefix, sorted by key. End
	// prefix with a slash to mean a place; "" is everything.
	List(ctx context.Context, prefix string) ([]ValueInfo, error)
	// Lock waits until the named lock is free and takes it. It is free again
	// after unlock, or when its holder has not been heard of for ttl. An unlock
	// that comes too late is an error and takes the lock from nobody.
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

// CheckValueKey is the one validator of keys of Values: what it lets pass can
// be used as the name of a file below a directory.
func CheckValueKey(key string) error {
	if len(key) > maxValueKey {
		return fmt.Errorf("key of %d octets, at most %d are allowed", len(key), maxValueKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return fmt.Errorf("key %q: empty segment", key)
		case segment[0] == '.':
			return fmt.Errorf("key %q: a segment must not start with a dot", key)
		case len(segment) > maxValueSegment:
			return fmt.Errorf("key with a segment of %d octets, at most %d are allowed", len(segment), maxValueSegment)
		}
		for _, c := range []byte(segment) {
			if !isAlnum(c) && strings.IndexByte("._@+-=", c) < 0 {
				return fmt.Errorf("key %.80q: character %q is not allowed", key, c)
			}
		}
	}
	return nil
}

// Limits of a key, in octets: file names end at 255, and a temporary file
// needs some room for its own suffix.
const (
	maxValueKey     = 1000
	maxValueSegment = 200
)

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
