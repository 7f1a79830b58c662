package disk

import (
	"bytes"
	"sync"
)

// cursors remember where the schedule of each destination begins. Work is
// taken from its front, and what has been removed there is in Pebble's way
// until the next flush: without a cursor each Lease would step over all that
// was delivered since, and a busy destination would get slower by the minute.
//
// A cursor is never past an entry of the schedule. One that is too low, or
// missing, costs time only.
type cursors struct {
	mu sync.Mutex
	at map[string]*cursor
}

type cursor struct {
	key   []byte // nothing of the destination stands before it
	scans int    // under way
	added []byte // lowest entry that was added while scans were under way
}

// maxCursors bounds the memory; beyond it all of them are forgotten.
const maxCursors = 10_000

// begin starts a scan and returns where. The scan must look at the schedule
// after begin, and is paired with end.
func (c *cursors) begin(destination string) (*cursor, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.at[destination]
	if cur == nil {
		if c.at == nil || len(c.at) >= maxCursors {
			c.at = make(map[string]*cursor)
		}
		cur = &cursor{key: destinationKey(destination)}
		c.at[destination] = cur
	}
	if cur.scans == 0 {
		cur.added = nil
	}
	cur.scans++
	return cur, cur.key
}

// end takes note of the first entry that a scan has seen. Entries that were
// added since it began may not have been there for it to see.
func (c *cursors) end(cur *cursor, first []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur.scans--
	if first == nil {
		return
	}
	if cur.added != nil && bytes.Compare(cur.added, first) < 0 {
		first = cur.added
	}
	cur.key = bytes.Clone(first)
}

// add is told of an entry after it can be seen.
func (c *cursors) add(entry []byte) {
	e, ok := splitIndexKey(entry)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.at[e.destination]
	if cur == nil {
		return
	}
	if bytes.Compare(entry, cur.key) < 0 {
		cur.key = entry
	}
	if cur.scans > 0 && (cur.added == nil || bytes.Compare(entry, cur.added) < 0) {
		cur.added = entry
	}
}

func (c *cursors) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = nil
}
