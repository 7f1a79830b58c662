package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/namedlock"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindStore,
		Name:    "disk",
		Summary: "keeps queue, keys and certificates in a directory of this machine",
		Example: `store "disk" "main" {
  path = "/data"
}
`,
		New: func() appliance.Module { return New() },
	})
}

// Store is a store in a directory.
type Store struct {
	// The directory for queue, keys and certificates: the one to keep and to
	// back up. Only one server can use it at a time. It must belong to the
	// user that waxwing runs as, or be a volume that root hands to that user,
	// and must not be writable for everybody. Default: data_dir.
	Path string `hcl:"path,optional"`

	fs      vfs.FS // what tests exchange; nil is the file system of the machine
	now     func() time.Time
	log     *zap.Logger
	dir     string
	reserve uint64

	health      *health
	space       *space
	files       *guard
	lock        *dirLock
	db          *pebble.DB
	wedged      atomic.Bool // Pebble holds a lock for ever
	quarantined prometheus.Counter

	leases  leases
	cursors cursors
	ids     idLocks
	memory  draftMemory
	fresh   fresh
	values  values

	life   context.Context // until Stop
	end    context.CancelFunc
	damage chan error // for repairs
	runs   sync.WaitGroup

	keep sync.RWMutex // held for reading by who takes a body away

	mu        sync.Mutex
	open      bool
	holding   bool // there is a snapshot
	repairing bool
	inside    int
	idle      *sync.Cond // inside became 0, or repairing false
}

var (
	_ appliance.Store          = (*Store)(nil)
	_ appliance.Validator      = (*Store)(nil)
	_ appliance.HealthReporter = (*Store)(nil)
)

// New returns a Store with the defaults.
func New() *Store {
	s := &Store{now: time.Now}
	s.idle = sync.NewCond(&s.mu)
	s.values = values{s: s, locks: new(namedlock.Set), durable: make(map[string]bool)}
	return s
}

// Validate implements appliance.Validator.
func (s *Store) Validate() error {
	if s.Path != "" && !filepath.IsAbs(s.Path) {
		return &appliance.AttrError{Attr: "path", Msg: fmt.Sprintf(`is %q; write an absolute path, such as "/data"`, s.Path)}
	}
	return nil
}

// Provision implements appliance.Module. It touches nothing: another server
// may be using the directory.
func (s *Store) Provision(ctx *appliance.Context) error {
	s.dir, s.log, s.reserve = s.Path, ctx.Log, uint64(ctx.Limits.MinFreeDisk)
	if s.dir == "" {
		s.dir = ctx.DataDir
	}
	if s.dir == "" {
		return &appliance.AttrError{Attr: "path", Msg: `is not set, nor is data_dir; write a directory, such as "/data"`}
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	failed := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waxwing_store_failed", Help: "1 after the disk has failed: nothing is accepted or delivered until a restart.",
	})
	s.quarantined = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "waxwing_store_quarantined_total", Help: "Messages set aside because what is stored of them is damaged.",
	})
	if ctx.Metrics != nil {
		ctx.Metrics.MustRegister(failed, s.quarantined)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.damage = make(chan error, 1)
	s.health = &health{log: s.log, gauge: failed, closing: s.life.Done(), pauseTime: pauseTime}
	s.files = &guard{FS: s.fs, health: s.health}
	s.space = &space{fs: s.files, dir: s.dir, reserve: s.reserve, interval: spaceInterval, log: s.log}
	return nil
}

// Start implements appliance.Starter: it takes the directory and opens it.
func (s *Store) Start(context.Context) error {
	if err := s.start(); err != nil {
		return fmt.Errorf("directory %s: %w", s.dir, errors.Join(adviseDisk(err), s.close()))
	}
	s.runs.Go(s.repairs)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	return nil
}

func (s *Store) start() (err error) {
	if s.lock, err = s.lockDirectory(); err != nil {
		return err
	}
	if restoring, err := findDir(s.fs, s.sub(restoringName)); err != nil {
		return err
	} else if restoring {
		return errRestoring
	}
	if snapshot, err := findDir(s.fs, s.sub(snapshotName)); err != nil {
		return err
	} else if snapshot {
		if err := s.files.RemoveAll(s.sub(snapshotName)); err != nil {
			return err
		}
	}
	for _, name := range []string{bodiesName, valuesName, quarantineName} {
		if err := s.makeDirectory(s.sub(name)); err != nil {
			return err
		}
	}
	if err := s.writeFormat(); err != nil {
		return err
	}
	s.space.find()
	damaged, err := s.openQueue()
	if err != nil {
		return err
	}
	if err := s.sweepBodies(sweep{damaged: damaged}); err != nil {
		return err
	}
	if err := s.values.sweep(); err != nil {
		return err
	}
	s.space.open()
	return nil
}

// Stop implements appliance.Starter. Calls that are under way are waited for
// until ctx ends; a queue that is still in use then is left as a crash would
// leave it, which loses nothing.
func (s *Store) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.open = false
	s.mu.Unlock()
	s.end()
	s.runs.Wait()
	if !s.drain(ctx) {
		return errors.Join(fmt.Errorf("store in use: %w", ctx.Err()), s.lock.release())
	}
	return s.close()
}

// drain waits until nobody is inside or ctx ends.
func (s *Store) drain(ctx context.Context) bool {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inside > 0 && ctx.Err() == nil {
		s.idle.Wait()
	}
	return s.inside == 0
}

func (s *Store) close() (err error) {
	if s.db != nil && !s.wedged.Load() {
		err = s.db.Close()
		s.db = nil
	}
	if s.health.err() != nil {
		err = nil // it has been said
	}
	s.leases.clear()
	s.cursors.clear()
	return errors.Join(err, s.lock.release())
}

// enter begins a call and is paired with leave.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return errClosed
	}
	if s.repairing {
		return errRepairing
	}
	if err := s.health.err(); err != nil {
		return err
	}
	s.inside++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside--; s.inside == 0 {
		s.idle.Broadcast()
	}
}

var errClosed = errors.New("the store is closed")

// Healthy implements appliance.HealthReporter.
func (s *Store) Healthy() error { return s.health.err() }

// Values implements appliance.Store.
func (s *Store) Values() appliance.Values { return &s.values }

func (s *Store) sub(name string) string { return s.fs.PathJoin(s.dir, name) }
