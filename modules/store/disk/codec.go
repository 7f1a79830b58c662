package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Every record is
//
//	version (1 octet)  payload  CRC-32C (4 octets, little-endian)
//
// and the checksum covers the key too, so that a record in another's place is
// as bad as a damaged one. Numbers are varints, texts have their length in
// front. testdata/*.golden pin the format down. All versions are read, the
// newest is written:
//
//	1  the first
//	2  results have their class, and a delivery ends with what it remembers of
//	   its attempts
const recordVersion = 2

const (
	versionSize  = 1
	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged means that a record is not what was written.
var errDamaged = errors.New("record is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// seal finishes a record that begins with its version.
func seal(key, record []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, record)
	return binary.LittleEndian.AppendUint32(record, sum)
}

// unseal checks a record and returns its payload, which aliases it.
func unseal(key, record []byte) ([]byte, error) {
	n := len(record) - checksumSize
	if n < versionSize {
		return nil, damaged("%d octets long", len(record))
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, record[:n])
	if binary.LittleEndian.Uint32(record[n:]) != sum {
		return nil, damaged("checksum does not match")
	}
	if v := record[0]; v == 0 || v > recordVersion {
		return nil, damaged("version %d", v)
	}
	return record[versionSize:n], nil
}

// An encoder appends fields to a record.
type encoder struct{ b []byte }

func newEncoder(size int) encoder {
	return encoder{append(make([]byte, 0, versionSize+size+checksumSize), recordVersion)}
}

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) bytes(v []byte) {
	e.uint(uint64(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) text(v string) {
	e.uint(uint64(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) time(t time.Time) {
	e.int(t.Unix())
	e.uint(uint64(t.Nanosecond()))
}

func (e *encoder) mailbox(m appliance.Mailbox) {
	e.text(m.Local)
	e.text(m.Domain)
}

// flags writes up to 64 booleans.
func (e *encoder) flags(set ...bool) {
	var v uint64
	for i, on := range set {
		if on {
			v |= 1 << i
		}
	}
	e.uint(v)
}

// A decoder reads fields in the order they were written. After an error it
// returns zero values; the caller looks at err once, at the end. Whatever the
// input, what it allocates is bounded by a small multiple of its length.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = damaged("bad %s", what)
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes aliases the record.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail("length")
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string { return string(d.bytes()) }

// count reads the number of items that follow, each of at least one octet.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail("count")
		return 0
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	seconds, nanos := d.int(), d.uint()
	if nanos >= uint64(time.Second) {
		d.fail("time")
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}

func (d *decoder) mailbox() appliance.Mailbox {
	return appliance.Mailbox{Local: d.text(), Domain: d.text()}
}

// flags reads what encoder.flags wrote; an unknown flag is an error.
func (d *decoder) flags(into ...*bool) {
	v := d.uint()
	for i, p := range into {
		*p = v>>i&1 != 0
	}
	if v>>len(into) != 0 {
		d.fail("flag")
	}
}

// end is the error of the whole record; what is left over is one.
func (d *decoder) end() error {
	if len(d.b) > 0 {
		d.fail("length")
	}
	return d.err
}
