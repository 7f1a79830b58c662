package acme

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
	"github.com/waxwing-mail/waxwing/modules/internal/valuestest"
	"github.com/waxwing-mail/waxwing/modules/store/disk"
)

// stores are what a storage is tested on.
var stores = map[string]func(t *testing.T) appliance.Values{
	"memory": func(*testing.T) appliance.Values { return new(valuestest.Values) },
	"disk": func(t *testing.T) appliance.Values {
		s := disk.New()
		if err := errors.Join(s.Provision(&appliance.Context{DataDir: t.TempDir()}), s.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop(context.Background()) })
		return appliance.ValuesAt(s.Values(), "tls/test/")
	},
}

func eachStore(t *testing.T, f func(t *testing.T, s *storage)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { f(t, newStorage(open(t), zap.NewNop(), time.Minute)) })
	}
}

// pair makes the parts of a certificate.
func pair(t *testing.T) (chain, key []byte) {
	t.Helper()
	b, err := certs.SelfSigned([]string{host}, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("-----BEGIN PRIVATE"))
	return b[:at], b[at:]
}

// TestStorage: what certmagic expects of a storage, with values that are not
// parts of a certificate.
func TestStorage(t *testing.T) {
	eachStore(t, func(t *testing.T, s *storage) {
		ctx := t.Context()
		const dir = "acme/ca.example-dir/users"
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Load(ctx, dir+"/a/a.json"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load: %v", err)
		}
		if _, err := s.List(ctx, dir, false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list: %v", err)
		}
		if _, err := s.Stat(ctx, dir); !errors.Is(err, fs.ErrNotExist) || s.Exists(ctx, dir) {
			t.Errorf("stat: %v", err)
		}
		must(s.Delete(ctx, dir))
		for _, k := range []string{"/a/a.json", "/a/a.key", "/b/b.json", "-not/c.json"} {
			must(s.Store(ctx, dir+k, []byte("old")))
			must(s.Store(ctx, dir+k, []byte("value of "+k)))
		}
		if b, err := s.Load(ctx, dir+"/a/a.key"); err != nil || string(b) != "value of /a/a.key" {
			t.Errorf("%q, %v", b, err)
		}
		flat, err := s.List(ctx, dir, false)
		must(err)
		if diff := cmp.Diff([]string{dir + "/a", dir + "/b"}, flat); diff != "" {
			t.Error(diff)
		}
		deep, err := s.List(ctx, dir+"/", true)
		must(err)
		if diff := cmp.Diff([]string{dir + "/a/a.json", dir + "/a/a.key", dir + "/b/b.json"}, deep); diff != "" {
			t.Error(diff)
		}
		if i, err := s.Stat(ctx, dir+"/a/a.key"); err != nil || !i.IsTerminal || i.Size != 17 {
			t.Errorf("%+v, %v", i, err)
		}
		if i, err := s.Stat(ctx, dir+"/a"); err != nil || i.IsTerminal || !s.Exists(ctx, dir+"/a") || s.Exists(ctx, dir+"/") {
			t.Errorf("%+v, %v", i, err)
		}
		must(s.Delete(ctx, dir+"/a"))
		must(s.Delete(ctx, dir+"/b/b.json"))
		if s.Exists(ctx, dir) || !s.Exists(ctx, dir+"-not") {
			t.Error("delete of a place")
		}
	})
}

// TestStorageBadKeys: X4, a bad key is an error and not a file somewhere else.
func TestStorageBadKeys(t *testing.T) {
	eachStore(t, func(t *testing.T, s *storage) {
		ctx := t.Context()
		for _, key := range []string{"", "../x", "a/../b", "/etc/passwd", "a//b", "*.example.com", "certificates/../x.crt", "certificates/../x.json", strings.Repeat("a", 2000)} {
			_, errLoad := s.Load(ctx, key)
			_, errStat := s.Stat(ctx, key)
			if errLoad == nil || errStat == nil || s.Delete(ctx, key) == nil || s.Exists(ctx, key) {
				t.Errorf("%.20q is a key", key)
			}
			if !strings.HasSuffix(key, ".crt") && s.Store(ctx, key, nil) == nil {
				t.Errorf("%.20q is stored", key)
			}
		}
	})
}

