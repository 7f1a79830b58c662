package disk

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "rewrite the golden records")

func goldenMessage() messageRecord {
	return messageRecord{
		received: time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC),
		origin: appliance.Origin{
			Pipeline: "outgoing", Listener: "public", Session: "s1", User: "app", Client: "2001:db8::1",
			SignedBy: []string{"example.org", "example.com"},
		},
		envelope: appliance.Envelope{
			From: appliance.Mailbox{Local: "ann", Domain: "example.org"}, Size: 12345,
			SMTPUTF8: true, RequireTLS: true, Return: "HDRS", EnvelopeID: "id",
		},
		header: []byte("Subject: Test\r\n"),
		body:   bodyRef{inFile: true, size: 300_000, sum: 0xdeadbeef},
		parts:  2,
	}
}

func goldenDelivery() deliveryRecord {
	return deliveryRecord{
		rewritten: true, parts: 2,
		Delivery: appliance.Delivery{
			Destination: "internet/example.net", Due: time.Date(2026, 11, 23, 13, 0, 0, 5, time.UTC),
			Attempts: 3, Warned: true, Held: true,
			Recipients: []appliance.RecipientState{
				{Recipient: appliance.Recipient{
					Mailbox:  appliance.Mailbox{Local: "a b", Domain: "example.net"},
					Original: "rfc822;a@example.net", Notify: appliance.NotifyDelay,
				}},
				{
					Recipient: appliance.Recipient{Mailbox: appliance.Mailbox{Local: "cy", Domain: "[192.0.2.1]"}},
					Status:    appliance.Failed, When: time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC),
					Last: appliance.Result{
						Reply:  *appliance.NewReply(550, 1, 1, "No such user\nSorry"),
						Remote: true, Host: "mx.example.net", Peer: "192.0.2.1:25", TLS: "TLS 1.3",
					},
				},
			},
		},
	}
}

func goldenAttempts() []appliance.Attempt {
	return []appliance.Attempt{
		{Began: time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC), Took: 30 * time.Second, Number: 1},
		{
			Began: time.Date(2026, 11, 23, 12, 1, 2, 3, time.UTC), Took: 1500 * time.Millisecond, Number: 2,
			Tries: []appliance.Try{
				{
					Host: "mx1.example.net", Took: time.Second,
					Reply: *appliance.NewReply(451, 4, 1, "mx1.example.net: connection refused").With(appliance.Cause("dial tcp: refused")),
				},
				{Host: "mx2.example.net", Peer: "192.0.2.2:25", TLS: "TLS 1.3, verified", Dialogue: "S: 220 mx2\nC: EHLO a\n"},
			},
			Outcomes: []appliance.AttemptOutcome{{
				Relay: "internet", Recipients: []int{0, 300},
				Result: appliance.Result{
					Reply: *appliance.NewReply(450, 2, 0, "Greylisted\nLater"), Remote: true,
					Host: "mx2.example.net", Peer: "192.0.2.2:25", TLS: "TLS 1.3, verified", Class: appliance.ClassGreylist,
				},
			}},
		},
	}
}

