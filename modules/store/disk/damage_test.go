package disk

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

func startStore(t testing.TB, fsys vfs.FS, dir string) *Store {
	t.Helper()
	s := newStore(t, fsys, dir)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	})
	return s
}

// damages returns what can happen to a record: each octet flipped, each
// length cut, zeroes, garbage behind it, and another record of its kind.
func damages(record, other []byte) [][]byte {
	var all [][]byte
	for i := range record {
		b := append([]byte(nil), record...)
		b[i] ^= 1 << (i % 8)
		all = append(all, b, record[:i])
	}
	return append(all, make([]byte, len(record)), append(append([]byte(nil), record...), "garbage"...), other)
}

// TestDamagedRecordP10: whatever happens to a record costs its message and no
// other; what is left of it can be found in the quarantine.
func TestDamagedRecordP10(t *testing.T) {
	s := startStore(t, vfs.NewMem(), "data")
	l := newLedger()
	if err := l.commit(s, "other", "another message\r\n", "x"); err != nil {
		t.Fatal(err)
	}
	part := func(id appliance.QueueID) []byte { return deliveryKey(appliance.DeliveryKey{ID: id}) }
	n := 0
	for _, kind := range []func(appliance.QueueID) []byte{messageKey, bodyKey, part} {
		record, err := s.get(kind("other"))
		if err != nil {
			t.Fatal(err)
		}
		for range damages(record, record) {
			n++
			id := appliance.QueueID(fmt.Sprintf("victim%d", n))
			if err := l.commit(s, id, "\r\nHello.\r\n", "a"); err != nil {
				t.Fatal(err)
			}
			mine, err := s.get(kind(id))
			if err != nil {
				t.Fatal(err)
			}
			bad := damages(mine, record)
			if err := s.db.Set(kind(id), bad[n%len(bad)], pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			s.fresh.take(id) // what is in memory is not damaged
			expectAside(t, s, id)
		}
	}
	if n < 300 {
		t.Errorf("%d trials", n)
	}
}

// expectAside leases everything, reads it and finds id in the quarantine.
func expectAside(t *testing.T, s *Store, id appliance.QueueID) {
	t.Helper()
	leased, err := leaseAll(s, testTime.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range leased {
		r, err := one.Message.Body.Open()
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if (err != nil) != (one.Key.ID == id) {
			t.Fatalf("message %s: %v", one.Key.ID, err)
		}
		s.leases.end(one.Key)
	}
	if names, err := s.fs.List(s.quarantineDir(id)); err != nil || len(names) < 3 {
		t.Errorf("quarantine of %s: %v, %v", id, names, err)
	}
	if err := s.files.RemoveAll(s.quarantineDir(id)); err != nil {
		t.Fatal(err)
	}
	left := 0
	for e, err := range s.Query(t.Context(), appliance.Filter{}) {
		if err != nil || e.ID == id {
			t.Fatalf("still queued: %s, %v", e.ID, err)
		}
		left++
	}
	if left != 1 {
		t.Fatalf("%d messages left, want the other one", left)
	}
}

// TestDamagedFileP10: a body in a file that is not what was written ends in
// an error before its end, so that nobody sends it, and is set aside.
func TestDamagedFileP10(t *testing.T) {
	fsys := vfs.NewMem()
	s := startStore(t, fsys, "data")
	l := newLedger()
	if err := l.commit(s, "other", "another message\r\n", "x"); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("0123456789", large/10)
	for i, damage := range []func(b []byte) []byte{
		func(b []byte) []byte { b[0] ^= 1; return b },
		func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, '0') },
		func([]byte) []byte { return nil },
	} {
		id := appliance.QueueID(fmt.Sprint("victim", i))
		if err := l.commit(s, id, body, "a"); err != nil {
			t.Fatal(err)
		}
		if err := s.files.writeFile(s.sub(bodiesName), string(id), damage([]byte(body))); err != nil {
			t.Fatal(err)
		}
		expectAside(t, s, id)
	}
	if err := l.commit(s, "missing", body, "a"); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Remove(s.bodyPath("missing")); err != nil {
		t.Fatal(err)
	}
	expectAside(t, s, "missing")
}

// TestForeignFilesR8: what is not ours in bodies/ is left alone, and an entry
// of the schedule without a delivery is removed.
func TestForeignFilesR8(t *testing.T) {
	fsys := vfs.NewMem()
	s := startStore(t, fsys, "data")
	for _, name := range []string{"README.txt", "..b"} {
		if err := s.files.writeFile(s.sub(bodiesName), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsys.MkdirAll("data/bodies/somedirectory", 0o700); err != nil {
		t.Fatal(err)
	}
	index := indexKey(appliance.DeliveryKey{ID: "ghost"}, &appliance.Delivery{Destination: "mx/example.net", Due: testTime})
	if err := s.db.Set(index, nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if leased, err := leaseAll(s, testTime); err != nil || len(leased) > 0 {
		t.Errorf("leased %v, %v", leased, err)
	}
	if there, err := s.has(index); err != nil || there {
		t.Errorf("the entry without a delivery is still there: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	startStore(t, fsys, "data")
	if names, err := fsys.List("data/bodies"); err != nil || len(names) != 3 {
		t.Errorf("left in bodies: %v, %v", names, err)
	}
}

// TestStaleEntryR8: an entry of the schedule that is not that of its delivery
// is removed, and does not keep the delivery from its turn.
func TestStaleEntryR8(t *testing.T) {
	s := startStore(t, vfs.NewMem(), "data")
	if err := newLedger().commit(s, "one", "body\r\n", "a"); err != nil {
		t.Fatal(err)
	}
	key := appliance.DeliveryKey{ID: "one"}
	r, err := s.delivery(key)
	if err != nil {
		t.Fatal(err)
	}
	early := r.Delivery
	early.Due = early.Due.Add(-time.Hour)
	if err := s.db.Set(indexKey(key, &early), nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if leased, err := leaseAll(s, testTime.Add(time.Hour)); err != nil || len(leased) != 1 {
		t.Errorf("leased %v, %v", leased, err)
	}
	if there, err := s.has(indexKey(key, &early)); err != nil || there {
		t.Errorf("the stale entry is still there: %v", err)
	}
	if there, err := s.has(indexKey(key, &r.Delivery)); err != nil || !there {
		t.Errorf("the entry of the delivery is gone: %v", err)
	}
}

func bodyOf(t testing.TB, one appliance.Leased) string {
	t.Helper()
	r, err := one.Message.Body.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
