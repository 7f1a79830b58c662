package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxInline is the largest body that goes into the queue itself, in
	// octets. Larger ones would make its log and its tables churn.
	maxInline = 256 << 10
	// maxDraftMemory is what all drafts together may keep in memory, in
	// octets. Beyond it they go to files however small they are.
	maxDraftMemory = 64 << 20
	// draftBuffer gathers what is written to a file, in octets.
	draftBuffer = 32 << 10
	// draftPrefix begins the names of files that no message owns yet.
	draftPrefix = ".draft-"
	// spaceCheck is how many octets a draft writes to its file between two
	// looks at the free space.
	spaceCheck = 256 << 10
)

// draftMemory counts what the drafts keep in memory.
type draftMemory struct {
	used  atomic.Int64
	files atomic.Uint64 // for names
}

// grow says whether a draft may keep n more octets.
func (m *draftMemory) grow(n int) bool {
	if m.used.Add(int64(n)) <= maxDraftMemory {
		return true
	}
	m.used.Add(int64(-n))
	return false
}

// A draft is a body that arrives: in memory while it is small, in a file
// afterwards. It is written and committed by one goroutine at a time.
type draft struct {
	s       *Store
	memory  []byte
	file    vfs.File      // open for writing
	w       *bufio.Writer // to file
	path    string        // of the file, "" if there is none
	size    int64
	sum     uint32
	checked int64 // size at the last look at the free space
	synced  bool  // the file is closed and durable, its name perhaps not
	over    bool  // committed or aborted
}

// Draft implements appliance.Store.
func (s *Store) Draft(ctx context.Context) (appliance.Draft, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.space.admit(); err != nil {
		return nil, err
	}
	return &draft{s: s}, nil
}

// Room implements appliance.RoomReporter.
func (s *Store) Room(ctx context.Context, size int64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.space.admitSize(uint64(max(size, 0)))
}

var errDraftOver = errors.New("draft is committed or aborted")

// Write implements io.Writer.
func (d *draft) Write(p []byte) (int, error) {
	if d.over || d.synced {
		return 0, errDraftOver
	}
	n, err := d.write(p)
	d.sum = crc32.Update(d.sum, castagnoli, p[:n])
	d.size += int64(n)
	return n, full(err)
}

func (d *draft) write(p []byte) (int, error) {
	if d.file == nil && len(d.memory)+len(p) <= maxInline && d.reserve(len(p)) {
		d.memory = append(d.memory, p...)
		return len(p), nil
	}
	if d.file == nil {
		if err := d.spill(); err != nil {
			return 0, err
		}
	}
	if end := d.size + int64(len(p)); end-d.checked >= spaceCheck {
		if err := d.s.space.admit(); err != nil {
			return 0, err
		}
		d.checked = end
	}
	return d.buffer(p)
}

// buffer writes in pieces that the writer has to copy: a vfs.File may change
// what it is handed, an io.Writer may not.
func (d *draft) buffer(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = d.w.Write(p[n:min(n+d.w.Size()/2, len(p))])
		n += k
	}
	return n, err
}

// reserve makes room for n octets in memory.
func (d *draft) reserve(n int) bool {
	if len(d.memory)+n <= cap(d.memory) {
		return true
	}
	room := min(max(2*cap(d.memory), len(d.memory)+n, 4<<10), maxInline)
	if !d.s.memory.grow(room - cap(d.memory)) {
		return false
	}
	grown := make([]byte, len(d.memory), room)
	copy(grown, d.memory)
	d.memory = grown
	return true
}

// spill moves the body to a file.
func (d *draft) spill() error {
	name := draftPrefix + strconv.FormatUint(d.s.memory.files.Add(1), 10)
	path := d.s.fs.PathJoin(d.s.sub(bodiesName), name)
	f, err := d.s.files.Create(path, "body")
	if err != nil {
		return err
	}
	d.file, d.path, d.w = f, path, bufio.NewWriterSize(f, draftBuffer)
	_, err = d.buffer(d.memory)
	d.forget()
	return err
}

// forget gives up the memory.
func (d *draft) forget() {
	d.s.memory.used.Add(int64(-cap(d.memory)))
	d.memory = nil
}

// Body implements appliance.Draft.
func (d *draft) Body() (appliance.Body, error) {
	if d.over {
		return nil, errDraftOver
	}
	if d.path == "" {
		return appliance.BytesBody(d.memory), nil
	}
	if err := d.w.Flush(); err != nil {
		return nil, full(err)
	}
	return draftBody{d}, nil
}

// Abort implements appliance.Draft.
func (d *draft) Abort() error {
	if d.over {
		return nil
	}
	d.over = true
	d.forget()
	if d.path == "" {
		return nil
	}
	var err error
	if d.file != nil {
		err = d.file.Close()
		d.file = nil
	}
	return errors.Join(err, ignoreMissing(d.s.files.Remove(d.path)))
}

// persist makes the file durable under the name of its message. The name
// itself is durable after the directory has been synced. It may be called
// again after an error.
func (d *draft) persist(id appliance.QueueID) error {
	if !d.synced {
		if d.file == nil {
			return errDraftOver
		}
		err := errors.Join(d.w.Flush(), d.file.Sync(), d.file.Close())
		d.file = nil
		if err != nil {
			return err
		}
		d.synced = true
	}
	to := d.s.bodyPath(id)
	if d.path == to {
		return nil
	}
	if err := d.s.files.Rename(d.path, to); err != nil {
		return err
	}
	d.path = to
	return nil
}

// committed hands the body over to the store.
func (d *draft) committed() {
	d.over = true
	d.forget()
}

// ownDraft takes what the caller of Commit says is a draft of ours.
func (s *Store) ownDraft(a appliance.Draft) (*draft, error) {
	d, ok := a.(*draft)
	if !ok || d.s != s {
		return nil, fmt.Errorf("a draft of another store (%T)", a)
	}
	if d.over {
		return nil, errDraftOver
	}
	return d, nil
}

// full turns the errors of a full disk into appliance.ErrFull.
func full(err error) error {
	if isFull(err) {
		return appliance.ErrFull.With(err)
	}
	return err
}
