package appliancetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A StoreCase is a kind of store for [RunStore].
type StoreCase struct {
	// Open returns a provisioned store that is not started, in a place of its
	// own.
	Open func(t *testing.T) appliance.Store
	// Again returns a provisioned store in the place of one that has been
	// stopped. Nil means that nothing survives Stop.
	Again func(t *testing.T, stopped appliance.Store) appliance.Store
}

// RunStore is the conformance suite of the store role: what the pipeline, the
// queue engine and the modules rely on. Tests of power cuts and failing disks
// need to know how a store writes and are its own business.
func RunStore(t *testing.T, c StoreCase) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b *storeBed)
	}{
		{"a message comes back as it was committed", testRoundTrip},
		{"all or none", testAllOrNone},
		{"drafts", testDrafts},
		{"large bodies", testLargeBodies},
		{"readers outlive the message", testReaderOutlives},
		{"due order", testDueOrder},
		{"destinations", testDestinations},
		{"one holder at a time", testOneHolder},
		{"leases by key", testLeaseKeys},
		{"leases run out", testLeaseExpires},
		{"P5 mixed results", testMixedResults},
		{"P4 final stays final", testFinalStaysFinal},
		{"parts are finished one by one", testParts},
		{"put back", testPutBack},
		{"another destination", testMoveDestination},
		{"attempts are remembered", testAttempts},
		{"reports with the outcome", testReports},
		{"a settle that is refused changes nothing", testSettleRefused},
		{"filters", testFilters},
		{"hold and release", testHold},
		{"what is changed is counted", testConcerned},
		{"drop and bounce", testDropBounce},
		{"dropped while leased", testDroppedWhileLeased},
		{"64 writers", testConcurrent},
		{"values", testValues},
		{"values: swap", testValuesSwap},
		{"values: list", testValuesList},
		{"values: locks", testValuesLock},
		{"reopen", testReopen},
		{"closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStoreBed(t, c)) })
	}
}

// storeBed is a started store and the steps that tests are made of.
type storeBed struct {
	*testing.T
	appliance.Store
	c    StoreCase
	now  time.Time // long ago by the clock of the machine
	made int
}

func newStoreBed(t *testing.T, c StoreCase) *storeBed {
	t.Helper()
	b := &storeBed{T: t, c: c, now: time.Date(2020, 11, 23, 12, 0, 0, 123456789, time.UTC)}
	b.start(c.Open(t))
	return b
}

func (b *storeBed) start(s appliance.Store) {
	b.Helper()
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Store = s
	b.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			b.Errorf("stop: %v", err)
		}
	})
}

// id returns the next id; later ones sort after it.
func (b *storeBed) id() appliance.QueueID {
	b.made++
	return appliance.QueueID(fmt.Sprintf("%020d", b.made))
}

