package appliance

import (
	"context"
	"errors"
	"time"
)

// queuedTime bounds a look through the queue.
const queuedTime = time.Minute

// queued is [Context.Queued].
func (a *Appliance) queued(ctx context.Context, before time.Time) (bool, error) {
	store := a.Store()
	if store == nil {
		return false, errors.New("there is no store")
	}
	ctx, cancel := context.WithTimeout(ctx, queuedTime)
	defer cancel()
	for _, err := range store.Query(ctx, Filter{Before: before, Limit: 1}) {
		return err == nil, err
	}
	return false, ctx.Err()
}
