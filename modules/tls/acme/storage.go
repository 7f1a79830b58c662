package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// storage is a certmagic.Storage over appliance.Values for one attempt.
//
// Certmagic stores a certificate as three values, one after the other, and
// takes back the first when a later one fails, although it has just been
// written over the old one. Here the three are the parts of one [bundle]:
// they are held until the last of them, the metadata, is stored, and reach the
// store in one step. Until then, and if that fails, the old bundle stays.
type storage struct {
	values appliance.Values
	log    *zap.Logger
	ttl    time.Duration // of a lock whose holder has died
	// accepts says what is wrong with a certificate that is about to take the
	// place of the one that is stored; nil accepts all.
	accepts func(chain []byte, c *tls.Certificate) error

	mu      sync.Mutex
	locks   map[string]func() error
	held    map[string]*bundle // parts that wait for the others
	failure error              // the first write that failed
}

var _ certmagic.Storage = (*storage)(nil)

func newStorage(v appliance.Values, log *zap.Logger, ttl time.Duration) *storage {
	return &storage{values: v, log: log, ttl: ttl, locks: make(map[string]func() error), held: make(map[string]*bundle)}
}

// A storeError is the store's refusal to keep something. Certmagic reports it
// in words only.
type storeError struct{ err error }

func (e *storeError) Error() string { return "the store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// failed returns the first write that failed as a *storeError, or nil.
func (s *storage) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		return nil
	}
	return &storeError{s.failure}
}

func (s *storage) remember(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil && err != nil {
		s.failure = err
	}
	return err
}

const certificates = "certificates/"

// bundleKey splits the key of a part of a certificate into the key of its
// bundle and its extension.
func bundleKey(key string) (bundle, extension string, ok bool) {
	extension = path.Ext(key)
	stem, isCertificate := strings.CutSuffix(key, extension)
	isPart := extension == ".crt" || extension == ".key" || extension == ".json"
	return stem + ".pem", extension, isPart && isCertificate && strings.HasPrefix(key, certificates)
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	at, extension, ok := bundleKey(key)
	if !ok {
		return s.remember(s.put(ctx, key, value))
	}
	*s.hold(at).part(extension) = slices.Clone(value)
	if extension != ".json" {
		return nil
	}
	err := s.remember(s.commit(ctx, at))
	if err != nil {
		s.release(at, extension)
	}
	return err
}

// hold returns the parts of a bundle that wait for the others.
func (s *storage) hold(at string) *bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[at] == nil {
		s.held[at] = new(bundle)
	}
	return s.held[at]
}

// release forgets a part that waits for others, if it does.
func (s *storage) release(at, extension string) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.held[at]
	if b == nil || *b.part(extension) == nil {
		return false
	}
	*b.part(extension) = nil
	if b.chain == nil && b.key == nil && b.meta == nil {
		delete(s.held, at)
	}
	return true
}

// commit stores a bundle. What does not wait stays as it is: new metadata, such
// as a new time of renewal, comes alone.
func (s *storage) commit(ctx context.Context, at string) error {
	whole := *s.hold(at)
	if whole.chain == nil || whole.key == nil {
		old, err := s.bundle(ctx, at)
		if err != nil {
			return err
		}
		whole.chain, whole.key = old.chain, old.key
	} else if err := s.check(&whole); err != nil {
		return err
	}
	value, err := whole.encode()
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if err := s.put(ctx, at, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, at)
	return nil
}

// An unfitError is why a certificate is of no use although an authority has
// issued it.
type unfitError struct{ err error }

func (e *unfitError) Error() string { return e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// check refuses a certificate that must not replace another. The error is an
// *unfitError.
func (s *storage) check(b *bundle) error {
	c, err := b.certificate()
	if err == nil && s.accepts != nil {
		err = s.accepts(b.chain, c)
	}
	if err != nil {
		return &unfitError{err}
	}
	return nil
}

func (s *storage) put(ctx context.Context, key string, value []byte) error {
	if err := appliance.CheckValueKey(key); err != nil {
		return err
	}
	return s.values.Put(ctx, key, value)
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	at, extension, ok := bundleKey(key)
	if !ok {
		return s.get(ctx, key)
	}
	b, err := s.bundle(ctx, at)
	if err != nil {
		return nil, err
	}
	return *b.part(extension), nil
}

func (s *storage) get(ctx context.Context, key string) ([]byte, error) {
	if err := appliance.CheckValueKey(key); err != nil {
		return nil, err
	}
	return s.values.Get(ctx, key)
}

// bundle reads a bundle. One that is damaged is not there: nobody can serve
// it, and a new one can be had.
func (s *storage) bundle(ctx context.Context, at string) (*bundle, error) {
	value, err := s.get(ctx, at)
	if err != nil {
		return nil, err
	}
	b, err := decodeBundle(value)
	if err != nil {
		s.log.Warn("a stored certificate is damaged; getting a new one", zap.String("key", at), zap.Error(err))
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// Delete implements certmagic.Storage. A part that waits for others is
// forgotten, and the stored bundle stays; if there is no such part, the bundle
// goes: without its key or its chain a certificate is nothing.
func (s *storage) Delete(ctx context.Context, key string) error {
	if at, extension, ok := bundleKey(key); ok {
		if s.release(at, extension) {
			return nil
		}
		key = at
	}
	if err := appliance.CheckValueKey(key); err != nil {
		return err
	}
	below, err := s.values.List(ctx, key+"/")
	if err != nil {
		return err
	}
	keys := []string{key}
	for _, info := range below {
		keys = append(keys, info.Key)
	}
	for _, k := range keys {
		if err := s.values.Delete(ctx, k); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	at, extension, isPart := bundleKey(key)
	if isPart {
		b, err := s.bundle(ctx, at)
		if err != nil {
			return certmagic.KeyInfo{}, err
		}
		return certmagic.KeyInfo{Key: key, Size: int64(len(*b.part(extension))), IsTerminal: true}, nil
	}
	if err := appliance.CheckValueKey(key); err != nil {
		return certmagic.KeyInfo{}, err
	}
	found, err := s.values.List(ctx, key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	for _, info := range found {
		switch {
		case info.Key == key:
			return certmagic.KeyInfo{Key: key, Modified: info.Modified, Size: info.Size, IsTerminal: true}, nil
		case strings.HasPrefix(info.Key, key+"/"):
			return certmagic.KeyInfo{Key: key}, nil
		}
	}
	return certmagic.KeyInfo{}, fs.ErrNotExist
}

// List implements certmagic.Storage. A bundle is listed as what it is.
func (s *storage) List(ctx context.Context, at string, recursive bool) ([]string, error) {
	prefix := strings.TrimSuffix(at, "/")
	if prefix != "" {
		prefix += "/"
	}
	found, err := s.values.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	var all []string
	for _, info := range found {
		key := info.Key
		if !recursive {
			first, _, _ := strings.Cut(key[len(prefix):], "/")
			key = prefix + first
		}
		if len(all) == 0 || all[len(all)-1] != key {
			all = append(all, key)
		}
	}
	return all, nil
}

// Lock implements certmagic.Storage. Names of locks may have characters that
// keys may not.
func (s *storage) Lock(ctx context.Context, name string) error {
	unlock, err := s.values.Lock(ctx, certmagic.StorageKeys.Safe(name), s.ttl)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks[name] = unlock
	return nil
}

// Unlock implements certmagic.Storage.
func (s *storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	unlock := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if unlock == nil {
		return fmt.Errorf("lock %q is not held", name)
	}
	return unlock()
}
