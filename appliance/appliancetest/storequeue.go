package appliancetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// fullMessage sets every field that a store has to keep.
func fullMessage(b *storeBed) appliance.Accepted {
	d := b.delivery("mx/example.net", "bob@example.net", `"a b"@xn--bcher-kva.example`)
	d.Attempts, d.Warned, d.Due = 3, true, b.now.Add(-time.Hour)
	d.Recipients[0].Original, d.Recipients[0].Notify = "rfc822;Bob@example.net", appliance.NotifySuccess|appliance.NotifyDelay
	d.Recipients[0].When = b.now.Add(-2 * time.Hour)
	d.Recipients[0].Last = appliance.Result{
		Reply:  *appliance.NewReply(451, 4, 1, "Come back later\nPlease"),
		Remote: true, Host: "mx1.example.net", Peer: "192.0.2.1:25", TLS: "TLS 1.3, verified", Class: appliance.ClassConnection,
	}
	d.Recipients[1].Status = appliance.Delivered
	m := b.messageWith("\r\n\x00\xff.\r\n", d, b.delivery("mx/example.com", "cy@example.com"))
	m.Origin = appliance.Origin{
		Pipeline: "outgoing", Listener: "public", Session: "s1", User: "app", Client: "2001:db8::1",
		SignedBy: []string{"example.org", "example.com"},
	}
	m.Envelope.Size, m.Envelope.Return, m.Envelope.EnvelopeID = 12345, "HDRS", "id+1 \x01"
	m.Envelope.SMTPUTF8, m.Envelope.EightBit, m.Envelope.RequireTLS = true, true, true
	m.Header.Prepend(appliance.Field{Name: "X-Raw", Raw: []byte("X-Raw:\tä\r\n folded \r\n")})
	return m
}

func testRoundTrip(t *testing.T, b *storeBed) {
	m := fullMessage(b)
	b.commit(m)
	env := m.Envelope
	env.Recipients = nil
	l := b.leaseOne("mx/example.net")
	b.same("body", b.body(l), "\r\n\x00\xff.\r\n")
	l.Message.Body = nil
	b.same("leased", l, appliance.Leased{
		Key: appliance.DeliveryKey{ID: m.ID}, Delivery: m.Deliveries[0], Received: m.Received,
		Origin: m.Origin, Envelope: env, Message: appliance.Message{ID: m.ID, Header: m.Header},
	})
	b.same("entries", b.query(appliance.Filter{}), []appliance.Entry{{
		ID: m.ID, Received: m.Received, Origin: m.Origin, Envelope: env, Size: int64(m.Header.Len()) + int64(len("\r\n\x00\xff.\r\n")),
		Deliveries: []appliance.EntryDelivery{
			{Key: appliance.DeliveryKey{ID: m.ID}, Delivery: m.Deliveries[0]},
			{Key: appliance.DeliveryKey{ID: m.ID, Part: 1}, Delivery: m.Deliveries[1]},
		},
	}})
}

