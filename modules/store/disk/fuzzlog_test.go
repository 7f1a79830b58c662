package disk

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzLog: whatever damage surrounds them, the whole records of a log are found,
// nothing is found twice, and nothing is found that has no right checksum.
func FuzzLog(f *testing.F) {
	f.Add([]byte{}, []byte("a record"), []byte{})
	f.Add([]byte("damage"), []byte("a record"), []byte{0, 0, 0, 0, 0, 0, 1})
	f.Add(legacyChunk(chunkFirst, []byte("half")), []byte("x"), legacyChunk(chunkLast, []byte("half")))
	f.Add(bytes.Repeat([]byte{7}, 100), []byte("x"), bytes.Repeat([]byte{0xff}, 1000))
	f.Fuzz(func(t *testing.T, before, record, after []byte) {
		if len(before) > 2*logBlock || len(after) > 2*logBlock || len(record) > logBlock-chunkHeaders[0] {
			t.Skip("logs are no larger")
		}
		// Damage ends with its block, at the latest.
		log := append(bytes.Clone(before), make([]byte, -len(before)&(logBlock-1))...)
		log = append(log, legacyChunk(chunkFull, record)...)
		log = append(log, after...)
		found, octets := 0, 0
		logRecords(log, 1, func(r []byte) {
			octets += len(r)
			if bytes.Equal(r, record) {
				found++
			}
		})
		if found == 0 {
			t.Errorf("the record %q was not found", record)
		}
		if octets > len(log) {
			t.Errorf("records of %d octets in a log of %d", octets, len(log))
		}
	})
}

// legacyChunk is a chunk with the short header.
func legacyChunk(kind byte, payload []byte) []byte {
	c := make([]byte, chunkHeaders[0], chunkHeaders[0]+len(payload))
	binary.LittleEndian.PutUint16(c[4:], uint16(len(payload)))
	c[6] = kind
	c = append(c, payload...)
	binary.LittleEndian.PutUint32(c, maskedCRC(c[6:]))
	return c
}
