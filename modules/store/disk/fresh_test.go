package disk

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestFresh: the body of a message that is leased right after its Commit is not
// read from the queue; the next lease reads it there.
func TestFresh(t *testing.T) {
	s := startStore(t, vfs.NewMem(), "data")
	const body = "\r\nHello.\r\n"
	must(t, newLedger().commit(s, "a", body, "x"))
	for _, fromMemory := range []bool{true, false} {
		leased, err := leaseAll(s, testTime.Add(time.Minute))
		if err != nil || len(leased) != 1 {
			t.Fatal(leased, err)
		}
		if kept := leased[0].Message.Body.(*queuedBody).kept.Load() != nil; kept != fromMemory {
			t.Errorf("in memory: %v, want %v", kept, fromMemory)
		}
		r, err := leased[0].Message.Body.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != body {
			t.Errorf("%q, %v", got, err)
		}
		s.leases.end(leased[0].Key)
	}
}

// TestFreshP17: what nobody asks for does not pile up, however much of what
// comes after it is asked for.
func TestFreshP17(t *testing.T) {
	var f fresh
	id := func(i int) appliance.QueueID { return appliance.QueueID(fmt.Sprintf("id%d", i)) }
	for i := range 10_000 {
		f.add(id(i), make([]byte, 16<<10))
		if i%3 > 0 && f.take(id(i)) == nil {
			t.Fatalf("body %d is gone at once", i)
		}
		if f.octets > maxFreshOctets || len(f.order) > maxFresh || len(f.bodies) > maxFresh {
			t.Fatalf("%d octets of %d bodies, %d in order", f.octets, len(f.bodies), len(f.order))
		}
	}
	for i := range 10_000 {
		f.take(id(i))
	}
	if f.octets != 0 || len(f.bodies) != 0 {
		t.Errorf("%d octets of %d bodies are left", f.octets, len(f.bodies))
	}
}

// TestFreshTwice: a name that comes again has the body that came last, and none
// is counted that is not there.
func TestFreshTwice(t *testing.T) {
	var f fresh
	for i := range 10 {
		f.add("id", make([]byte, maxFreshOctets-i))
	}
	if got := len(f.take("id")); got != maxFreshOctets-9 || f.octets != 0 {
		t.Errorf("a body of %d octets, and %d are left", got, f.octets)
	}
}