// TestGoldenRecords holds the format to what earlier versions have written
// (P20): testdata/<version>-<kind>.golden must be readable for ever, and what
// this version writes is the newest of them.
func TestGoldenRecords(t *testing.T) {
	const id = "01jd3m8zk6q0v9xwr5tn"
	m, d := goldenMessage(), goldenDelivery()
	remembers := d
	remembers.Recipients = slices.Clone(d.Recipients)
	remembers.Recipients[1].Last.Class = appliance.ClassRecipient
	remembers.attempts = encodeAttempts(goldenAttempts())
	messages, deliveries := messageKey(id), deliveryKey(appliance.DeliveryKey{ID: id, Part: 1})
	unexported := cmp.AllowUnexported(messageRecord{}, deliveryRecord{}, bodyRef{})
	message := func(k, r []byte) (any, error) { return decodeMessage(k, r) }
	delivery := func(k, r []byte) (any, error) { return decodeDelivery(k, r) }
	for _, c := range []struct {
		name  string
		key   []byte
		write func(key []byte) []byte // nil for what is not written any more
		read  func(key, record []byte) (any, error)
		holds any
	}{
		{"1-message", messages, nil, message, m},
		{"1-delivery", deliveries, nil, delivery, d},
		{"2-message", messages, m.encode, message, m},
		{"2-delivery", deliveries, remembers.encode, delivery, remembers},
	} {
		name := filepath.Join("testdata", c.name+".golden")
		if *update && c.write != nil {
			must(t, os.WriteFile(name, []byte(hex.Dump(c.write(c.key))), 0o644))
		}
		dump, err := os.ReadFile(name)
		must(t, err)
		if c.write != nil && hex.Dump(c.write(c.key)) != string(dump) {
			t.Errorf("%s: the format has changed: raise recordVersion and go on reading the old one\n%s", c.name, cmp.Diff(string(dump), hex.Dump(c.write(c.key))))
		}
		got, err := c.read(c.key, undump(t, string(dump)))
		must(t, err)
		if diff := cmp.Diff(c.holds, got, unexported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if diff := cmp.Diff(goldenAttempts(), decodeAttempts(remembers.attempts)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// TestP20Upgrade: a directory of the version before is read, goes on being
// delivered, and is of this version from then on.
func TestP20Upgrade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startStore(t, nil, dir)
	msg, err := accepted(s, "01old", "body", "bob")
	must(t, err)
	must(t, s.Commit(t.Context(), msg))
	// Version 1 wrote the same but for the class of the only recipient and the
	// attempts, which are an octet each.
	key := deliveryKey(appliance.DeliveryKey{ID: "01old"})
	record, err := s.get(key)
	must(t, err)
	old := record[:len(record)-checksumSize-2]
	old[0] = 1
	must(t, s.db.Set(key, seal(key, old), nil))
	must(t, s.Stop(t.Context()))
	must(t, os.WriteFile(filepath.Join(dir, formatName), []byte(formatText(1)), 0o600))

	s = startStore(t, nil, dir)
	if b, err := os.ReadFile(filepath.Join(dir, formatName)); err != nil || string(b) != formatText(layoutVersion) {
		t.Errorf("the format file says %q, %v: the version before would take the directory for its own", b, err)
	}
	leased, err := s.Lease(t.Context(), appliance.LeaseRequest{Destination: "mx/example.net", Now: testTime, Until: testTime.Add(time.Hour), Max: 9})
	must(t, err)
	if len(leased) != 1 {
		t.Fatalf("%d deliveries", len(leased))
	}
	attempt := goldenAttempts()[1]
	must(t, s.Settle(t.Context(), appliance.Outcome{Key: leased[0].Key, Delivery: leased[0].Delivery, Attempt: &attempt}))
	for e, err := range s.Query(t.Context(), appliance.Filter{Attempts: true}) {
		must(t, err)
		if diff := cmp.Diff([]appliance.Attempt{attempt}, e.Deliveries[0].Attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	}
}

// undump reads what hex.Dump wrote.
func undump(t *testing.T, dump string) []byte {
	t.Helper()
	var all []byte
	for line := range strings.Lines(dump) {
		digits := strings.Join(strings.Fields(line[10:58]), "")
		b, err := hex.DecodeString(digits)
		must(t, err)
		all = append(all, b...)
	}
	return all
}

// TestKeysSort: keys sort as what they stand for.
func TestKeysSort(t *testing.T) {
	times := []time.Time{
		{}, time.Unix(-1, 999_999_999), time.Unix(0, 0), time.Unix(0, 1), testTime, testTime.Add(1),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	var last []byte
	for _, due := range times {
		d := &appliance.Delivery{Destination: "a/b", Due: due}
		k := appliance.DeliveryKey{ID: "0id", Part: 70_000}
		key := indexKey(k, d)
		if bytes.Compare(last, key) >= 0 {
			t.Errorf("%v does not sort after what is earlier", due)
		}
		e, ok := splitIndexKey(key)
		if !ok || e.destination != "a/b" || !e.due.Equal(due) || e.key != k {
			t.Errorf("%v came back as %+v", due, e)
		}
		last = key
	}
	if bytes.Compare(last, afterDestination("a/b")) >= 0 {
		t.Error("an entry stands behind its destination")
	}
	if indexKey(appliance.DeliveryKey{}, &appliance.Delivery{Held: true}) != nil {
		t.Error("a held delivery has a place in the schedule")
	}
}

// FuzzRecord: no record, and no key, makes a decoder panic or read more than
// there is; what is read and written again is the same.
func FuzzRecord(f *testing.F) {
	m, d := goldenMessage(), goldenDelivery()
	key := []byte("k")
	f.Add(m.encode(key), true)
	f.Add(d.encode(key), false)
	d.attempts = encodeAttempts(goldenAttempts())
	f.Add(d.encode(key), false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, record []byte, sealed bool) {
		splitIndexKey(record)
		splitDeliveryKey(record)
		if !sealed { // let the decoders see damage behind the checksum, too
			record = seal(key, append([]byte{recordVersion}, record...))
		}
		if m, err := decodeMessage(key, record); err == nil {
			again, err := decodeMessage(key, m.encode(key))
			if err != nil || !cmp.Equal(m, again, cmp.AllowUnexported(messageRecord{}, bodyRef{})) {
				t.Errorf("%+v became %+v, %v", m, again, err)
			}
		}
		if d, err := decodeDelivery(key, record); err == nil {
			again, err := decodeDelivery(key, d.encode(key))
			if err != nil || !cmp.Equal(d, again, cmp.AllowUnexported(deliveryRecord{}), cmpopts.EquateEmpty()) {
				t.Errorf("%+v became %+v, %v", d, again, err)
			}
			attempts := decodeAttempts(d.attempts)
			if again := decodeAttempts(encodeAttempts(attempts)); !cmp.Equal(attempts, again) {
				t.Errorf("%+v became %+v", attempts, again)
			}
		}
	})
}