func testAllOrNone(t *testing.T, b *storeBed) {
	good := b.message(b.delivery("a", "bob@example.net"))
	b.commit(good)
	none := b.message()
	nobody := b.message(b.delivery("a", "bob@example.net"))
	nobody.Deliveries[0].Recipients[0].Status = appliance.Delivered
	twice := b.message(b.delivery("a", "bob@example.net"))
	twice.ID = good.ID
	path := b.message(b.delivery("a", "bob@example.net"))
	path.ID = "../../etc/passwd"
	for _, bad := range []appliance.Accepted{none, nobody, twice, path} {
		other := b.message(b.delivery("a", "bob@example.net"))
		if err := b.Commit(b.Context(), other, bad); err == nil {
			t.Errorf("committed %+v", bad)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	late := b.message(b.delivery("a", "bob@example.net"))
	if err := b.Commit(ctx, late); !errors.Is(err, context.Canceled) {
		t.Errorf("commit after the end of its context: %v", err)
	}
	b.same("queue", b.ids(appliance.Filter{}), []appliance.QueueID{good.ID})
	b.commit(late) // a refused message can be committed later
}

func testDrafts(t *testing.T, b *storeBed) {
	d := b.draft("")
	if got := draftText(b, d); got != "" {
		t.Errorf("empty draft holds %q", got)
	}
	for range 3 {
		if _, err := d.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	if got := draftText(b, d); got != "abcabcabc" {
		t.Errorf("draft holds %q", got)
	}
	for range 2 {
		if err := d.Abort(); err != nil {
			t.Error(err)
		}
	}
	m := b.message(b.delivery("a", "bob@example.net"))
	b.commit(m)
	if err := m.Draft.Abort(); err != nil {
		t.Error(err)
	}
	b.same("body after Abort", b.body(b.leaseOne("a")), "\r\nHello.\r\n")
	m.ID = b.id()
	if b.Commit(b.Context(), m) == nil {
		t.Error("a draft was committed twice")
	}
}

func draftText(b *storeBed, d appliance.Draft) string {
	b.Helper()
	body, err := d.Body()
	if err != nil {
		b.Fatal(err)
	}
	got, err := readBody(body)
	if err != nil {
		b.Fatal(err)
	}
	if int(body.Size()) != len(got) {
		b.Errorf("size %d of %d octets", body.Size(), len(got))
	}
	return got
}

func testLargeBodies(t *testing.T, b *storeBed) {
	for i, size := range []int{0, 1, 4 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 5 << 20} {
		body := strings.Repeat(fmt.Sprintf("line %d\r\n", i), size/8+1)[:size]
		m := b.messageWith(body, b.delivery(fmt.Sprint("d", size), "bob@example.net"))
		if got := draftText(b, m.Draft); got != body {
			t.Errorf("draft of %d octets has changed", size)
		}
		b.commit(m)
		l := b.leaseOne(fmt.Sprint("d", size))
		if int(l.Message.Body.Size()) != size || b.body(l) != body {
			t.Errorf("body of %d octets has changed", size)
		}
		b.settle(outcome(l, appliance.Delivered))
	}
	b.empty()
}

func testReaderOutlives(t *testing.T, b *storeBed) {
	for _, size := range []int{10, 300 << 10} {
		body := strings.Repeat("x", size)
		b.commit(b.messageWith(body, b.delivery("a", "bob@example.net")))
		l := b.leaseOne("a")
		r, err := l.Message.Body.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		b.settle(outcome(l, appliance.Delivered))
		rest, err := readRest(r)
		if err != nil || rest != body[1:] {
			t.Errorf("reader of %d octets broke: %d octets, %v", size, len(rest), err)
		}
	}
}

func testConcurrent(t *testing.T, b *storeBed) {
	const writers, each = 64, 5
	msgs := make([]appliance.Accepted, writers*each)
	for i := range msgs {
		msgs[i] = b.messageWith(fmt.Sprint("body ", i), b.delivery(fmt.Sprint("d", i%7), "bob@example.net"))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := b.Commit(t.Context(), msgs[w*each+i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(b.ids(appliance.Filter{})); n != len(msgs) {
		t.Fatalf("%d of %d messages", n, len(msgs))
	}
	var mu sync.Mutex
	seen := make(map[appliance.DeliveryKey]int)
	for w := range 14 {
		wg.Go(func() {
			for {
				ls, err := b.Lease(t.Context(), appliance.LeaseRequest{
					Destination: fmt.Sprint("d", w%7), Now: b.now, Until: b.now.Add(time.Hour), Max: 3,
				})
				if err != nil || len(ls) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				for _, l := range ls {
					mu.Lock()
					seen[l.Key]++
					mu.Unlock()
					if err := b.Settle(t.Context(), outcome(l, appliance.Delivered)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, m := range msgs {
		if n := seen[appliance.DeliveryKey{ID: m.ID}]; n != 1 {
			t.Errorf("message %s was leased %d times", m.ID, n)
		}
	}
	b.empty()
}

func testReopen(t *testing.T, b *storeBed) {
	if b.c.Again == nil {
		t.Skip("nothing survives Stop")
	}
	small := b.message(b.delivery("a", "bob@example.net"))
	large := b.messageWith(strings.Repeat("y", 300<<10), b.delivery("b", "bob@example.net", "cy@example.net"))
	gone := b.message(b.delivery("c", "bob@example.net"))
	b.commit(small, large, gone)
	b.settle(outcome(b.leaseOne("c"), appliance.Delivered))
	b.settle(outcome(b.leaseOne("b"), appliance.Delivered, appliance.Waiting))
	b.leaseOne("a") // the lease does not survive
	if err := b.Values().Put(t.Context(), "signer/x/key", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.start(b.c.Again(t, b.Store))
	b.same("queue", b.ids(appliance.Filter{}), []appliance.QueueID{small.ID, large.ID})
	b.same("small body", b.body(b.leaseOne("a")), "\r\nHello.\r\n")
	l := b.leaseOne("b")
	b.same("large body", b.body(l), strings.Repeat("y", 300<<10))
	b.same("state", l.Delivery.Recipients[0].Status, appliance.Delivered)
	got, err := b.Values().Get(t.Context(), "signer/x/key")
	if err != nil || string(got) != "secret" {
		t.Errorf("value %q, %v", got, err)
	}
}

func testClosed(t *testing.T, b *storeBed) {
	m := b.message(b.delivery("a", "bob@example.net"))
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, errDraft := b.Draft(ctx)
	_, errLease := b.Lease(ctx, appliance.LeaseRequest{Destination: "a", Now: b.now, Until: b.now, Max: 1})
	_, errChange := b.Change(ctx, appliance.Filter{}, appliance.ChangeDrop)
	_, errGet := b.Values().Get(ctx, "a")
	for name, err := range map[string]error{
		"Draft": errDraft, "Commit": b.Commit(ctx, m), "Lease": errLease, "Change": errChange,
		"Settle": b.Settle(ctx, appliance.Outcome{}), "Get": errGet, "Put": b.Values().Put(ctx, "a", nil),
	} {
		if err == nil || appliance.ReplyTo(err).Permanent() {
			t.Errorf("%s after Stop: %v", name, err)
		}
	}
}
