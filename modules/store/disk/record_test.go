package disk

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// TestGoldenRecords holds the format to what earlier versions have written
// (P20): testdata/<version>-<kind>.golden must be readable for ever, and what
// this version writes is the newest of them.
func TestGoldenRecords(t *testing.T) {
	const id = "01jd3m8zk6q0v9xwr5tn"
	m, d := goldenMessage(), goldenDelivery()
	unexported := cmp.AllowUnexported(messageRecord{}, deliveryRecord{}, bodyRef{})
	for _, c := range []struct {
		name  string
		key   []byte
		write func(key []byte) []byte
		read  func(key, record []byte) (any, error)
		holds any
	}{
		{"1-message", messageKey(id), m.encode, func(k, r []byte) (any, error) { return decodeMessage(k, r) }, m},
		{"1-delivery", deliveryKey(appliance.DeliveryKey{ID: id, Part: 1}), d.encode,
			func(k, r []byte) (any, error) { return decodeDelivery(k, r) }, d},
	} {
		name := filepath.Join("testdata", c.name+".golden")
		if *update {
			must(t, os.WriteFile(name, []byte(hex.Dump(c.write(c.key))), 0o644))
		}
		dump, err := os.ReadFile(name)
		must(t, err)
		if got := hex.Dump(c.write(c.key)); got != string(dump) {
			t.Errorf("%s: the format has changed: raise recordVersion and go on reading the old one\n%s", c.name, cmp.Diff(string(dump), got))
		}
		got, err := c.read(c.key, undump(t, string(dump)))
		must(t, err)
		if diff := cmp.Diff(c.holds, got, unexported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
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
			if err != nil || !cmp.Equal(d, again, cmp.AllowUnexported(deliveryRecord{})) {
				t.Errorf("%+v became %+v, %v", d, again, err)
			}
		}
	})
}
