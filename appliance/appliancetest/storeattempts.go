package appliancetest

import (
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// testAttempts: what a delivery remembers grows with each attempt, survives
// what else is done to the delivery, comes only when it is asked for, and goes
// when the delivery is finished.
func testAttempts(t *testing.T, b *storeBed) {
	m := b.message(b.delivery("a", "bob@example.net", "cy@example.net"), b.delivery("b", "dan@example.com"))
	b.commit(m)
	var want []appliance.Attempt
	for n := range 12 {
		want = append(want, anAttempt(b.now.Add(time.Duration(n)*time.Minute), n+1))
		o := outcome(b.leaseOne("a"))
		o.Delivery.Attempts, o.Attempt = n+1, &want[n]
		b.settle(o)
	}
	b.settle(outcome(b.leaseOne("a"))) // put back: not an attempt
	b.change(1, appliance.Filter{Destination: "a"}, appliance.ChangeHold)
	b.change(1, appliance.Filter{Destination: "a"}, appliance.ChangeRelease)
	b.now = time.Now().Add(time.Minute) // it is due by the clock of the machine

	b.same("attempts", b.attempts(m.ID), [][]appliance.Attempt{want[2:], nil})
	if e := b.query(appliance.Filter{IDs: []appliance.QueueID{m.ID}})[0]; e.Deliveries[0].Attempts != nil {
		t.Error("attempts come although nobody asks for them")
	}
	o := outcome(b.leaseOne("a"), appliance.Delivered, appliance.Delivered)
	o.Attempt = &want[0]
	b.settle(o)
	b.same("attempts of the other delivery", b.attempts(m.ID), [][]appliance.Attempt{nil})
}

// attempts are those of each delivery of a message.
func (b *storeBed) attempts(id appliance.QueueID) (all [][]appliance.Attempt) {
	b.Helper()
	for _, e := range b.query(appliance.Filter{IDs: []appliance.QueueID{id}, Attempts: true}) {
		for _, d := range e.Deliveries {
			all = append(all, d.Attempts)
		}
	}
	return all
}

// anAttempt has everything that a store has to keep.
func anAttempt(now time.Time, n int) appliance.Attempt {
	cause := appliance.Cause("dial tcp 192.0.2.1:25: connect: connection refused")
	return appliance.Attempt{
		Began: now, Took: 1500 * time.Millisecond, Number: n,
		Tries: []appliance.Try{
			{Host: "mx1.example.net", Took: time.Second, Reply: *appliance.NewReply(451, 4, 1, "connection refused").With(cause)},
			{Host: "mx2.example.net", Peer: "192.0.2.2:25", TLS: "TLS 1.3, verified", Dialogue: "S: 220 mx2\nC: EHLO a\n"},
		},
		Outcomes: []appliance.AttemptOutcome{{
			Relay: "internet", Recipients: []int{0, 1}, Result: appliance.Result{
				Reply: *appliance.NewReply(450, 2, 0, "Greylisted\nLater"), Remote: true,
				Host: "mx2.example.net", Peer: "192.0.2.2:25", TLS: "TLS 1.3, verified", Class: appliance.ClassGreylist,
			},
		}},
	}
}
