package disk

import (
	"encoding/binary"
	"hash/crc32"
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
	var partial []byte
	begun := false
	for len(log) > 0 {
		block := log[:min(logBlock, len(log))]
		log = log[len(block):]
		for len(block) >= chunkHeaders[0] {
			c, rest := nextChunk(block, number)
			if c.padding {
				break
			}
			block = rest
			if !c.whole {
				bad++
				begun = false
				continue
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
	return bad
}

type chunk struct {
	kind    int
	payload []byte
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
	if header > chunkHeaders[0] && binary.LittleEndian.Uint32(block[7:]) != number {
		return chunk{padding: true}, nil // of an older log in the same file, or the end
	}
	c.kind = (kind-1)%4 + 1
	c.payload = block[header : header+length]
	c.whole = maskedCRC(block[6:header+length]) == sum
	return c, block[header+length:]
}

// maskedCRC is the checksum of LevelDB: a CRC-32C that has been rotated and
// shifted, so that the checksum of data that holds a checksum is a good one.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
