package dkim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	lockTTL   = 2 * time.Minute // longer than it takes to make a key, and than attendTime
	storeTime = 10 * time.Second
)

// valueKey is where the store keeps a key.
func valueKey(domain, selector string) string { return domain + "/" + selector + ".private" }

// get reads a key of the store. The error is fs.ErrNotExist if it has none; a
// key that it has and that cannot be used is another error: receivers know
// its public half, so a new one would not do.
func (d *DKIM) get(ctx context.Context, domain, selector string) (*Key, error) {
	name := valueKey(domain, selector)
	b, err := d.values.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("DKIM key %s: %w", name, err)
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("DKIM key %s in the store %w; restore it from a backup", name, err)
	}
	d.rsa.provide(key, name)
	return key, nil
}

// make makes a key and keeps it, unless there is one already. It is called
// with the lock of the domain.
func (d *DKIM) make(ctx context.Context, w wanted) (*Key, error) {
	key, err := d.get(ctx, w.domain, w.selector)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = Generate(w.algorithm); err != nil {
		return nil, err
	}
	err = d.values.Swap(ctx, valueKey(w.domain, w.selector), nil, key.PEM())
	if errors.Is(err, appliance.ErrConflict) { // the lock ran out
		return d.get(ctx, w.domain, w.selector)
	}
	if err != nil {
		return nil, fmt.Errorf("keep DKIM key %s: %w", valueKey(w.domain, w.selector), err)
	}
	d.rsa.provide(key, valueKey(w.domain, w.selector))
	return key, nil
}

// lock takes the lock of a domain: whoever holds it moves its keys.
func (d *DKIM) lock(ctx context.Context, domain string) (unlock func() error, err error) {
	unlock, err = d.values.Lock(ctx, domain+"/keys", lockTTL)
	if err != nil {
		return nil, fmt.Errorf("lock on the DKIM keys of %s: %w", domain, err)
	}
	return unlock, nil
}

// A held is what is known of the stored keys of a domain. It does not change.
type held struct {
	life *life
	text []byte          // of life, as the store has it
	keys map[string]*Key // by selector; those that are not retired
}

// recall reads the life of a domain and the keys that it lists. Keys of was,
// which may be nil, are not read again. The error is fs.ErrNotExist if the
// domain has no life yet.
func (d *DKIM) recall(ctx context.Context, domain string, was *held) (*held, error) {
	text, err := d.values.Get(ctx, lifeName(domain))
	if err != nil {
		return nil, fmt.Errorf("states of the DKIM keys of %s: %w", domain, err)
	}
	if was != nil && string(was.text) == string(text) {
		return was, nil
	}
	l, err := parseLife(domain, text)
	if err != nil {
		return nil, err
	}
	h := &held{life: l, text: text, keys: make(map[string]*Key)}
	for _, k := range l.Keys {
		if k.State == appliance.KeyRetired {
			continue
		}
		if was != nil && was.keys[k.Selector] != nil {
			h.keys[k.Selector] = was.keys[k.Selector]
			continue
		}
		if h.keys[k.Selector], err = d.get(ctx, domain, k.Selector); err != nil {
			return nil, notMissing(err)
		}
	}
	return h, nil
}

// notMissing is an error about a key that is not there and ought to be: it
// must not be taken for a domain that has none yet.
func notMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it has been made, and its record may be published; restore it from a backup", plain{err})
	}
	return err
}

// plain is an error that is nothing but its text.
type plain struct{ err error }

func (p plain) Error() string { return p.err.Error() }

// begin is the first start of a domain, or the first one with a version that
// knows of lives: the keys that are configured are current. Those that are not
// there are made.
func (d *DKIM) begin(ctx context.Context, domain string) (h *held, err error) {
	unlock, err := d.lock(ctx, domain)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if h, err := d.recall(ctx, domain, nil); !errors.Is(err, fs.ErrNotExist) {
		return h, err // another node has begun
	}
	since, err := d.modified(ctx, domain)
	if err != nil {
		return nil, err
	}
	if err := d.bereft(domain, since); err != nil {
		return nil, err
	}
	h = &held{life: &life{Version: lifeVersion}, keys: make(map[string]*Key)}
	for _, w := range d.plan.keys[domain] {
		key, err := d.make(ctx, w)
		if err != nil {
			return nil, err
		}
		k := &lifeKey{
			Selector: w.selector, Slot: slotOf(w.algorithm), Series: w.selector, Algorithm: key.Algorithm(),
			State: appliance.KeyCurrent, Since: time.Now().UTC().Truncate(time.Second),
		}
		if at, was := since[valueKey(domain, w.selector)]; !was {
			d.log.Info("made a DKIM key; its record must be published",
				zap.String("record", recordName(domain, w.selector)), zap.String("algorithm", key.Algorithm()))
		} else if !at.IsZero() && at.Before(k.Since) {
			k.Since = at.UTC().Truncate(time.Second)
		}
		h.life.Keys, h.keys[w.selector] = append(h.life.Keys, k), key
	}
	return d.save(ctx, domain, h)
}

// dated is what is behind the selector of the configuration in the name of a
// key that has been rotated.
var dated = regexp.MustCompile(`^20[0-9]{6}(-[0-9]+)?\.private$`)

// bereft objects to stored keys that only a life can have made, where there is
// none: it has been lost, and with it which of them signs.
func (d *DKIM) bereft(domain string, stored map[string]time.Time) error {
	for _, w := range d.plan.keys[domain] {
		for name := range stored {
			if rest, ok := strings.CutPrefix(name, domain+"/"+w.selector+"-"); ok && dated.MatchString(rest) {
				return fmt.Errorf("the states of the DKIM keys of %s, %s in the store, are missing beside keys that have been rotated; restore that value from the backup that the keys are from",
					domain, lifeName(domain))
			}
		}
	}
	return nil
}

// modified is when the keys of a domain were stored.
func (d *DKIM) modified(ctx context.Context, domain string) (map[string]time.Time, error) {
	list, err := d.values.List(ctx, domain+"/")
	if err != nil {
		return nil, fmt.Errorf("DKIM keys of %s: %w", domain, err)
	}
	all := make(map[string]time.Time, len(list))
	for _, v := range list {
		all[v.Key] = v.Modified
	}
	return all, nil
}

// save makes the life of h durable if the store still has the text of h, and
// returns what to go on with: what another node has saved, if it was faster.
func (d *DKIM) save(ctx context.Context, domain string, h *held) (*held, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	text := h.life.marshal()
	err := d.values.Swap(ctx, lifeName(domain), h.text, text)
	if errors.Is(err, appliance.ErrConflict) {
		return d.recall(ctx, domain, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the states of the DKIM keys of %s: %w", domain, err)
	}
	h.text = text
	return h, nil
}
