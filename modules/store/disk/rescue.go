package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	rescuedName = "queue.rescued" // a queue that is complete once queue/ is gone
	sorterName  = "queue.sorter"  // of a salvage
)

// openQueue opens the queue. One that Pebble refuses as damaged is replaced
// by what can be read of it. Whatever step a crash interrupts, the next start
// finds the damaged queue in place, or the rescued one complete:
//
//	queue damaged, queue.rescued incomplete   begun again
//	queue gone,    queue.rescued complete     queue.rescued becomes queue
func (s *Store) openQueue() (damaged bool, err error) {
	if err := s.finishRescue(); err != nil {
		return false, err
	}
	if err := s.makeDirectory(s.sub(queueName)); err != nil {
		return false, err
	}
	isNew, err := s.checkManifest(s.sub(queueName))
	if err == nil {
		err = s.checkLogs(s.sub(queueName))
	}
	if err == nil {
		s.db, err = s.openPebble(s.sub(queueName))
	}
	if err == nil && isNew {
		err = s.changeLog()
	}
	if err != nil && s.health.err() == nil && isDamage(err) {
		return true, s.rescue(err)
	}
	if err != nil {
		return false, err
	}
	// What a rescue that was interrupted has left, if the queue is well after all.
	return false, errors.Join(s.files.RemoveAll(s.sub(rescuedName)), s.files.RemoveAll(s.sub(sorterName)))
}

// changeLog begins another log. The one that a new queue begins with has no
// sync offsets, so that damage to it could not be told from its end: see
// isTornOnly. A log is changed when something is flushed.
func (s *Store) changeLog() error {
	_, err := s.flushSomething()
	return errors.Join(err, s.health.err())
}

// flushSomething begins a flush, if only of the removal of nothing.
func (s *Store) flushSomething() (flushed <-chan struct{}, err error) {
	if err := s.db.Delete([]byte{0}, pebble.NoSync); err != nil {
		return nil, err
	}
	return s.db.AsyncFlush()
}

// openPebble opens a queue to work on it. Pebble flushes what it finds in the
// logs while it opens, tries that again for ever, and waits for it: so it is
// told of no write that fails, as later on, and what it has opened then is
// closed again.
func (s *Store) openPebble(dir string) (db *pebble.DB, err error) {
	q := &queueFS{guard: *s.files, space: s.space, snapshots: s.sub(snapshotName)}
	db, err = openQuietly(dir, s.queueOptions(q))
	if failure := s.health.err(); failure != nil {
		if err == nil {
			_ = db.Close() // which changes nothing any more
		}
		return nil, failure
	}
	q.opened.Store(err == nil)
	return db, err
}

// openQuietly turns a panic into an error: that is how Pebble reports some
// failures to sync while it opens. It releases what it holds first.
func openQuietly(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			db, err = nil, fmt.Errorf("open the queue: %w", r)
		default:
			db, err = nil, fmt.Errorf("open the queue: %v", r)
		}
	}()
	return pebble.Open(dir, o)
}

// firstMarker is what a queue is made with. Every start writes another one.
const firstMarker = "marker.manifest.000001.MANIFEST-000001"

// checkManifest looks at what Pebble would be silent about: it takes a damaged
// manifest for one that ends there, and a queue whose marker names none for a
// new one, and removes every table that the manifest does not name. A manifest
// without marker and records is what a crash leaves of the first start, or the
// first marker without its manifest.
func (s *Store) checkManifest(dir string) (isNew bool, err error) {
	names, err := s.files.List(dir)
	if err != nil {
		return false, err
	}
	slices.Sort(names)
	marker, current := "", ""
	for _, name := range names {
		// marker.manifest.<number>.<name of the manifest>
		if parts := strings.SplitN(name, ".", 4); len(parts) == 4 && parts[0] == "marker" && parts[1] == "manifest" {
			marker, current = name, parts[3]
		}
	}
	used := slices.ContainsFunc(names, func(name string) bool { return isTable(name) || isLog(name) })
	if current == "" {
		if used {
			return false, damaged("no manifest is named")
		}
		return true, nil
	}
	content, err := readFile(s.files, s.fs.PathJoin(dir, current))
	if errors.Is(err, fs.ErrNotExist) && !used && marker == firstMarker {
		return true, s.files.Remove(s.fs.PathJoin(dir, marker))
	}
	if err != nil {
		return false, fmt.Errorf("manifest %q: %w", current, err)
	}
	if bad := logRecords(content, 0, func([]byte) {}); bad > 0 {
		return false, damaged("manifest %s", current)
	}
	return false, nil
}

// checkLogs looks at what Pebble may be silent about, too: damage in the last
// block of a log, after which it reads no further, although what it would find
// there has been acknowledged.
func (s *Store) checkLogs(dir string) error {
	names, err := s.files.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := s.fs.PathJoin(dir, name)
		if !isLog(name) || !s.isRegular(path) {
			continue
		}
		content, err := readFile(s.files, path)
		if err != nil {
			return fmt.Errorf("log %s: %w", name, err)
		}
		if !isTornOnly(content, name) {
			return damaged("log %s", name)
		}
	}
	return nil
}

