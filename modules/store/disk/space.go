package disk

import (
	"errors"
	"io/fs"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	ballastName = "ballast"
	// ballastSize is what the queue can still grow by after the disk is full:
	// some 100,000 settled deliveries, each of which makes room for others.
	ballastSize = 32 << 20
	// lastSpace, in octets, is kept back when the ballast is gone: below it
	// not even work on queued mail goes on, because its outcome could not be
	// written down.
	lastSpace = 4 << 20
	// spaceInterval is the interval of a space.
	spaceInterval = 100 * time.Millisecond
)

// errNoSpace ends delivery when its outcome could not be recorded.
var errNoSpace = errors.New("no disk space left to record the outcome of a delivery")

// space watches the free space of the device.
//
//	roomy   at least reserve octets free            everything goes
//	tight   less, or a write found the disk full    Draft and Commit: ErrFull; delivery goes on
//	none    the ballast is used up as well          delivery waits, too
//
// It goes back to roomy by itself when there is space again.
type space struct {
	fs       *guard
	dir      string
	reserve  uint64
	interval time.Duration // how long a look at the free space holds
	log      *zap.Logger

	mu      sync.Mutex
	ballast bool      // the ballast is on the disk
	full    bool      // a write found the disk full and nothing has improved since
	tight   bool      // as the log was told last
	given   time.Time // when the ballast was given up
	looked  time.Time
	free    uint64
}

// available returns the free space, as it was at most interval ago.
// The caller holds mu.
func (s *space) available() (uint64, error) {
	if time.Since(s.looked) < s.interval {
		return s.free, nil
	}
	u, err := s.fs.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return math.MaxUint64, nil // nobody can know; a write that finds it full still says so
	}
	if err != nil {
		return 0, err
	}
	s.free, s.looked = u.AvailBytes, time.Now()
	return s.free, nil
}

// admit says whether there is room for new mail.
func (s *space) admit() error { return s.admitSize(0) }

// admitSize says whether there is room for new mail of so many octets.
func (s *space) admitSize(size uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.available()
	if err != nil {
		return err
	}
	if s.full && free >= s.reserve+2*ballastSize {
		s.full = false
		s.layBallast()
	}
	tight := s.full || free < s.reserve
	if tight != s.tight {
		s.tight = tight
		s.report(free)
	}
	if tight || size > free-s.reserve {
		return appliance.ErrFull
	}
	return nil
}

func (s *space) report(free uint64) {
	fields := []zap.Field{
		zap.String("directory", s.dir), zap.Uint64("free_bytes", free), zap.Uint64("min_free_disk", s.reserve),
	}
	if s.tight {
		s.log.Error("the disk is nearly full: mail is answered 452 until there is space, delivery goes on", fields...)
		return
	}
	s.log.Info("there is disk space again: mail is accepted", fields...)
}

// work says whether there is room to work on queued mail.
func (s *space) work() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full || s.ballast {
		return nil
	}
	free, err := s.available()
	if err == nil && free < lastSpace {
		err = errNoSpace
	}
	return err
}

// makeRoom is called when a write of the queue has found the disk full. It
// says whether to try again: the ballast has been given up just now, perhaps
// by another write.
func (s *space) makeRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = true
	if !s.ballast {
		return time.Since(s.given) < time.Second
	}
	s.ballast, s.given, s.looked = false, time.Now(), time.Time{}
	s.log.Error("the disk is full; the ballast is given up so that delivery can go on", zap.String("directory", s.dir))
	return s.fs.Remove(s.path()) == nil
}

func (s *space) path() string { return s.fs.PathJoin(s.dir, ballastName) }

// find is told of the ballast of the last process: a start may need it.
func (s *space) find() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.fs.Stat(s.path())
	s.ballast = err == nil
}

// open lays the ballast if there is space for it.
func (s *space) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free, err := s.available(); err == nil && free >= s.reserve+2*ballastSize {
		s.layBallast()
	}
}

// layBallast reserves ballastSize octets. A file system that cannot do so
// leaves us without ballast, and with the reserve alone.
func (s *space) layBallast() {
	f, err := s.fs.Create(s.path(), "ballast")
	if err == nil {
		err = errors.Join(f.Preallocate(0, ballastSize), f.Close())
	}
	if err != nil {
		s.log.Info("no ballast for a full disk", zap.Error(err))
		if err := s.fs.Remove(s.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cannot remove the ballast", zap.Error(err))
		}
		return
	}
	s.ballast = true
}
