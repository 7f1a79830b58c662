package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// The keys of the queue. An id has no slash and sorts by time; a part is four
// octets, a due time twelve, both big-endian, so that keys sort as what they
// stand for.
//
//	m/<id>                                  message: origin, envelope, header  written once
//	b/<id>                                  its body, if it is small           written once
//	d/<id>/<part>                           state of one delivery              rewritten by retries
//	x/<destination> NUL <due> <id> <part>   schedule: what waits and is not held
//
// A key of the schedule is set when a delivery begins to wait for a time and
// removed before it is set again.
const (
	messagePrefix  = "m/"
	bodyPrefix     = "b/"
	deliveryPrefix = "d/"
	indexPrefix    = "x/"

	partSize = 4
	dueSize  = 8 + 4

	// maxDestination keeps a key small, in octets. A destination is the name
	// of a relay and a domain.
	maxDestination = 1000
)

func messageKey(id appliance.QueueID) []byte { return []byte(messagePrefix + string(id)) }

func bodyKey(id appliance.QueueID) []byte { return []byte(bodyPrefix + string(id)) }

// deliveriesKey begins the keys of all deliveries of a message.
func deliveriesKey(id appliance.QueueID) []byte { return []byte(deliveryPrefix + string(id) + "/") }

func deliveryKey(k appliance.DeliveryKey) []byte {
	return binary.BigEndian.AppendUint32(deliveriesKey(k.ID), uint32(k.Part))
}

// splitDeliveryKey takes a d/ key apart.
func splitDeliveryKey(key []byte) (appliance.DeliveryKey, bool) {
	rest, ok := bytes.CutPrefix(key, []byte(deliveryPrefix))
	if n := len(rest) - partSize; ok && n > 0 && rest[n-1] == '/' {
		return appliance.DeliveryKey{
			ID:   appliance.QueueID(rest[:n-1]),
			Part: int(binary.BigEndian.Uint32(rest[n:])),
		}, true
	}
	return appliance.DeliveryKey{}, false
}

// destinationKey begins the schedule of a destination.
func destinationKey(destination string) []byte {
	return append([]byte(indexPrefix+destination), 0)
}

// afterDestination is the first key past the schedule of a destination.
func afterDestination(destination string) []byte {
	return append([]byte(indexPrefix+destination), 1)
}

// appendDue writes a time so that octets compare as times do, whatever the
// year: seconds with the sign bit flipped, then nanoseconds.
func appendDue(b []byte, due time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(due.Unix())^1<<63)
	return binary.BigEndian.AppendUint32(b, uint32(due.Nanosecond()))
}

// indexKey is the place of a delivery in the schedule, or nil if it has none
// because it is held.
func indexKey(k appliance.DeliveryKey, d *appliance.Delivery) []byte {
	if d.Held {
		return nil
	}
	b := appendDue(destinationKey(d.Destination), d.Due)
	b = append(b, k.ID...)
	return binary.BigEndian.AppendUint32(b, uint32(k.Part))
}

// indexEntry is a key of the schedule, taken apart.
type indexEntry struct {
	destination string
	due         time.Time
	key         appliance.DeliveryKey
}

func splitIndexKey(key []byte) (indexEntry, bool) {
	rest, ok := bytes.CutPrefix(key, []byte(indexPrefix))
	destination, rest, found := bytes.Cut(rest, []byte{0})
	if !ok || !found || len(rest) <= dueSize+partSize {
		return indexEntry{}, false
	}
	seconds := int64(binary.BigEndian.Uint64(rest) ^ 1<<63)
	nanos := int64(binary.BigEndian.Uint32(rest[8:]))
	end := len(rest) - partSize
	return indexEntry{
		destination: string(destination),
		due:         time.Unix(seconds, nanos).UTC(),
		key: appliance.DeliveryKey{
			ID:   appliance.QueueID(rest[dueSize:end]),
			Part: int(binary.BigEndian.Uint32(rest[end:])),
		},
	}, true
}

func checkDestination(destination string) error {
	if len(destination) > maxDestination || strings.IndexByte(destination, 0) >= 0 {
		return errors.New("destination is too long or contains NUL")
	}
	return nil
}

// prefixEnd is the first key past all that begin with prefix, which ends with
// a slash.
func prefixEnd(prefix string) []byte {
	return append([]byte(prefix[:len(prefix)-1]), '/'+1)
}