// TestStorageLock: locks exclude each other, whatever is in their names.
func TestStorageLock(t *testing.T) {
	eachStore(t, func(t *testing.T, s *storage) {
		const name = "issue_cert_*.example.com"
		other := newStorage(s.values, zap.NewNop(), time.Minute)
		if err := s.Lock(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := other.Lock(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second lock: %v", err)
		}
		if err := errors.Join(s.Unlock(ctx, name), other.Lock(t.Context(), name), other.Unlock(ctx, name)); err != nil {
			t.Error(err)
		}
		if s.Unlock(ctx, name) == nil {
			t.Error("unlocked twice")
		}
	})
}

const site = "certificates/ca.example-dir/mx.example.com/mx.example.com"

// store stores a certificate as certmagic does, all or nothing.
func (s *storage) storeAll(ctx context.Context, chain, key, meta []byte) error {
	for i, part := range []struct {
		extension string
		value     []byte
	}{{".key", key}, {".crt", chain}, {".json", meta}} {
		if err := s.Store(ctx, site+part.extension, part.value); err != nil {
			for _, back := range []string{".crt", ".key"}[2-i:] {
				if err := s.Delete(ctx, site+back); err != nil {
					return err
				}
			}
			return err
		}
	}
	return nil
}

// TestBundle: the three parts of a certificate change together, or not at all.
func TestBundle(t *testing.T) {
	eachStore(t, func(t *testing.T, s *storage) {
		ctx := t.Context()
		chain, key := pair(t)
		has := func(chain, key, meta []byte) {
			t.Helper()
			for extension, want := range map[string][]byte{".crt": chain, ".key": key, ".json": meta} {
				got, err := s.Load(ctx, site+extension)
				if want == nil && !errors.Is(err, fs.ErrNotExist) || want != nil && !bytes.Equal(got, want) {
					t.Errorf("%s is %.30q, %v", extension, got, err)
				}
				if s.Exists(ctx, site+extension) != (want != nil) {
					t.Errorf("%s exists: %t", extension, want == nil)
				}
			}
		}
		has(nil, nil, nil)
		if err := s.storeAll(ctx, chain, key, []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
		has(chain, key, []byte(`{"a":1}`))
		if list, err := s.List(ctx, "certificates", true); err != nil || len(list) != 1 || list[0] != site+".pem" {
			t.Errorf("%v, %v", list, err)
		}
		// New metadata come alone.
		if err := s.Store(ctx, site+".json", []byte(`{"a":2}`)); err != nil {
			t.Error(err)
		}
		has(chain, key, []byte(`{"a":2}`))
		// A key of another certificate is refused, and changes nothing.
		_, wrong := pair(t)
		if s.storeAll(ctx, chain, wrong, []byte(`{"a":3}`)) == nil {
			t.Error("certificate and key do not fit each other")
		}
		has(chain, key, []byte(`{"a":2}`))
		if len(s.held) != 0 {
			t.Errorf("%d bundles wait for their parts", len(s.held))
		}
		// A key that was given away is removed with its certificate.
		if err := s.Delete(ctx, site+".key"); err != nil {
			t.Error(err)
		}
		has(nil, nil, nil)
		if s.Store(ctx, site+".json", []byte("{}")) == nil {
			t.Error("metadata of nothing")
		}
	})
}

// TestR3BundleFullDisk: a write that fails is taken back, not the one before.
func TestR3BundleFullDisk(t *testing.T) {
	v := new(valuestest.Values)
	s := newStorage(v, zap.NewNop(), time.Minute)
	chain, key := pair(t)
	if err := s.storeAll(t.Context(), chain, key, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	v.Fail = func(op, _ string) error {
		if op == "put" {
			return syscall.ENOSPC
		}
		return nil
	}
	newChain, newKey := pair(t)
	if err := s.storeAll(t.Context(), newChain, newKey, []byte("{}")); !errors.Is(err, syscall.ENOSPC) || !errors.Is(s.failed(), syscall.ENOSPC) {
		t.Errorf("%v, %v", err, s.failed())
	}
	if got, err := s.Load(t.Context(), site+".key"); err != nil || !bytes.Equal(got, key) {
		t.Errorf("the old key: %v", err)
	}
	v.Fail = nil
	if err := s.storeAll(t.Context(), newChain, newKey, []byte("{}")); err != nil {
		t.Error(err)
	}
	if got, err := s.Load(t.Context(), site+".crt"); err != nil || !bytes.Equal(got, newChain) {
		t.Errorf("the new chain: %v", err)
	}
}

// TestDamagedBundle: what is damaged is not there, so that a new one is made;
// what cannot be read is an error.
func TestDamagedBundle(t *testing.T) {
	v := new(valuestest.Values)
	s := newStorage(v, zap.NewNop(), time.Minute)
	chain, key := pair(t)
	_, other := pair(t)
	meta := []byte("-----BEGIN ACME METADATA-----\ne30=\n-----END ACME METADATA-----\n")
	for name, value := range map[string][]byte{
		"nothing": nil, "garbage": []byte("garbage"), "no key": append(bytes.Clone(chain), meta...),
		"no chain": append(bytes.Clone(key), meta...), "no metadata": append(bytes.Clone(chain), key...),
		"another key": bytes.Join([][]byte{chain, other, meta}, nil),
	} {
		if err := v.Put(t.Context(), site+".pem", value); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), site+".crt"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.Fail = func(string, string) error { return syscall.EIO }
	if _, err := s.Load(t.Context(), site+".crt"); !errors.Is(err, syscall.EIO) || s.Exists(t.Context(), site+".crt") {
		t.Error("a failure of the disk is taken for an absence")
	}
}
