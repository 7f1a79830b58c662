package disk

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// errRepairing is temporary: what asks again finds the store repaired.
var errRepairing = errors.New("the queue is being repaired")

// noteDamage is called, perhaps by Pebble with locks held, when a file of the
// queue turns out to be damaged while the store runs. From now on calls are
// turned away until repair is done.
func (s *Store) noteDamage(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repairing {
		return
	}
	s.repairing = true
	s.damage <- cause // there is room for one
}

// repairs waits for damage until the store is stopped.
func (s *Store) repairs() {
	for {
		select {
		case <-s.life.Done():
			return
		case cause := <-s.damage:
			if err := s.repair(cause); err != nil {
				_ = s.health.fail(err)
			}
		}
	}
}

// repair replaces a damaged queue while nobody is inside. Leases go on, and so
// do the readers of bodies.
func (s *Store) repair(cause error) error {
	if !s.drain(s.life) {
		return nil // Stop goes on from here, and the next start repairs
	}
	if err := s.db.Close(); err != nil {
		s.log.Warn("closing the damaged queue", zap.Error(err))
	}
	s.db = nil
	s.cursors.clear()
	err := s.rescue(cause)
	if err == nil {
		err = s.sweepBodies(sweep{damaged: true, running: true})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repairing = false
	s.idle.Broadcast()
	return err
}

func (s *Store) dataCorruption(i pebble.DataCorruptionInfo) {
	s.noteDamage(errors.New(i.String()))
}
