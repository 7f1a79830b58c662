package memory

import (
	"context"
	"errors"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A draft is a body that arrives.
type draft struct {
	s    *Store
	body appliance.BytesBody
	over bool // committed or aborted
}

// Draft implements appliance.Store.
func (s *Store) Draft(ctx context.Context) (appliance.Draft, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.used >= int64(s.MaxSize) {
		return nil, appliance.ErrFull
	}
	return &draft{s: s}, nil
}

var errDraftOver = errors.New("draft is committed or aborted")

// Write implements io.Writer.
func (d *draft) Write(p []byte) (int, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.over {
		return 0, errDraftOver
	}
	if d.s.used+int64(len(p)) > int64(d.s.MaxSize) {
		return 0, appliance.ErrFull
	}
	d.s.used += int64(len(p))
	d.body = append(d.body, p...)
	return len(p), nil
}

// Body implements appliance.Draft.
func (d *draft) Body() (appliance.Body, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.over {
		return nil, errDraftOver
	}
	return d.body, nil
}

// Abort implements appliance.Draft.
func (d *draft) Abort() error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.release()
	return nil
}

// release gives up the room of a draft that is not over. The store is locked.
func (d *draft) release() {
	if d.over {
		return
	}
	d.over = true
	d.s.used -= int64(len(d.body))
	d.body = nil
}