// isDamage tells a damaged queue from one that cannot be read right now, or
// that a newer version has written.
func isDamage(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT {
		return false
	}
	return !strings.Contains(err.Error(), "format major version")
}

// rescue replaces the queue, which is closed, by what can be read of it, and
// opens it.
func (s *Store) rescue(cause error) error {
	s.log.Error("the queue is damaged; everything that can be read is carried over to a new one", zap.Error(cause))
	damaged, carried, err := s.salvageQueue()
	if err == nil {
		err = s.finishRescueFrom(s.sub(queueName))
	}
	if err == nil {
		s.db, err = s.openPebble(s.sub(queueName))
	}
	if err != nil {
		return fmt.Errorf("the queue is damaged (%w) and could not be rescued: %w", cause, err)
	}
	s.log.Error("the queue has been rescued; the damaged one is in the quarantine",
		zap.Int("damaged_tables_and_chunks", damaged), zap.Int("records_carried_over", carried))
	return s.checkMessages()
}

// salvageQueue makes queue.rescued.
func (s *Store) salvageQueue() (damaged, carried int, err error) {
	for _, name := range []string{rescuedName, sorterName} {
		if err := errors.Join(s.files.RemoveAll(s.sub(name)), s.makeDirectory(s.sub(name))); err != nil {
			return 0, 0, err
		}
	}
	sorter, err := s.openPebble(s.sub(sorterName))
	if err != nil {
		return 0, 0, err
	}
	v := &salvage{s: s, sorter: sorter, b: sorter.NewBatch()}
	err = v.read(s.sub(queueName))
	if err == nil {
		carried, err = s.writeRescued(v)
	}
	err = errors.Join(err, s.health.err(), sorter.Close(), s.files.RemoveAll(s.sub(sorterName)))
	return v.damaged, carried, err
}

func (s *Store) writeRescued(v *salvage) (carried int, err error) {
	to, err := s.openPebble(s.sub(rescuedName))
	if err != nil {
		return 0, err
	}
	carried, err = v.write(to)
	return carried, errors.Join(err, to.Close(), s.health.err())
}

// finishRescueFrom moves the damaged queue to the quarantine and the rescued
// one into its place.
func (s *Store) finishRescueFrom(queue string) error {
	to := s.fs.PathJoin(s.sub(quarantineName), "queue-"+s.now().UTC().Format("20060102T150405.000000000"))
	if err := s.files.Rename(queue, to); err != nil {
		return err
	}
	if err := errors.Join(s.files.syncDir(s.sub(quarantineName)), s.files.syncDir(s.dir)); err != nil {
		return err
	}
	return s.finishRescue()
}

// finishRescue puts a rescued queue in the place of one that is gone.
func (s *Store) finishRescue() error {
	if queue, err := findDir(s.fs, s.sub(queueName)); err != nil || queue {
		return err
	}
	if rescued, err := findDir(s.fs, s.sub(rescuedName)); err != nil || !rescued {
		return err
	}
	if err := s.files.Rename(s.sub(rescuedName), s.sub(queueName)); err != nil {
		return err
	}
	return s.files.syncDir(s.dir)
}

// checkMessages sets aside, after a rescue, what is no message any more:
// records that lack others, or that are damaged themselves.
func (s *Store) checkMessages() error {
	for _, prefix := range []string{messagePrefix, bodyPrefix, deliveryPrefix} {
		it, err := s.scan([]byte(prefix), prefixEnd(prefix))
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			err = s.checkRecord(prefix, it.Key())
		}
		if err := errors.Join(err, it.Error(), it.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) checkRecord(prefix string, key []byte) error {
	id := appliance.QueueID(key[len(prefix):])
	if prefix == deliveryPrefix {
		k, _ := splitDeliveryKey(key)
		id = k.ID
	}
	why, err := s.incomplete(id)
	if err != nil || why == "" {
		return err
	}
	found, err := s.moveAside(id, why)
	if found {
		s.quarantined.Inc()
		s.log.Error("a message is damaged and has been set aside", zap.String("id", string(id)), zap.String("reason", why))
	}
	return err
}

// incomplete says what a message lacks, if anything.
func (s *Store) incomplete(id appliance.QueueID) (why string, err error) {
	m, err := s.message(id)
	switch {
	case errors.Is(err, errDamaged):
		return err.Error(), nil
	case err != nil:
		return "", err
	case m == nil:
		return "its message record was lost", nil
	}
	lower := deliveriesKey(id)
	it, err := s.scan(lower, prefixEnd(string(lower)))
	if err != nil {
		return "", err
	}
	why = "its deliveries were lost, or it was finished"
	for ok := it.First(); ok; ok = it.Next() {
		why = ""
		if _, err := decodeDelivery(it.Key(), it.Value()); err != nil {
			why = err.Error()
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil || why != "" {
		return why, err
	}
	return s.lacksBody(id, m)
}

func (s *Store) lacksBody(id appliance.QueueID, m *messageRecord) (why string, err error) {
	if m.body.inFile {
		_, err = s.files.Stat(s.bodyPath(id))
	} else if ok, hasErr := s.has(bodyKey(id)); hasErr != nil {
		return "", hasErr
	} else if !ok {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "its body was lost", nil
	}
	return "", err
}
