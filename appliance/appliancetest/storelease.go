package appliancetest

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func readRest(r io.ReadCloser) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func testDueOrder(t *testing.T, b *storeBed) {
	second := b.add("a", b.now.Add(-time.Minute))
	first := b.add("a", b.now.Add(-50*365*24*time.Hour))
	third := b.add("a", b.now)
	b.add("a", b.now.Add(1))
	b.add("ab", b.now)
	var got []appliance.DeliveryKey
	for {
		l := b.lease("a", 2)
		if len(l) == 0 {
			break
		}
		for i := range l {
			got = append(got, l[i].Key)
		}
	}
	b.same("order", got, []appliance.DeliveryKey{first, second, third})
}

func testDestinations(t *testing.T, b *storeBed) {
	b.same("none", b.destinations(), map[string]time.Time{})
	b.add("relay/b", b.now.Add(time.Hour))
	b.add("relay/a", b.now.Add(2*time.Minute))
	b.add("relay/a", b.now.Add(time.Minute))
	b.add("relay/a.b", b.now)
	b.add("relay", b.now)
	b.same("all", b.destinations(), map[string]time.Time{
		"relay/b": b.now.Add(time.Hour), "relay/a": b.now.Add(time.Minute), "relay/a.b": b.now, "relay": b.now,
	})
	// A lease of now: Destinations goes by the clock of the machine.
	b.now = time.Now().Add(time.Hour)
	b.lease("relay", 1)
	b.lease("relay/a", 1)
	left := b.destinations()
	if _, ok := left["relay"]; ok {
		t.Error("a destination is listed although all of it is leased")
	}
	if len(left) != 3 {
		t.Errorf("left: %v", left)
	}
	for _, err := range b.Destinations(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // stopping early does no harm
	}
}

func testOneHolder(t *testing.T, b *storeBed) {
	for range 5 {
		b.add("a", b.now)
	}
	first, second := b.lease("a", 3), b.lease("a", 3)
	if len(first) != 3 || len(second) != 2 {
		t.Fatalf("leased %d and %d", len(first), len(second))
	}
	seen := make(map[appliance.DeliveryKey]bool)
	for _, l := range slices.Concat(first, second) {
		if seen[l.Key] {
			t.Errorf("%v was leased twice", l.Key)
		}
		seen[l.Key] = true
	}
	if l := b.lease("a", 3); len(l) > 0 {
		t.Errorf("%d more", len(l))
	}
	if l := b.lease("b", 3); len(l) > 0 {
		t.Errorf("%d of a destination that has none", len(l))
	}
}

