package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// setAside moves all that is left of a damaged message to quarantine/<id>/:
//
//	reason              what was found
//	m, d-<part>, b      its records as they were
//	body                the body, if it was a file
//
// and removes it from the queue. The error says that it has been set aside,
// or why it could not be.
func (s *Store) setAside(id appliance.QueueID, why string) error {
	if err := s.enterReader(); err != nil {
		return err
	}
	defer s.leave()
	unlock := s.ids.lock([]appliance.QueueID{id})
	defer unlock()
	found, err := s.moveAside(id, why)
	switch {
	case err != nil:
		s.log.Error("a damaged message could not be set aside", zap.String("id", string(id)), zap.String("reason", why), zap.Error(err))
		return fmt.Errorf("message %s is damaged (%s) and could not be set aside: %w", id, why, err)
	case found:
		s.quarantined.Inc()
		s.log.Error("a message is damaged and has been set aside", zap.String("id", string(id)), zap.String("reason", why),
			zap.String("directory", s.quarantineDir(id)))
	}
	return fmt.Errorf("message %s has been set aside: %s", id, why)
}

func (s *Store) quarantineDir(id appliance.QueueID) string {
	return s.fs.PathJoin(s.sub(quarantineName), string(id))
}

// moveAside is durable in the quarantine before it touches the queue.
func (s *Store) moveAside(id appliance.QueueID, why string) (found bool, err error) {
	if !id.IsValid() {
		return false, errors.New("not a queue id")
	}
	s.keep.RLock()
	defer s.keep.RUnlock()
	b := s.newBatch()
	dir := s.quarantineDir(id)
	if err := s.saveRecords(b, id, dir); err != nil {
		return false, errors.Join(err, b.Close())
	}
	moved, err := s.moveFile(s.bodyPath(id), dir, "body")
	if err != nil {
		return false, errors.Join(err, b.Close())
	}
	if b.Empty() && !moved {
		return false, b.Close() // somebody else was faster
	}
	if err := s.writeAside(dir, "reason", []byte(why+"\n")); err != nil {
		return false, errors.Join(err, b.Close())
	}
	return true, s.apply(b)
}

// saveRecords copies the records of a message and puts their removal into b.
func (s *Store) saveRecords(b *batch, id appliance.QueueID, dir string) error {
	save := func(key []byte, name string) error {
		record, err := s.get(key)
		if err != nil || record == nil {
			return err
		}
		return errors.Join(s.writeAside(dir, name, record), b.Delete(key, nil))
	}
	if err := errors.Join(save(messageKey(id), "m"), save(bodyKey(id), "b")); err != nil {
		return err
	}
	lower := deliveriesKey(id)
	it, err := s.scan(lower, prefixEnd(string(lower)))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = s.saveDelivery(b, it, dir)
	}
	return errors.Join(err, it.Error(), it.Close())
}

// saveDelivery removes the delivery from the schedule as well, if its record
// still says where it stands there. If it does not, Lease removes what it
// finds without a delivery.
func (s *Store) saveDelivery(b *batch, it *pebble.Iterator, dir string) error {
	record, err := it.ValueAndErr()
	if err != nil {
		return err
	}
	k, _ := splitDeliveryKey(it.Key())
	if r, err := decodeDelivery(it.Key(), record); err == nil {
		if index := indexKey(k, &r.Delivery); index != nil {
			if err := b.Delete(index, nil); err != nil {
				return err
			}
		}
	}
	return errors.Join(s.writeAside(dir, fmt.Sprintf("d-%d", k.Part), record), b.Delete(it.Key(), nil))
}

func (s *Store) writeAside(dir, name string, content []byte) error {
	if err := s.files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(s.files.writeFile(dir, name, content), s.files.syncDir(s.sub(quarantineName)))
}

// moveFile moves a file into a directory of the quarantine.
func (s *Store) moveFile(path, dir, name string) (moved bool, err error) {
	if _, err := s.files.Stat(path); err != nil {
		return false, ignoreMissing(err)
	}
	if err := s.files.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	if err := s.files.Rename(path, s.fs.PathJoin(dir, name)); err != nil {
		return false, err
	}
	return true, s.files.syncDir(dir)
}

// enterReader is enter for work that has no context of its own.
func (s *Store) enterReader() error { return s.enter(context.Background()) }

func (s *Store) bodyPath(id appliance.QueueID) string {
	return s.fs.PathJoin(s.sub(bodiesName), string(id))
}

// removeBody removes the file of a finished message. What cannot be removed
// now is removed by the next Start.
func (s *Store) removeBody(id appliance.QueueID) {
	s.keep.RLock()
	defer s.keep.RUnlock()
	if err := ignoreMissing(s.files.Remove(s.bodyPath(id))); err != nil {
		s.log.Warn("cannot remove the body of a finished message", zap.String("id", string(id)), zap.Error(err))
	}
}

// A sweep says what sweepBodies has to be careful about.
type sweep struct {
	damaged bool // records may have been lost
	running bool // drafts belong to somebody
}

// sweepBodies removes what a crash has left: drafts, and bodies of messages
// that were not committed or are finished. After damage to the queue, when
// the record of a message may have been lost, bodies are moved to quarantine
// instead. Names that are not ours are left alone.
func (s *Store) sweepBodies(how sweep) error {
	names, err := s.files.List(s.sub(bodiesName))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.sweepBody(name, how); err != nil {
			return fmt.Errorf("body %s: %w", name, err)
		}
	}
	return nil
}

func (s *Store) sweepBody(name string, how sweep) error {
	path := s.fs.PathJoin(s.sub(bodiesName), name)
	id := appliance.QueueID(name)
	switch {
	case isDraftName(name) && how.running:
		return nil
	case isDraftName(name):
		return s.files.Remove(path)
	case !id.IsValid() || !s.isRegular(path):
		s.log.Warn("not a file of waxwing; it is left alone", zap.String("file", path))
		return nil
	}
	m, err := s.message(id)
	switch {
	case errors.Is(err, errDamaged) || pebble.IsCorruptionError(err):
		return nil // it is set aside when its turn comes
	case err != nil:
		return err
	case m != nil && m.body.inFile:
		return nil
	case how.damaged:
		_, err := s.moveFile(path, s.quarantineDir(id), "body")
		return err
	}
	return s.files.Remove(path)
}

func isDraftName(name string) bool { return strings.HasPrefix(name, draftPrefix) }

// isRegular says whether path is a plain file, without following a link.
func (s *Store) isRegular(path string) bool {
	if vfs.Root(s.fs) == vfs.Default {
		return s.files.regular(path) == nil && !isDir(s.files, path)
	}
	return !isDir(s.files, path)
}

func isDir(fsys vfs.FS, path string) bool {
	there, err := findDir(fsys, path)
	return err == nil && there
}

// findDir is isDir for what must not take a directory that cannot be looked at
// for one that is not there.
func findDir(fsys vfs.FS, path string) (there bool, err error) {
	fi, err := fsys.Stat(path)
	if err != nil {
		return false, ignoreMissing(err)
	}
	return fi.Mode()&fs.ModeDir != 0, nil
}