func storeMailbox(b testing.TB, s string) appliance.Mailbox {
	b.Helper()
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// delivery is a delivery that is due now.
func (b *storeBed) delivery(destination string, to ...string) appliance.Delivery {
	b.Helper()
	d := appliance.Delivery{Destination: destination, Due: b.now}
	for _, s := range to {
		d.Recipients = append(d.Recipients, appliance.RecipientState{
			Recipient: appliance.Recipient{Mailbox: storeMailbox(b, s)},
		})
	}
	return d
}

// message is a message with a small body.
func (b *storeBed) message(ds ...appliance.Delivery) appliance.Accepted {
	b.Helper()
	return b.messageWith("\r\nHello.\r\n", ds...)
}

func (b *storeBed) messageWith(body string, ds ...appliance.Delivery) appliance.Accepted {
	b.Helper()
	msg := appliance.Accepted{
		ID: b.id(), Received: b.now, Origin: appliance.Origin{Pipeline: "outgoing"},
		Envelope: appliance.Envelope{From: storeMailbox(b, "ann@example.org")}, Deliveries: ds,
		Draft: b.draft(body),
	}
	msg.Header.Append(appliance.NewField("Subject", "Test"))
	for _, d := range ds {
		for _, r := range d.Recipients {
			msg.Envelope.Recipients = append(msg.Envelope.Recipients, r.Recipient)
		}
	}
	return msg
}

func (b *storeBed) draft(body string) appliance.Draft {
	b.Helper()
	d, err := b.Draft(b.Context())
	if err == nil {
		_, err = io.Copy(d, iotestReader{strings.NewReader(body)})
	}
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// iotestReader hides WriteTo, so that io.Copy writes in pieces.
type iotestReader struct{ io.Reader }

func (b *storeBed) commit(msgs ...appliance.Accepted) {
	b.Helper()
	if err := b.Commit(b.Context(), msgs...); err != nil {
		b.Fatal(err)
	}
}

// add commits a message of one delivery for one recipient and returns its key.
func (b *storeBed) add(destination string, due time.Time) appliance.DeliveryKey {
	b.Helper()
	d := b.delivery(destination, "bob@example.net")
	d.Due = due
	m := b.message(d)
	b.commit(m)
	return appliance.DeliveryKey{ID: m.ID}
}

// lease leases for a minute what is due now.
func (b *storeBed) lease(destination string, max int) []appliance.Leased {
	b.Helper()
	l, err := b.Lease(b.Context(), appliance.LeaseRequest{
		Destination: destination, Now: b.now, Until: b.now.Add(time.Minute), Max: max,
	})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func (b *storeBed) leaseOne(destination string) appliance.Leased {
	b.Helper()
	l := b.lease(destination, 10)
	if len(l) != 1 {
		b.Fatalf("%d deliveries leased of %s, want 1", len(l), destination)
	}
	return l[0]
}

func (b *storeBed) settle(os ...appliance.Outcome) {
	b.Helper()
	if err := b.Settle(b.Context(), os...); err != nil {
		b.Fatal(err)
	}
}

// outcome gives the recipients of a leased delivery the states, in order.
func outcome(l appliance.Leased, states ...appliance.Status) appliance.Outcome {
	o := appliance.Outcome{Key: l.Key, Delivery: l.Delivery}
	o.Delivery.Recipients = slices.Clone(o.Delivery.Recipients)
	for i, s := range states {
		o.Delivery.Recipients[i].Status = s
	}
	return o
}

func (b *storeBed) query(f appliance.Filter) []appliance.Entry {
	b.Helper()
	var all []appliance.Entry
	for e, err := range b.Query(b.Context(), f) {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// ids lists the messages of a query.
func (b *storeBed) ids(f appliance.Filter) []appliance.QueueID {
	b.Helper()
	var ids []appliance.QueueID
	for _, e := range b.query(f) {
		ids = append(ids, e.ID)
	}
	return ids
}

func (b *storeBed) change(want int, f appliance.Filter, c appliance.Change) {
	b.Helper()
	n, err := b.Change(b.Context(), f, c)
	if err != nil || n != want {
		b.Fatalf("change %d: %d deliveries, %v; want %d", c, n, err, want)
	}
}

func (b *storeBed) destinations() map[string]time.Time {
	b.Helper()
	all := make(map[string]time.Time)
	for d, err := range b.Destinations(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if _, twice := all[d.Destination]; twice {
			b.Fatalf("destination %s twice", d.Destination)
		}
		all[d.Destination] = d.Due
	}
	return all
}

func (b *storeBed) empty() {
	b.Helper()
	if ids := b.ids(appliance.Filter{}); len(ids) > 0 {
		b.Errorf("still queued: %v", ids)
	}
	if d := b.destinations(); len(d) > 0 {
		b.Errorf("still scheduled: %v", d)
	}
}

func readBody(body appliance.Body) (string, error) {
	r, err := body.Open()
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(r)
	return string(got), errors.Join(err, r.Close())
}

func (b *storeBed) body(l appliance.Leased) string {
	b.Helper()
	got, err := readBody(l.Message.Body)
	if err != nil {
		b.Fatal(err)
	}
	return got
}

// same compares what a store gave back. Times are compared as instants.
func (b *storeBed) same(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal), cmp.Comparer(sameHeader)); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func sameHeader(a, b appliance.Header) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }
