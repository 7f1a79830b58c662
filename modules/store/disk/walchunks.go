package disk

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/wal"
)

// A log of Pebble is a sequence of blocks of 32 KiB, a block a sequence of
// chunks, and a record one or more chunks. Pebble itself stops reading at the
// first one that is damaged; logRecords goes on behind it.
//
//	CRC (4)  length (2)  type (1)  [log number (4)  [sync offset (8)]]  payload
//
// The types are full, first, middle and last, in three formats with headers
// of 7, 11 and 19 octets. The checksum covers everything from the type on.
const logBlock = 32 << 10

// The types of a format, in order.
const (
	chunkFull = 1 + iota
	chunkFirst
	chunkMiddle
	chunkLast
)

// chunkHeaders are the sizes of the headers of the three formats.
var chunkHeaders = [3]int{7, 11, 19}

// logRecords calls emit for each record of a log that is whole, and returns
// how many chunks were damaged. Where a log ends in a torn chunk, as it does
// after a crash, that is one of them. emit must not keep the record.
func logRecords(log []byte, number uint32, emit func(record []byte)) (bad int) {
	return len(readLog(log, number, emit).at)
}

// isTornOnly says whether all the damage of a log is such as a power cut can
// leave. The sync offset of a chunk is how much of the log was durable when it
// was written: damage before the sync offset of a later chunk was done to what
// had been durable, and perhaps acknowledged. Pebble itself looks at the blocks
// behind the damaged one alone, and takes damage in the last block for the end
// of the log.
func isTornOnly(log []byte, name string) bool {
	number, _, _ := wal.ParseLogFilename(name)
	d := readLog(log, uint32(number), func([]byte) {})
	return len(d.at) == 0 || d.synced <= d.at[0]
}

// logDamage is what is wrong with a log.
type logDamage struct {
	at     []uint64 // offsets of the damaged chunks
	synced uint64   // the largest sync offset behind the first of them
}

// readLog calls emit for each record that is whole.
func readLog(log []byte, number uint32, emit func(record []byte)) (d logDamage) {
	var partial []byte
	begun := false
	for start := 0; start < len(log); start += logBlock {
		block := log[start:min(start+logBlock, len(log))]
		for end := start + len(block); len(block) >= chunkHeaders[0]; {
			c, rest := nextChunk(block, number)
			if c.padding {
				break
			}
			if !c.whole {
				d.at = append(d.at, uint64(end-len(block)))
				if rest == nil {
					d.synced = max(d.synced, laterSync(block, number))
				}
				block, begun = rest, false
				continue
			}
			block = rest
			if len(d.at) > 0 {
				d.synced = max(d.synced, c.synced)
			}
			switch c.kind {
			case chunkFull:
				emit(c.payload)
				begun = false
			case chunkFirst:
				partial, begun = append(partial[:0], c.payload...), true
			default:
				partial = append(partial, c.payload...)
				if begun && c.kind == chunkLast {
					emit(partial)
					begun = false
				}
			}
		}
	}
	return d
}

// laterSync is the largest sync offset of what looks like a chunk in the rest
// of a block of which the next header makes no sense. It is a sign of damage
// and no more: the records of such chunks are not believed, because who sends
// a message could have put them there.
func laterSync(block []byte, number uint32) (synced uint64) {
	for i := 1; i+chunkHeaders[0] <= len(block); i++ {
		if c, _ := nextChunk(block[i:], number); c.whole {
			synced = max(synced, c.synced)
		}
	}
	return synced
}

type chunk struct {
	kind    int
	payload []byte
	synced  uint64 // octets of the log that were durable when it was written, 0 in the older formats
	whole   bool
	padding bool // nothing more in this block
}

// nextChunk takes a chunk off a block. A header that makes no sense costs the
// rest of the block, a wrong checksum the chunk.
func nextChunk(block []byte, number uint32) (c chunk, rest []byte) {
	sum, length, kind := binary.LittleEndian.Uint32(block), int(binary.LittleEndian.Uint16(block[4:])), int(block[6])
	if sum == 0 && length == 0 && kind == 0 {
		return chunk{padding: true}, nil
	}
	if kind < 1 || kind > 4*len(chunkHeaders) {
		return c, nil
	}
	header := chunkHeaders[(kind-1)/4]
	if header+length > len(block) {
		return c, nil
	}
	whole := maskedCRC(block[6:header+length]) == sum
	if header > chunkHeaders[0] && binary.LittleEndian.Uint32(block[7:]) != number {
		isEnd := sum == 0 && length == 0           // as Pebble marks it
		return chunk{padding: whole || isEnd}, nil // of an older log in the same file, or damaged
	}
	if header == chunkHeaders[2] {
		c.synced = binary.LittleEndian.Uint64(block[11:])
	}
	c.kind = (kind-1)%4 + 1
	c.payload = block[header : header+length]
	c.whole = whole
	return c, block[header+length:]
}

// maskedCRC is the checksum of LevelDB: a CRC-32C that has been rotated and
// shifted, so that the checksum of data that holds a checksum is a good one.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
