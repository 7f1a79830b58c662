//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestKeysDropped: fifty goroutines sign while the key is loaded again and
// again, as reloads do, and what nobody uses is freed.
func TestKeysDropped(t *testing.T) {
	l := ready(t)
	var opened, freed, contexts atomic.Int64
	counted(l, &opened, &freed, &contexts)
	var current atomic.Pointer[Signer]
	reload := func() {
		s, err := l.newSigner(rsa2048, func(err error) { t.Error(err) })
		if err != nil {
			t.Error(err)
		}
		current.Store(s)
	}
	reload()
	digest := sums(1)[0]
	want, err := rsa.SignPKCS1v15(nil, rsa2048, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 20 {
				if got, err := current.Load().Sign(nil, digest, crypto.SHA256); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%x, %v", got, err)
				}
			}
		})
	}
	all.Go(func() {
		for range 30 {
			reload()
			runtime.GC()
		}
	})
	all.Wait()
	current.Store(nil)
	for deadline := 0; freed.Load() < opened.Load() && deadline < 1000; deadline++ {
		runtime.GC()
		runtime.Gosched()
	}
	if opened.Load() != 31 || freed.Load() != 31 || contexts.Load() != 0 {
		t.Errorf("%d keys, %d freed, %d contexts left", opened.Load(), freed.Load(), contexts.Load())
	}
}

// counted counts what is taken from C and given back.
func counted(l *library, opened, freed, contexts *atomic.Int64) {
	read, free, begin, end := l.readKey, l.freeKey, l.newKeyContext, l.freeKeyContext
	l.readKey = func(kind int32, reuse uintptr, der *uintptr, n int64, c libraryContext, p uintptr) privateKey {
		opened.Add(1)
		return read(kind, reuse, der, n, c, p)
	}
	l.freeKey = func(k privateKey) { free(k); freed.Add(1) }
	l.newKeyContext = func(c libraryContext, k privateKey, p uintptr) keyContext {
		contexts.Add(1)
		return begin(c, k, p)
	}
	l.freeKeyContext = func(c keyContext) { end(c); contexts.Add(-1) }
}

// TestSlots: no more signatures are made at a time than there are slots.
func TestSlots(t *testing.T) {
	l := ready(t)
	var now, most atomic.Int64
	begin := l.beginSigning
	l.beginSigning = func(c keyContext) int32 {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		runtime.Gosched()
		return begin(c)
	}
	s, err := l.newSigner(rsa2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := sums(1)[0]
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := s.sign(digest); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := most.Load(); got > int64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%d at a time", got)
	}
}

// TestMemory: after some thousands of signatures the process is no larger than
// after the first thousand.
func TestMemory(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 10_000
	}
	s := signer(t, generate(1024))
	digest := sums(1)[0]
	sign := func(n int) {
		for range n {
			if _, err := s.sign(digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	sign(n / 4)
	before := resident(t)
	sign(n)
	// A context that is not freed would be 450 octets for each signature.
	grown := resident(t) - before
	if t.Logf("grew by %d KiB with %d signatures", grown>>10, n); grown > n*200 {
		t.Error("too much")
	}
}

func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
