// Package userbook keeps something about each user: in memory for those who
// ask, and in the store, where it is written rarely. A crash loses what
// happened since the last time.
//
// A record that cannot be read is named in the log and left out. The number of
// users is bounded; those beyond it share one record.
package userbook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Others is the name under which users beyond the limit share a record.
const Others = "(others)"

// MaxUsers is the limit.
const MaxUsers = 10_000

// A Book is a record of type T for each user. T is plain data, whose zero
// value is what is known of a new user. Set the exported fields, and Start it.
type Book[T any] struct {
	Values appliance.Values
	Log    *zap.Logger
	Every  time.Duration // how often what has changed is written
	// Idle says whether a record is worth nothing any more.
	Idle func(*T) bool

	mu    sync.Mutex
	pages map[string]*page[T]
	quit  chan struct{}
	done  sync.WaitGroup
}

type page[T any] struct {
	User    string `json:"user"`
	Record  T      `json:"record"`
	changed bool
	stored  bool
}

// place is where the records are.
const place = "users/"

// keyOf is the key of a record: names can be longer, and hold more, than keys may.
func keyOf(user string) string {
	sum := sha256.Sum256([]byte(user))
	return place + hex.EncodeToString(sum[:16])
}

// Start reads what is stored, and begins to write what changes.
func (b *Book[T]) Start(ctx context.Context) error {
	pages := make(map[string]*page[T])
	infos, err := b.Values.List(ctx, place)
	if err != nil {
		return fmt.Errorf("what is known of the users cannot be listed: %w", err)
	}
	for _, info := range infos {
		if err := b.load(ctx, pages, info.Key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.pages = pages
	b.mu.Unlock()
	b.quit = make(chan struct{})
	b.done.Go(b.run)
	return nil
}

func (b *Book[T]) load(ctx context.Context, pages map[string]*page[T], key string) error {
	text, err := b.Values.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the instance that this one replaces found it idle
	}
	if err != nil {
		return fmt.Errorf("value %s cannot be read: %w", key, err)
	}
	p := new(page[T])
	if err := json.Unmarshal(text, p); err != nil || keyOf(p.User) != key {
		b.Log.Warn("what is known of a user cannot be read and is left out", zap.String("key", key), zap.Error(err))
		return nil
	}
	p.stored = true
	if len(pages) < MaxUsers {
		pages[p.User] = p
	}
	return nil
}

// Update calls f with the record of a user, to look at it and to change it. f
// is short: others wait. What is changed before Start is forgotten.
func (b *Book[T]) Update(user string, f func(*T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(user)
	p.changed = true
	if b.pages != nil {
		b.pages[p.User] = p
	}
	f(&p.Record)
}

// Look calls f with the record of a user, to look at it.
func (b *Book[T]) Look(user string, f func(*T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.page(user).Record)
}

// page returns the page of a user, which is a new one if there is none. mu is held.
func (b *Book[T]) page(user string) *page[T] {
	p := b.pages[user]
	if p == nil && len(b.pages) >= MaxUsers {
		user = Others
		p = b.pages[user]
	}
	if p == nil {
		p = &page[T]{User: user}
	}
	return p
}

// run writes now and then.
func (b *Book[T]) run() {
	t := time.NewTicker(b.Every)
	defer t.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-t.C:
			if err := b.write(context.Background()); err != nil {
				b.Log.Warn("what is known of the users cannot be written; it is tried again", zap.Error(err))
			}
		}
	}
}

// Stop writes for the last time.
func (b *Book[T]) Stop(ctx context.Context) error {
	if b.quit == nil {
		return nil // never started
	}
	close(b.quit)
	b.done.Wait()
	b.quit = nil
	return b.write(ctx)
}

// write stores what has changed and removes what is idle. The first error ends
// it; what is left is tried the next time.
func (b *Book[T]) write(ctx context.Context) error {
	all := b.changes()
	for i, c := range all {
		var err error
		if c.text == nil {
			err = b.Values.Delete(ctx, keyOf(c.user))
		} else {
			err = b.Values.Put(ctx, keyOf(c.user), c.text)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.unwritten(all[i:])
			return err
		}
		b.written(c)
	}
	return nil
}

// unwritten notes that changes are not stored.
func (b *Book[T]) unwritten(all []change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range all {
		if p := b.pages[c.user]; p != nil {
			p.changed = true
		}
	}
}

// A change is a record to write, or to remove if text is nil.
type change struct {
	user string
	text []byte
}

func (b *Book[T]) changes() []change {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []change
	for user, p := range b.pages { // the order of writes shows nowhere
		switch {
		case b.Idle(&p.Record) && !p.stored:
			delete(b.pages, user)
		case b.Idle(&p.Record):
			all = append(all, change{user: user})
		case p.changed:
			if text, err := json.Marshal(p); err == nil { // plain data
				all = append(all, change{user, text})
			}
			p.changed = false
		}
	}
	return all
}

// written notes that a change is stored.
func (b *Book[T]) written(c change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pages[c.user]
	switch {
	case p == nil:
	case c.text != nil:
		p.stored = true
	case b.Idle(&p.Record):
		delete(b.pages, c.user)
	default:
		p.stored = false // used again in the meantime
	}
}
