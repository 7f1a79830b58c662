package disk

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCache: what is read from a table is still there for the next read.
// Pebble takes the memtables off the cache, so that one which looks big enough
// can be none at all; each delivery then read its records from the disk.
func TestCache(t *testing.T) {
	s := startStore(t, vfs.NewMem(), "/data")
	value := make([]byte, 16<<10)
	key := func(i int) []byte { return fmt.Appendf(nil, "b/%06d", i) }
	n := 0
	for ; s.db.Metrics().MemTable.Size < 2*memTableSize && n < 10_000; n++ {
		must(t, s.db.Set(key(n), value, pebble.NoSync))
	}
	must(t, s.db.Flush())
	for range 2 {
		for i := range 100 {
			if _, err := s.get(key(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m := s.db.Metrics().BlockCache; m.Size < 100*int64(len(value)) || m.Hits < 100 {
		t.Errorf("after 100 values of %d octets were read twice: %d octets cached, %d hits", len(value), m.Size, m.Hits)
	}
}
