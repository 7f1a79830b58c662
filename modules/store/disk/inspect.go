package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An inspection reads everything in a directory and changes nothing. What it
// looks at holds still: it is a snapshot, or nobody else may use it.
type inspection struct {
	s      *Store // a reader of the directory
	ctx    context.Context
	report appliance.StorageReport
	owned  map[appliance.QueueID]bool // messages that may have a body in a file; nil if nobody can know
}

// inspect looks at what lies in dir.
func (s *Store) inspect(ctx context.Context, dir string) (report appliance.StorageReport, err error) {
	v := &inspection{s: s.reader(dir), ctx: ctx, report: appliance.StorageReport{
		Directory: s.dir, Damaged: []appliance.StorageFinding{},
	}}
	for _, look := range []func() error{v.format, v.queue, v.bodies, v.values} {
		if err := errors.Join(look(), ctx.Err()); err != nil {
			return v.report, err
		}
	}
	return v.report, nil
}

func (v *inspection) damage(what, format string, args ...any) {
	v.report.Note(&v.report.Damaged, what, fmt.Sprintf(format, args...))
}

// format reads the version of the layout. One that is not legible is written
// anew by the next start.
func (v *inspection) format() error {
	if err := v.s.checkFormat(); err != nil {
		return err
	}
	b, err := readFile(v.s.files, v.s.sub(formatName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := fmt.Sscanf(string(b), formatPattern, &v.report.Format); err != nil {
		v.damage(formatName, "it does not say which version this is")
	}
	return nil
}

// queue looks at the files of the queue, and then at what they hold.
func (v *inspection) queue() error {
	dir := v.s.sub(queueName)
	names, err := v.s.files.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no queue: there is no %s", v.report.Directory, queueName)
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := errors.Join(v.queueFile(name), v.ctx.Err()); err != nil {
			return err
		}
	}
	if _, err := v.s.checkManifest(dir); errors.Is(err, errDamaged) {
		v.damage(queueName, "%v", err)
		return nil // Pebble would be silent about it
	}
	if err := v.s.openReadOnly(); err != nil {
		if !isDamage(err) {
			return err
		}
		v.damage(queueName, "it cannot be opened: %v", err)
		return nil
	}
	v.owned = make(map[appliance.QueueID]bool)
	unread := len(v.report.Damaged) > 0 // what is in the files of the queue may be more than can be read
	err = errors.Join(v.messages(), v.schedule())
	if unread {
		v.owned = nil
	}
	if pebble.IsCorruptionError(err) {
		v.damage(queueName, "%v", err)
		err = nil
	}
	return errors.Join(err, v.s.db.Close())
}

// queueFile checks what has checksums. The others are small, and the queue
// does not open if they are damaged.
func (v *inspection) queueFile(name string) error {
	path := v.s.fs.PathJoin(v.s.sub(queueName), name)
	switch {
	case !v.s.isRegular(path):
		v.foreign(queueName + "/" + name)
	case isTable(name):
		if err := v.table(path); err != nil {
			v.damage(queueName+"/"+name, "%v", err)
		}
	case isLog(name):
		content, err := readFile(v.s.files, path)
		if err != nil {
			return err
		}
		if !isTornOnly(content, name) {
			v.damage(queueName+"/"+name, "what had been durable is damaged")
		}
	}
	return nil
}

// table checks every block of a table, of removed records too.
func (v *inspection) table(path string) error {
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
	r, err := sstable.NewReader(v.ctx, readable, o.MakeReaderOptions())
	if err != nil {
		return err
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

func (v *inspection) foreign(name string) {
	v.report.Note(&v.report.Foreign, name, "not a file of waxwing")
}

// messages looks at every message that has a record of any kind.
func (v *inspection) messages() error {
	var all [3]*pebble.Iterator
	for i, prefix := range []string{messagePrefix, bodyPrefix, deliveryPrefix} {
		it, err := v.s.scan([]byte(prefix), prefixEnd(prefix))
		if err != nil {
			return err
		}
		defer func() { _ = it.Close() }() // its error was looked at
		it.First()
		all[i] = it
	}
	for {
		id, more := firstID(all[:])
		if !more {
			return errors.Join(all[0].Error(), all[1].Error(), all[2].Error())
		}
		if err := errors.Join(v.message(id), v.ctx.Err()); err != nil {
			return err
		}
		for i, it := range all {
			for it.Valid() && idOf(i, it.Key()) == id {
				it.Next()
			}
		}
	}
}

// firstID is the first of the messages that the iterators stand on.
func firstID(all []*pebble.Iterator) (first appliance.QueueID, more bool) {
	for i, it := range all {
		if !it.Valid() {
			continue
		}
		if id := idOf(i, it.Key()); !more || id < first {
			first, more = id, true
		}
	}
	return first, more
}

// idOf is the message that a key is of: of a message, a body, or a delivery.
func idOf(kind int, key []byte) appliance.QueueID {
	rest := key[len(messagePrefix):]
	if kind < 2 {
		return appliance.QueueID(rest)
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		rest = rest[:i]
	}
	return appliance.QueueID(rest)
}

// message looks at all there is of a message. The first thing that is wrong
// with it is reported.
func (v *inspection) message(id appliance.QueueID) error {
	what := "message " + string(id)
	if !id.IsValid() {
		v.damage(fmt.Sprintf("record %q", id), "this is no queue id")
		return nil
	}
	why, err := v.s.incomplete(id)
	if err != nil {
		return err
	}
	if why != "" {
		v.owned[id] = true
		v.damage(what, "%s", why)
		return nil
	}
	m, err := v.s.message(id)
	if err != nil {
		return err
	}
	if m.body.inFile {
		v.owned[id] = true
	}
	if _, err := appliance.ParseHeader(m.header); err != nil {
		v.damage(what, "header: %v", err)
		return nil
	}
	if why, err := v.body(id, m.body); err != nil || why != "" {
		if err == nil {
			v.damage(what, "%s", why)
		}
		return err
	}
	v.report.Messages++
	v.report.Octets += int64(len(m.header)) + m.body.size
	return v.deliveries(id, m.parts)
}

// body reads a body to its end, and says what is wrong with it.
func (v *inspection) body(id appliance.QueueID, ref bodyRef) (why string, err error) {
	if !ref.inFile {
		key := bodyKey(id)
		record, err := v.s.get(key)
		if err != nil {
			return "", err
		}
		body, err := unseal(key, record)
		if err == nil && int64(len(body)) != ref.size {
			err = damaged("%d octets, not %d", len(body), ref.size)
		}
		if err != nil {
			why = "body: " + err.Error()
		}
		return why, nil
	}
	path := v.s.bodyPath(id)
	if !v.s.isRegular(path) {
		return "its body is not a regular file", nil
	}
	f, err := v.s.files.Open(path)
	if err != nil {
		return "body: " + err.Error(), nil //nolint:nilerr // it is what is found
	}
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, f)
	switch {
	case err != nil:
		why = "body: " + err.Error()
	case n != ref.size:
		why = fmt.Sprintf("its body has %d octets, not %d", n, ref.size)
	case sum.Sum32() != ref.sum:
		why = "its body is not what was written: the checksum does not match"
	}
	return why, f.Close()
}

// deliveries counts those of a message, and looks for them in the schedule: one
// that is not there would never be attempted.
func (v *inspection) deliveries(id appliance.QueueID, parts int) error {
	lower := deliveriesKey(id)
	it, err := v.s.scan(lower, prefixEnd(string(lower)))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = v.delivery(it.Key(), it.Value(), parts)
	}
	return errors.Join(err, it.Error(), it.Close())
}

func (v *inspection) delivery(key, record []byte, parts int) error {
	k, _ := splitDeliveryKey(key)
	what := fmt.Sprintf("message %s", k.ID)
	r, err := decodeDelivery(key, record)
	if err != nil {
		return err // incomplete has read it just now
	}
	v.report.Deliveries++
	index := indexKey(k, &r.Delivery)
	if index == nil {
		v.report.Held++
	} else if there, err := v.s.has(index); err != nil || !there {
		v.damage(what, "delivery %d is not in the schedule", k.Part)
		return err
	}
	if k.Part >= parts || r.parts != parts {
		v.damage(what, "delivery %d of %d says that it is of %d", k.Part, parts, r.parts)
	}
	return nil
}

// schedule counts the entries that are those of no delivery. They harm nobody:
// each is removed when its turn comes.
func (v *inspection) schedule() error {
	it, err := v.s.scan([]byte(indexPrefix), prefixEnd(indexPrefix))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		e, valid := splitIndexKey(it.Key())
		var r *deliveryRecord
		if valid {
			r, err = v.s.delivery(e.key)
		}
		if errors.Is(err, errDamaged) { // its message has been named
			err = nil
			continue
		}
		if err == nil && !e.isOf(r) {
			v.report.LeftOver++
		}
		err = errors.Join(err, v.ctx.Err())
	}
	return errors.Join(err, it.Error(), it.Close())
}

