package disk

import (
	"github.com/cockroachdb/pebble/v2"
)

// openQueue opens the queue.
func (s *Store) openQueue() (damaged bool, err error) {
	s.db, err = pebble.Open(s.sub(queueName), s.queueOptions())
	return false, err
}
