package appliancetest

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func testValues(t *testing.T, b *storeBed) {
	v, ctx := b.Values(), t.Context()
	if _, err := v.Get(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get of what is not there: %v", err)
	}
	if err := v.Delete(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("delete of what is not there: %v", err)
	}
	for _, want := range []string{"one", "", "three"} {
		if err := v.Put(ctx, "a/b", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := v.Get(ctx, "a/b"); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	got, err := v.Get(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'X'
	if again, err := v.Get(ctx, "a/b"); err != nil || string(again) != "three" {
		t.Errorf("what Get returned is still the store's: %q, %v", again, err)
	}
	// A key is a value or a place, not both.
	if v.Put(ctx, "a", nil) == nil || v.Put(ctx, "a/b/c", nil) == nil {
		t.Error("a key is both a value and a place")
	}
	for _, key := range []string{"a", "a/b/c"} {
		if _, err := v.Get(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("get of %s: %v", key, err)
		}
	}
	if err := v.Delete(ctx, "a/b"); err != nil {
		t.Error(err)
	}
	if _, err := v.Get(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get of what was deleted: %v", err)
	}
	testBadKeys(t, v)
}

// testBadKeys: X4, names come from one validator.
func testBadKeys(t *testing.T, v appliance.Values) {
	ctx := t.Context()
	for _, key := range []string{"", "../x", "a/../b", "/etc/passwd", "a//b", ".x", "a\x00", "*"} {
		_, errGet := v.Get(ctx, key)
		_, errLock := v.Lock(ctx, key, time.Second)
		for name, err := range map[string]error{
			"Get": errGet, "Lock": errLock, "Put": v.Put(ctx, key, nil), "Delete": v.Delete(ctx, key),
			"Swap": v.Swap(ctx, key, nil, nil),
		} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of key %q: %v", name, key, err)
			}
		}
	}
	if _, err := v.List(ctx, "../"); err == nil {
		t.Error("list of ../ was let pass")
	}
}

func testValuesSwap(t *testing.T, b *storeBed) {
	v, ctx := b.Values(), t.Context()
	if err := v.Swap(ctx, "n", []byte("0"), []byte("1")); !errors.Is(err, appliance.ErrConflict) {
		t.Errorf("swap of what is not there: %v", err)
	}
	if err := v.Swap(ctx, "n", nil, []byte{}); err != nil {
		t.Fatal(err)
	}
	if err := v.Swap(ctx, "n", nil, []byte("1")); !errors.Is(err, appliance.ErrConflict) {
		t.Errorf("an empty value was taken for none: %v", err)
	}
	if err := v.Swap(ctx, "n", []byte{}, []byte("0")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				err := increment(ctx, v)
				for errors.Is(err, appliance.ErrConflict) {
					err = increment(ctx, v)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got, err := v.Get(ctx, "n"); err != nil || string(got) != string(rune('0'+80)) {
		t.Errorf("80 increments gave %q, %v", got, err)
	}
}

func increment(ctx context.Context, v appliance.Values) error {
	old, err := v.Get(ctx, "n")
	if err != nil {
		return err
	}
	return v.Swap(ctx, "n", old, []byte(string([]rune(string(old))[0]+1)))
}

func testValuesList(t *testing.T, b *storeBed) {
	v, ctx := b.Values(), t.Context()
	start := time.Now().Add(-time.Minute)
	for _, key := range []string{"s/x/k2", "s/x/k1", "s/x-y/k", "s/y", "t"} {
		if err := v.Put(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"s/x-y/k", "s/x/k1", "s/x/k2", "s/y", "t"}},
		{"s/", []string{"s/x-y/k", "s/x/k1", "s/x/k2", "s/y"}},
		{"s/x", []string{"s/x-y/k", "s/x/k1", "s/x/k2"}},
		{"s/x/", []string{"s/x/k1", "s/x/k2"}},
		{"s/x/k1", []string{"s/x/k1"}},
		{"s/x/k1/", nil},
		{"u/", nil},
	} {
		infos, err := v.List(ctx, c.prefix)
		if err != nil {
			t.Errorf("%q: %v", c.prefix, err)
		}
		var got []string
		for _, i := range infos {
			got = append(got, i.Key)
			if int(i.Size) != len(i.Key) || i.Modified.Before(start) {
				t.Errorf("info %+v", i)
			}
		}
		b.same("keys under "+c.prefix, got, c.want)
	}
	at, err := appliance.ValuesAt(v, "s/x/").List(ctx, "")
	if err != nil || len(at) != 2 || at[0].Key != "k1" {
		t.Errorf("confined list: %+v, %v", at, err)
	}
}

func testValuesLock(t *testing.T, b *storeBed) {
	v, ctx := b.Values(), t.Context()
	unlock, err := v.Lock(ctx, "acme/lock", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() {
		second, err := v.Lock(ctx, "acme/lock", time.Hour)
		if err == nil {
			err = second()
		}
		taken <- err
	}()
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := v.Lock(short, "acme/lock", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a lock that is held: %v", err)
	}
	select {
	case err := <-taken:
		t.Errorf("the lock was taken twice: %v", err)
	default:
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if unlock() == nil {
		t.Error("a lock was released twice")
	}
}