// bodies finds what belongs to no message.
func (v *inspection) bodies() error {
	names, err := v.s.files.List(v.s.sub(bodiesName))
	if err != nil {
		return ignoreMissing(err)
	}
	slices.Sort(names)
	for _, name := range names {
		id, path := appliance.QueueID(name), v.s.fs.PathJoin(v.s.sub(bodiesName), name)
		switch {
		case isDraftName(name):
			v.report.LeftOver++
		case !id.IsValid() || !v.s.isRegular(path):
			v.foreign(bodiesName + "/" + name)
		case v.owned != nil && !v.owned[id]:
			v.report.LeftOver++
		}
	}
	return nil
}

// values reads every value.
func (v *inspection) values() error { return v.valuesIn(valuesName) }

func (v *inspection) valuesIn(dir string) error {
	names, err := v.s.files.List(v.s.sub(dir))
	if err != nil {
		return ignoreMissing(err)
	}
	slices.Sort(names)
	for _, name := range names {
		key := dir + "/" + name
		path := v.s.sub(key)
		switch {
		case strings.HasPrefix(name, tempPrefix):
			v.report.LeftOver++
		case v.s.files.regular(path) == nil && isDir(v.s.fs, path):
			if err := errors.Join(v.valuesIn(key), v.ctx.Err()); err != nil {
				return err
			}
		case !v.s.isRegular(path) || appliance.CheckValueKey(strings.TrimPrefix(key, valuesName+"/")) != nil:
			v.foreign(key)
		default:
			if _, err := readFile(v.s.files, path); err != nil {
				v.damage(key, "%v", err)
				continue
			}
			v.report.Values++
		}
	}
	return nil
}
