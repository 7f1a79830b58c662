package disk

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestCursor: whatever is added and removed while scans are under way, no
// entry ever stands before the cursor.
func TestCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c cursors
		var entries, unsaid [][]byte // in the schedule; of them, those that cursors was not told of yet
		type scan struct {
			cur   *cursor
			first []byte
		}
		var scans []scan
		entry := func() []byte {
			k := appliance.DeliveryKey{ID: appliance.QueueID(fmt.Sprint("m", rapid.IntRange(0, 3).Draw(t, "id")))}
			due := testTime.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "due")))
			return indexKey(k, &appliance.Delivery{Destination: "a", Due: due})
		}
		has := func(e []byte) int { return slices.IndexFunc(entries, func(x []byte) bool { return bytes.Equal(x, e) }) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if e := entry(); has(e) < 0 {
					entries, unsaid = append(entries, e), append(unsaid, e)
				}
			},
			"tell": func(t *rapid.T) {
				for _, e := range unsaid {
					c.add(e)
				}
				unsaid = nil
			},
			"remove": func(t *rapid.T) {
				if i := has(entry()); i >= 0 {
					entries = slices.Delete(entries, i, i+1)
				}
			},
			"begin": func(t *rapid.T) {
				cur, from := c.begin("a")
				first := afterDestination("a")
				for _, e := range entries {
					if bytes.Compare(e, from) >= 0 && bytes.Compare(e, first) < 0 {
						first = e
					}
				}
				scans = append(scans, scan{cur, first})
			},
			"end": func(t *rapid.T) {
				if len(scans) > 0 {
					i := rapid.IntRange(0, len(scans)-1).Draw(t, "scan")
					c.end(scans[i].cur, scans[i].first)
					scans = slices.Delete(scans, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				cur := c.at["a"]
				if cur == nil {
					return
				}
				for _, e := range entries {
					told := !slices.ContainsFunc(unsaid, func(x []byte) bool { return bytes.Equal(x, e) })
					if told && bytes.Compare(e, cur.key) < 0 {
						t.Fatalf("an entry stands before the cursor")
					}
				}
			},
		})
	})
}

// TestLeaseStaysFast: what has been delivered is not in the way of the next
// Lease. Without the cursor it would step over it every time.
func TestLeaseStaysFast(t *testing.T) {
	s := startStore(t, nil, t.TempDir())
	const n = 2000
	b := s.newBatch()
	for i := range n {
		k := appliance.DeliveryKey{ID: appliance.QueueID(fmt.Sprintf("m%05d", i))}
		index := indexKey(k, &appliance.Delivery{Destination: "mx/example.net", Due: testTime})
		must(t, b.schedule(index))
		must(t, b.SingleDelete(index, nil))
	}
	must(t, s.apply(b))
	steps := func() int {
		cur, lower := s.cursors.begin("mx/example.net")
		s.cursors.end(cur, nil)
		it, err := s.scan(lower, afterDestination("mx/example.net"))
		must(t, err)
		it.First()
		stats := it.Stats()
		must(t, it.Close())
		return stats.ForwardStepCount[pebble.InternalIterCall]
	}
	before := steps()
	if leased, err := leaseAll(s, testTime); err != nil || len(leased) > 0 {
		t.Fatalf("leased %v, %v", leased, err)
	}
	if after := steps(); before < n || after > n/100 {
		t.Errorf("%d steps over %d dead entries, then %d", before, n, after)
	}
}
