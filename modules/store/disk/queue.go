package disk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"go.uber.org/zap"
)

// What Pebble may use. It is all the memory that a long queue costs, and part of
// Go's heap, so that the garbage collector adds to it in proportion. Larger
// memtables spare the processor a little, because less of the mail that is
// delivered promptly is written to a table: with 16 MiB a message that was
// delivered at once cost 0.02 ms less, and the process 70 MiB more.
const (
	memTableSize = 3 << 20 // octets of writes kept in memory until they are flushed
	memTables    = 4       // before a writer has to wait for a flush
	// Pebble takes the memtables, two most of the time, off the cache: with
	// less than them there is none.
	cacheSize = 2*memTableSize + 4<<20 // octets of blocks read
	openFiles = 256
)

// queueFormat is fixed, so that it is a decision to leave older versions of
// Waxwing behind. Pebble refuses a queue of a newer format untouched.
const queueFormat = pebble.FormatTableFormatV6

func (s *Store) queueOptions(q *queueFS) *pebble.Options {
	o := &pebble.Options{
		FS:                          q,
		CacheSize:                   cacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                openFiles,
		FormatMajorVersion:          queueFormat,
		Logger:                      pebbleLog{s.log, s.health},
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			DataCorruption:  s.dataCorruption,
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// backgroundError is told of failed flushes and compactions. Nothing is lost
// by them, since the log is still there; but a disk that cannot write a table
// is no disk to promise anything on. A full disk passes.
func (s *Store) backgroundError(err error) {
	if isFull(err) || s.health.err() != nil {
		return
	}
	if pebble.IsCorruptionError(err) {
		s.noteDamage(err)
		return
	}
	_ = s.health.fail(err)
}

// pebbleLog is Pebble's Logger. The default one ends the process on Fatalf.
type pebbleLog struct {
	log    *zap.Logger
	health *health
}

// fatalCommit begins Pebble's message about a batch that could not be
// committed. After it Pebble would report success.
const fatalCommit = "pebble: fatal commit error"

func (l pebbleLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

func (l pebbleLog) Errorf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }

// Fatalf makes the store fail. It returns to Pebble's own goroutines, which
// from now on can change nothing on the disk; to a commit it must not return.
func (l pebbleLog) Fatalf(format string, args ...any) {
	err := l.health.fail(fmt.Errorf(format, args...))
	if strings.HasPrefix(format, fatalCommit) {
		panic(err)
	}
}

// A batch is a batch of Pebble that knows what it adds to the schedule.
type batch struct {
	*pebble.Batch
	scheduled [][]byte
}

func (s *Store) newBatch() *batch { return &batch{Batch: s.db.NewBatch()} }

// schedule adds an entry to the schedule.
func (b *batch) schedule(entry []byte) error {
	b.scheduled = append(b.scheduled, entry)
	return b.Set(entry, nil, nil)
}

// apply makes a batch durable. Concurrent calls share one fsync. If that
// fails, so has the store.
//
// A panic, which only a mistake in Pebble's own state can cause, leaves its
// locks held: it must not be closed properly any more.
func (s *Store) apply(b *batch) (err error) {
	if b.Empty() {
		return b.Close()
	}
	defer func() {
		if r := recover(); r != nil {
			s.wedged.Store(true)
			err = s.health.fail(fmt.Errorf("queue: %v", r))
		}
	}()
	if err := s.db.ApplyNoSyncWait(b.Batch, pebble.Sync); err != nil {
		return err // the batch itself is at fault, nothing was written
	}
	if err := b.SyncWait(); err != nil {
		return s.health.fail(err)
	}
	if err := s.health.err(); err != nil {
		return err // it may be that nothing of this reached the disk
	}
	for _, entry := range b.scheduled {
		s.cursors.add(entry)
	}
	return b.Close()
}

// get returns a copy of a record, nil if there is none.
func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, v...), closer.Close()
}

func (s *Store) has(key []byte) (bool, error) {
	_, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}
