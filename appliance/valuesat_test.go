package appliance

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// spyValues records the keys it is asked for.
type spyValues struct{ asked []string }

func (s *spyValues) ask(key string) { s.asked = append(s.asked, key) }

func (s *spyValues) Get(_ context.Context, key string) ([]byte, error) {
	s.ask(key)
	return nil, fs.ErrNotExist
}
func (s *spyValues) Put(_ context.Context, key string, _ []byte) error { s.ask(key); return nil }
func (s *spyValues) Swap(_ context.Context, key string, _, _ []byte) error {
	s.ask(key)
	return ErrConflict
}
func (s *spyValues) Delete(_ context.Context, key string) error { s.ask(key); return nil }
func (s *spyValues) List(_ context.Context, prefix string) ([]ValueInfo, error) {
	s.ask(prefix)
	return []ValueInfo{{Key: prefix + "a"}, {Key: prefix + "b/c"}}, nil
}
func (s *spyValues) Lock(_ context.Context, key string, _ time.Duration) (func() error, error) {
	s.ask(key)
	return nil, nil
}

// TestValuesAt: an instance sees its own place and nothing else, and keys
// relative to it.
func TestValuesAt(t *testing.T) {
	spy := new(spyValues)
	v := ValuesAt(ValuesAt(spy, "signer/"), "example/")
	ctx := context.Background()
	if _, err := v.Get(ctx, "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := v.Put(ctx, "k", nil); err != nil {
		t.Error(err)
	}
	if err := v.Swap(ctx, "k", nil, nil); !errors.Is(err, ErrConflict) {
		t.Error(err)
	}
	if err := v.Delete(ctx, "k"); err != nil {
		t.Error(err)
	}
	if _, err := v.Lock(ctx, "k", time.Second); err != nil {
		t.Error(err)
	}
	if got := strings.Join(spy.asked, " "); got != strings.TrimSpace(strings.Repeat("signer/example/k ", 5)) {
		t.Errorf("asked for %s", got)
	}
	list, err := v.List(ctx, "x/")
	if err != nil || len(list) != 2 || list[0].Key != "x/a" || list[1].Key != "x/b/c" {
		t.Errorf("%v, %v", list, err)
	}
}