// testLeaseKeys: who asks for deliveries by key gets those that are due, in
// that order, and nothing else.
func testLeaseKeys(t *testing.T, b *storeBed) {
	old, one, two := b.add("a", b.now.Add(-time.Hour)), b.add("a", b.now), b.add("a", b.now)
	later, elsewhere, held := b.add("a", b.now.Add(1)), b.add("b", b.now), b.add("a", b.now)
	if n, err := b.Change(t.Context(), appliance.Filter{IDs: []appliance.QueueID{held.ID}}, appliance.ChangeHold); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	byKey := func(max int, keys ...appliance.DeliveryKey) (got []appliance.DeliveryKey) {
		t.Helper()
		l, err := b.Lease(t.Context(), appliance.LeaseRequest{
			Destination: "a", Now: b.now, Until: b.now.Add(time.Minute), Max: max, Keys: keys,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range l {
			got = append(got, l[i].Key)
		}
		return got
	}
	none := appliance.DeliveryKey{ID: appliance.NewQueueID(b.now)}
	noPart := appliance.DeliveryKey{ID: one.ID, Part: 7}
	b.same("not due, elsewhere, held, not there", byKey(9, later, elsewhere, held, none, noPart), []appliance.DeliveryKey(nil))
	b.same("in order, each once, at most so many", byKey(2, two, two, one, old), []appliance.DeliveryKey{two, one})
	b.same("with another holder", byKey(9, two, one), []appliance.DeliveryKey(nil))
	b.same("the rest", b.leaseOne("a").Key, old)
}

func testLeaseExpires(t *testing.T, b *storeBed) {
	k := b.add("a", b.now)
	late := b.leaseOne("a")
	b.now = b.now.Add(time.Minute - 1)
	if l := b.lease("a", 1); len(l) > 0 {
		t.Fatal("leased again before the lease ran out")
	}
	b.now = b.now.Add(1)
	l := b.leaseOne("a")
	b.same("key", l.Key, k)
	b.settle(outcome(l, appliance.Delivered))
	b.settle(outcome(late, appliance.Failed)) // comes too late and is ignored
	b.empty()
}

func testMixedResults(t *testing.T, b *storeBed) {
	b.commit(b.message(b.delivery("a", "ok@example.net", "later@example.net", "never@example.net")))
	l := b.leaseOne("a")
	o := outcome(l, appliance.Delivered, appliance.Waiting, appliance.Failed)
	o.Delivery.Attempts, o.Delivery.Due = 1, b.now.Add(time.Minute)
	o.Delivery.Recipients[1].Last.Reply = *appliance.NewReply(450, 2, 0, "Later")
	o.Delivery.Recipients[1].When = b.now
	b.settle(o)
	if l := b.lease("a", 1); len(l) > 0 {
		t.Fatal("due before its time")
	}
	b.now = b.now.Add(time.Minute)
	l = b.leaseOne("a")
	b.same("delivery", l.Delivery, o.Delivery)
	b.settle(outcome(l, appliance.Delivered, appliance.Delivered))
	b.empty()
}

func testFinalStaysFinal(t *testing.T, b *storeBed) {
	b.commit(b.message(b.delivery("a", "x@example.net", "y@example.net")))
	late := b.leaseOne("a")
	b.now = b.now.Add(time.Hour)
	b.settle(outcome(b.leaseOne("a"), appliance.Delivered, appliance.Waiting))
	b.settle(outcome(late, appliance.Waiting, appliance.Waiting))
	l := b.leaseOne("a")
	b.same("status", l.Delivery.Recipients[0].Status, appliance.Delivered)
}

func testParts(t *testing.T, b *storeBed) {
	m := b.message(b.delivery("a", "x@example.net"), b.delivery("b", "y@example.net"), b.delivery("c", "z@example.net"))
	b.commit(m)
	a, bb, c := b.leaseOne("a"), b.leaseOne("b"), b.leaseOne("c")
	b.settle(outcome(bb, appliance.Delivered))
	var parts []int
	for _, d := range b.query(appliance.Filter{})[0].Deliveries {
		parts = append(parts, d.Key.Part)
	}
	b.same("parts left", parts, []int{0, 2})
	b.same("body", b.body(a), "\r\nHello.\r\n")
	b.settle(outcome(a, appliance.Failed), outcome(c, appliance.Delivered))
	b.empty()
}

func testPutBack(t *testing.T, b *storeBed) {
	b.add("a", b.now)
	for range 3 { // to the same time, so that its place in the schedule is the same
		b.settle(outcome(b.leaseOne("a"), appliance.Waiting))
	}
	b.settle(outcome(b.leaseOne("a"), appliance.Delivered))
	b.empty()
}

func testMoveDestination(t *testing.T, b *storeBed) {
	b.add("a", b.now)
	o := outcome(b.leaseOne("a"), appliance.Waiting)
	o.Delivery.Destination = "b"
	b.settle(o)
	b.same("destinations", b.destinations(), map[string]time.Time{"b": b.now})
	b.settle(outcome(b.leaseOne("b"), appliance.Delivered))
	b.empty()
}

func testReports(t *testing.T, b *storeBed) {
	b.add("a", b.now)
	l := b.leaseOne("a")
	o := outcome(l, appliance.Failed)
	report := b.messageWith("\r\nYour message\r\n", b.delivery("back", "ann@example.org"))
	report.Envelope.From = appliance.Mailbox{}
	o.Reports = []appliance.Accepted{report}
	b.settle(o)
	b.same("queue", b.ids(appliance.Filter{Sender: "<>"}), []appliance.QueueID{report.ID})
	again := b.messageWith("\r\nYour message\r\n", b.delivery("back", "ann@example.org"))
	o.Reports = []appliance.Accepted{again}
	b.settle(o) // P7: settled before, no second report
	b.same("queue", b.ids(appliance.Filter{}), []appliance.QueueID{report.ID})
	r := b.leaseOne("back")
	b.same("body", b.body(r), "\r\nYour message\r\n")
	b.settle(outcome(r, appliance.Delivered))
	b.empty()
}

func testSettleRefused(t *testing.T, b *storeBed) {
	b.add("a", b.now)
	b.add("b", b.now)
	la, lb := b.leaseOne("a"), b.leaseOne("b")
	wrong := outcome(lb, appliance.Delivered)
	wrong.Delivery.Recipients = nil
	if b.Settle(t.Context(), outcome(la, appliance.Delivered), wrong) == nil {
		t.Error("an outcome without its recipients was settled")
	}
	if b.Settle(t.Context(), outcome(la, appliance.Delivered), outcome(la, appliance.Waiting)) == nil {
		t.Error("two outcomes of one delivery were settled")
	}
	bad := outcome(la, appliance.Failed)
	bad.Reports = []appliance.Accepted{b.message()}
	if b.Settle(t.Context(), bad) == nil {
		t.Error("a report to nobody was settled")
	}
	if n := len(b.ids(appliance.Filter{})); n != 2 {
		t.Errorf("%d messages left, want 2", n)
	}
	b.settle(outcome(la, appliance.Delivered), outcome(lb, appliance.Delivered))
	b.empty()
}

func testFilters(t *testing.T, b *storeBed) {
	x := b.message(b.delivery("a", "bob@example.net"), b.delivery("b", "cy@example.com"))
	y := b.message(b.delivery("b", "dan@example.com"))
	y.Envelope.From = appliance.Mailbox{}
	z := b.message(b.delivery("c", "bob@example.net"))
	z.Deliveries[0].Held = true
	z.Received = b.now.Add(-48 * time.Hour)
	y.Deliveries[0].Recipients[0].Last.Class = appliance.ClassGreylist
	x.Deliveries[0].Recipients[0].Status = appliance.Failed
	x.Deliveries[0].Recipients[0].Last.Class = appliance.ClassGreylist // and waits no more
	x.Deliveries[0].Recipients = append(x.Deliveries[0].Recipients, b.delivery("", "eve@example.net").Recipients...)
	b.commit(x, y, z)
	yes, no := true, false
	for _, c := range []struct {
		name string
		f    appliance.Filter
		want []appliance.QueueID
	}{
		{"all, oldest first", appliance.Filter{}, []appliance.QueueID{x.ID, y.ID, z.ID}},
		{"ids, in any order", appliance.Filter{IDs: []appliance.QueueID{z.ID, "0nosuch", x.ID, x.ID}}, []appliance.QueueID{x.ID, z.ID}},
		{"limit", appliance.Filter{Limit: 2}, []appliance.QueueID{x.ID, y.ID}},
		{"sender", appliance.Filter{Sender: "@example.org"}, []appliance.QueueID{x.ID, z.ID}},
		{"null sender", appliance.Filter{Sender: "<>"}, []appliance.QueueID{y.ID}},
		{"recipient", appliance.Filter{Recipient: "@example.com"}, []appliance.QueueID{x.ID, y.ID}},
		{"destination", appliance.Filter{Destination: "b"}, []appliance.QueueID{x.ID, y.ID}},
		{"held", appliance.Filter{Held: &yes}, []appliance.QueueID{z.ID}},
		{"not held", appliance.Filter{Held: &no}, []appliance.QueueID{x.ID, y.ID}},
		{"age", appliance.Filter{Before: b.now.Add(-47 * time.Hour)}, []appliance.QueueID{z.ID}},
		{"not as old as that", appliance.Filter{Before: b.now.Add(-49 * time.Hour)}, nil},
		{"class", appliance.Filter{Class: appliance.ClassGreylist}, []appliance.QueueID{y.ID}},
		{"both", appliance.Filter{Destination: "b", Sender: "<>"}, []appliance.QueueID{y.ID}},
		{"nothing", appliance.Filter{Destination: "b", Held: &yes}, nil},
	} {
		b.same(c.name, b.ids(c.f), c.want)
	}
	es := b.query(appliance.Filter{Destination: "b", Limit: 1})
	if len(es) != 1 || len(es[0].Deliveries) != 1 || es[0].Deliveries[0].Key.Part != 1 {
		t.Errorf("an entry lists deliveries that do not match: %+v", es)
	}
}

func testHold(t *testing.T, b *storeBed) {
	k := b.add("a", b.now)
	other := b.add("a", b.now)
	b.change(1, appliance.Filter{IDs: []appliance.QueueID{k.ID}}, appliance.ChangeHold)
	b.same("due", b.leaseOne("a").Key, other)
	b.change(0, appliance.Filter{IDs: []appliance.QueueID{k.ID}}, appliance.ChangeRetry)
	if l := b.lease("a", 5); len(l) > 0 {
		t.Error("a held delivery was leased")
	}
	b.now = time.Now().Add(time.Minute) // Change goes by the clock of the machine
	b.change(1, appliance.Filter{IDs: []appliance.QueueID{k.ID}}, appliance.ChangeRelease)
	released := b.lease("a", 5)
	if !slices.ContainsFunc(released, func(l appliance.Leased) bool { return l.Key == k && !l.Delivery.Held }) {
		t.Errorf("released, but not due: %+v", released)
	}
}

// testConcerned: what is counted as changed has changed.
func testConcerned(_ *testing.T, b *storeBed) {
	b.add("a", b.now)
	held := b.add("a", b.now)
	b.change(1, appliance.Filter{IDs: []appliance.QueueID{held.ID}}, appliance.ChangeHold)
	for _, step := range []struct {
		c    appliance.Change
		want int
	}{
		{appliance.ChangeRetry, 1}, {appliance.ChangeHold, 1}, {appliance.ChangeHold, 0}, {appliance.ChangeRetry, 0},
		{appliance.ChangeRelease, 2}, {appliance.ChangeRelease, 0}, {appliance.ChangeBounce, 2}, {appliance.ChangeBounce, 0},
		{appliance.ChangeDrop, 2}, {appliance.ChangeDrop, 0},
	} {
		b.change(step.want, appliance.Filter{}, step.c)
	}
}

func testDropBounce(t *testing.T, b *storeBed) {
	later := time.Now().Add(time.Hour)
	x := b.message(b.delivery("a", "x@example.net"), b.delivery("b", "y@example.net"))
	x.Deliveries[0].Due, x.Deliveries[1].Due = later, later
	b.commit(x)
	b.change(1, appliance.Filter{Destination: "a"}, appliance.ChangeDrop)
	b.change(1, appliance.Filter{}, appliance.ChangeBounce)
	b.now = time.Now()
	l := b.leaseOne("b")
	if !l.Delivery.Expire {
		t.Error("to be bounced, but does not say so")
	}
	b.settle(outcome(l, appliance.Waiting))
	b.change(1, appliance.Filter{}, appliance.ChangeDrop)
	b.empty()
	b.add("a", later)
	b.change(1, appliance.Filter{}, appliance.ChangeRetry)
	b.now = time.Now()
	b.leaseOne("a")
}

func testDroppedWhileLeased(t *testing.T, b *storeBed) {
	b.now = time.Now()
	b.commit(b.message(b.delivery("a", "x@example.net", "y@example.net")))
	b.add("a", b.now)
	held := b.lease("a", 1)[0]
	b.change(1, appliance.Filter{}, appliance.ChangeDrop) // the other one
	b.same("queue", b.ids(appliance.Filter{}), []appliance.QueueID{held.Key.ID})
	// Now one whose lease has run out by the clock of the machine.
	b.settle(outcome(held, appliance.Waiting))
	b.now = time.Now().Add(-time.Hour)
	k := b.add("b", b.now)
	held = b.leaseOne("b")
	b.change(1, appliance.Filter{IDs: []appliance.QueueID{k.ID}}, appliance.ChangeDrop)
	b.settle(outcome(held, appliance.Delivered))
	late := outcome(held, appliance.Waiting)
	late.Reports = []appliance.Accepted{b.message(b.delivery("back", "ann@example.org"))}
	b.settle(late)
	if l := b.lease("b", 1); len(l) > 0 {
		t.Error("a dropped delivery came back")
	}
	if l := b.lease("back", 1); len(l) > 0 {
		t.Error("a report about a dropped delivery was queued")
	}
}
