package disk

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// openQueue opens the queue.
func (s *Store) openQueue() (damaged bool, err error) {
	s.db, err = s.openPebble()
	return false, err
}

// openPebble turns a panic into an error: that is how Pebble reports some
// failures to sync while it opens. It releases what it holds first.
func (s *Store) openPebble() (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("open the queue: %v", r)
		}
	}()
	q := &queueFS{guard: *s.files, space: s.space}
	db, err = pebble.Open(s.sub(queueName), s.queueOptions(q))
	q.opened.Store(err == nil)
	return db, err
}
