package cmd

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
)

// TestKnowMemory: in a container Go's heap is kept below its limit, unless
// somebody has said what it is to be kept below.
func TestKnowMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	container := fstest.MapFS{
		"proc/self/cgroup":         {Data: []byte("0::/\n")},
		"sys/fs/cgroup/memory.max": {Data: []byte("1000000000000\n")},
	}
	for _, c := range []struct {
		name, env         string
		root              fstest.MapFS
		limit, want, left int64
	}{
		{"container", "", container, math.MaxInt64, 900_000_000_000, 900_000_000_000},
		{"GOMEMLIMIT", "800000000000", container, 800_000_000_000, 800_000_000_000, 800_000_000_000},
		{"off", "off", container, math.MaxInt64, 1_000_000_000_000, math.MaxInt64},
		{"nowhere", "", fstest.MapFS{}, math.MaxInt64, 0, math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			debug.SetMemoryLimit(c.limit)
			t.Setenv("GOMEMLIMIT", c.env)
			if c.env == "" {
				_ = os.Unsetenv("GOMEMLIMIT")
			}
			if got := int64(knowMemory(c.root, zap.NewNop())); got != c.want {
				t.Errorf("may use %d, want %d", got, c.want)
			}
			if got := debug.SetMemoryLimit(-1); got != c.left {
				t.Errorf("Go's limit is %d, want %d", got, c.left)
			}
		})
	}
}

// TestBoundHeap: the garbage collector has the pace that a server wants, unless
// somebody has said which.
func TestBoundHeap(t *testing.T) {
	const before = 123
	t.Cleanup(func() { debug.SetGCPercent(100) })
	t.Setenv("GOGC", "123")
	for _, want := range []int{before, heapGrowth} {
		debug.SetGCPercent(before)
		boundHeap()
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("the heap may grow by %d %%, want %d", got, want)
		}
		_ = os.Unsetenv("GOGC")
	}
}
