package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/wal"
	"go.uber.org/zap"
)

// A salvage reads what can be read of a damaged queue, table by table and log
// by log, without its manifest. Everything goes through a sorter, a queue of
// Pebble for the purpose, whose keys are
//
//	length of the key (2)  key  inverse of the sequence number (8)
//
// so that the newest version of a key comes first, whatever the order in
// which the versions were found.
type salvage struct {
	s       *Store
	sorter  *pebble.DB
	b       *pebble.Batch
	damaged int // tables, and chunks of logs
}

// sorterBatch is how many octets are handed to the sorter at a time.
const sorterBatch = 4 << 20

// add takes one version of a key.
func (v *salvage) add(key []byte, seq uint64, kind byte, value []byte) error {
	k := binary.BigEndian.AppendUint16(nil, uint16(len(key)))
	k = append(k, key...)
	k = binary.BigEndian.AppendUint64(k, ^seq)
	if err := v.b.Set(k, append([]byte{kind}, value...), nil); err != nil {
		return err
	}
	if v.b.Len() < sorterBatch {
		return nil
	}
	return v.flush()
}

func (v *salvage) flush() error {
	if err := v.b.Commit(pebble.NoSync); err != nil {
		return err
	}
	v.b = v.sorter.NewBatch()
	return nil
}

// read reads all tables and logs in a directory.
func (v *salvage) read(dir string) error {
	names, err := v.s.files.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		path := v.s.fs.PathJoin(dir, name)
		if !v.s.isRegular(path) {
			continue // nothing of ours: it is never opened
		}
		switch number, _, ok := wal.ParseLogFilename(name); {
		case ok:
			err = v.log(path, uint32(number))
		case isTable(name):
			err = v.table(path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return v.flush()
}

func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }

func isLog(name string) bool { _, _, ok := wal.ParseLogFilename(name); return ok }

// log reads the batches of a log.
func (v *salvage) log(path string, number uint32) error {
	content, err := readFile(v.s.files, path)
	if err != nil {
		return err
	}
	v.damaged += logRecords(content, number, func(record []byte) {
		if err == nil {
			err = v.batch(record)
		}
	})
	return err
}

// batch reads a batch as it stands in a log. Each of its operations has the
// next sequence number.
func (v *salvage) batch(repr []byte) error {
	header, ok := batchrepr.ReadHeader(repr)
	if !ok {
		v.damaged++
		return nil
	}
	seq := uint64(header.SeqNum)
	for r := batchrepr.Read(repr); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			v.damaged++
			return nil //nolint:nilerr // the others are read nevertheless
		}
		if !ok {
			return nil
		}
		if kind == pebble.InternalKeyKindLogData {
			continue
		}
		if err := v.add(key, seq, byte(kind), value); err != nil {
			return err
		}
		seq++
	}
}

// table reads a table from its beginning, and from its end if there is damage
// in between.
func (v *salvage) table(path string) error {
	f, err := v.s.files.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	o := v.s.queueOptions(nil)
	o.EnsureDefaults()
	r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		v.bad(path, err)
		return nil
	}
	defer func() { _ = r.Close() }() // it was only read
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		v.bad(path, err)
		return nil
	}
	defer func() { _ = it.Close() }() // its error was looked at
	return v.tableRecords(path, it)
}

func (v *salvage) tableRecords(path string, it sstable.Iterator) error {
	var last []byte
	kv := it.First()
	for ; kv != nil; kv = it.Next() {
		last = append(last[:0], kv.K.UserKey...)
		value, _, err := kv.Value(nil)
		if err != nil {
			v.bad(path, err)
			continue
		}
		if err := v.add(kv.K.UserKey, uint64(kv.SeqNum()), byte(kv.Kind()), value); err != nil {
			return err
		}
	}
	if it.Error() == nil {
		return nil
	}
	v.bad(path, it.Error())
	for kv := it.Last(); kv != nil && bytes.Compare(kv.K.UserKey, last) > 0; kv = it.Prev() {
		value, _, err := kv.Value(nil)
		if err != nil {
			continue
		}
		if err := v.add(kv.K.UserKey, uint64(kv.SeqNum()), byte(kv.Kind()), value); err != nil {
			return err
		}
	}
	return nil
}

func (v *salvage) bad(path string, err error) {
	v.damaged++
	v.s.log.Error("a table of the queue is damaged", zap.String("file", path), zap.Error(err))
}

// write puts the newest version of each record into a new queue. The schedule
// is made anew of the deliveries.
func (v *salvage) write(to *pebble.DB) (n int, err error) {
	it, err := v.sorter.NewIter(nil)
	if err != nil {
		return 0, err
	}
	b := to.NewBatch()
	var previous []byte
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		key := it.Key()[2 : len(it.Key())-8]
		if previous != nil && bytes.Equal(key, previous) {
			continue // an older version
		}
		previous = append([]byte{}, key...)
		var carried bool
		if carried, err = carry(b, previous, it.Value()); carried {
			n++
		}
		if err == nil && b.Len() >= sorterBatch {
			err = b.Commit(pebble.NoSync)
			b = to.NewBatch()
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return n, errors.Join(err, b.Close())
	}
	return n, b.Commit(pebble.Sync)
}

// carry puts a record into a batch if its newest version is not a removal.
func carry(b *pebble.Batch, key, version []byte) (bool, error) {
	switch pebble.InternalKeyKind(version[0]) {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
	default:
		return false, nil
	}
	if bytes.HasPrefix(key, []byte(indexPrefix)) {
		return false, nil
	}
	if k, ok := splitDeliveryKey(key); ok {
		if r, err := decodeDelivery(key, version[1:]); err == nil && !r.Held {
			if err := b.Set(indexKey(k, &r.Delivery), nil, nil); err != nil {
				return false, err
			}
		}
	}
	return true, b.Set(key, version[1:], nil)
}
