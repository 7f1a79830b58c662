package dkim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// A ring holds the keys that are there, by domain.
type ring struct{ keys map[string][]signingKey }

type signingKey struct {
	wanted
	path string // of the file; "" if the key is kept in the store
	key  *Key
}

func (r *ring) add(k signingKey) { r.keys[k.domain] = append(r.keys[k.domain], k) }

const (
	maxKeyFile = 64 << 10
	lockTTL    = time.Minute // longer than it takes to make a key
)

// loadFiles reads the keys that key blocks and key_dir bring.
func (d *DKIM) loadFiles() (*ring, error) {
	r := &ring{keys: make(map[string][]signingKey)}
	for _, domain := range d.plan.domains {
		for _, w := range d.plan.keys[domain] {
			attr, path := "key", w.file
			if path == "" && d.KeyDir != "" {
				if w.selector != d.Selector {
					continue // key_dir has one key for each domain
				}
				var err error
				if path, err = d.findInDir(w); err != nil {
					return nil, &appliance.AttrError{Attr: "key_dir", Msg: err.Error()}
				}
				attr = "key_dir"
			}
			if path == "" {
				continue // in the store
			}
			key, err := d.readFile(path)
			if err != nil {
				return nil, &appliance.AttrError{Attr: attr, Msg: "the key of " + domain + " cannot be used", Err: err}
			}
			d.judge(key, w)
			r.add(signingKey{w, path, key})
		}
	}
	return r, d.checkCovered(r)
}

// findInDir returns the path of the key of a domain in key_dir.
func (d *DKIM) findInDir(w wanted) (string, error) {
	candidates := []string{
		filepath.Join(d.KeyDir, w.domain, w.selector+".private"),
		filepath.Join(d.KeyDir, w.domain+".private"),
		filepath.Join(d.KeyDir, w.selector+".private"),
	}
	for _, path := range candidates {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("holds no key for %s, neither %s; put the key there, or remove key_dir to have one made",
		w.domain, strings.Join(candidates, " nor "))
}

func (d *DKIM) readFile(path string) (*Key, error) {
	b, err := localfile.ReadSecret(d.log, path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return key, nil
}

// checkCovered objects to an algorithm that was asked for and that the keys a
// domain brings do not have: it would silently not be used.
func (d *DKIM) checkCovered(r *ring) error {
	wants := false
	for _, a := range d.Algorithms {
		wants = wants || a == Ed25519
	}
	for _, domain := range d.plan.domains {
		has := len(r.keys[domain]) == 0 // its keys are made
		for _, k := range r.keys[domain] {
			has = has || k.key.Algorithm() == Ed25519
		}
		if wants && !has {
			return &appliance.AttrError{Attr: "algorithms", Msg: fmt.Sprintf(
				"asks for ed25519, but %s brings its own keys and none of them is; add a key block with one, or remove ed25519", domain)}
		}
	}
	return nil
}

// judge warns of keys that receivers or the configuration would not expect.
func (d *DKIM) judge(key *Key, w wanted) {
	log := d.log.With(zap.String("domain", w.domain), zap.String("selector", w.selector), zap.String("algorithm", key.Algorithm()))
	if key.weak() {
		log.Warn("this key is short; large receivers want 2048 bits")
	}
	if w.algorithm != "" && w.file == "" && d.KeyDir == "" && key.Algorithm() != w.algorithm {
		log.Warn("the stored key is not of the configured algorithm and stays in use; choose another selector to have a new key made",
			zap.String("configured", w.algorithm))
	}
}

// Start implements appliance.Starter: it reads the keys of the store, and
// makes those that are not there yet.
func (d *DKIM) Start(ctx context.Context) error { return d.loadStored(ctx, d.make) }

// Stop implements appliance.Starter. There is nothing to stop.
func (d *DKIM) Stop(context.Context) error { return nil }

// Load reads the keys of the store and makes none: it is Start for commands
// that only look. Keys that are not there yet are missing from Keys.
func (d *DKIM) Load(ctx context.Context) error {
	return d.loadStored(ctx, func(context.Context, wanted) (*Key, error) { return nil, nil })
}

// loadStored reads the keys of the store; missing returns one that is not
// there.
func (d *DKIM) loadStored(ctx context.Context, missing func(context.Context, wanted) (*Key, error)) error {
	stored := &ring{keys: make(map[string][]signingKey)}
	for _, domain := range d.plan.domains {
		if keys := d.ring.keys[domain]; len(keys) > 0 && keys[0].path != "" {
			stored.keys[domain] = keys
			continue
		}
		for _, w := range d.plan.keys[domain] {
			key, err := d.get(ctx, w)
			if errors.Is(err, fs.ErrNotExist) {
				key, err = missing(ctx, w)
			}
			if err != nil {
				return err
			}
			if key != nil {
				d.judge(key, w)
				stored.add(signingKey{w, "", key})
			}
		}
	}
	d.ring = stored
	return nil
}

// valueKey is where the store keeps a key.
func (w wanted) valueKey() string { return w.domain + "/" + w.selector + ".private" }

// get reads a key of the store. The error is fs.ErrNotExist if it has none; a
// key that it has and that cannot be used is another error: receivers know
// its public half, so a new one would not do.
func (d *DKIM) get(ctx context.Context, w wanted) (*Key, error) {
	b, err := d.values.Get(ctx, w.valueKey())
	if err != nil {
		return nil, fmt.Errorf("DKIM key %s: %w", w.valueKey(), err)
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("DKIM key %s in the store %w; restore it from a backup, or choose another selector to have a new key made", w.valueKey(), err)
	}
	return key, nil
}

// make makes a key and keeps it, unless another node has done so meanwhile.
func (d *DKIM) make(ctx context.Context, w wanted) (key *Key, err error) {
	unlock, err := d.values.Lock(ctx, "keys", lockTTL)
	if err != nil {
		return nil, fmt.Errorf("lock on the DKIM keys: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if key, err = d.get(ctx, w); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = Generate(w.algorithm); err != nil {
		return nil, err
	}
	err = d.values.Swap(ctx, w.valueKey(), nil, key.PEM())
	if errors.Is(err, appliance.ErrConflict) { // the lock ran out
		return d.get(ctx, w)
	}
	if err != nil {
		return nil, fmt.Errorf("keep DKIM key %s: %w", w.valueKey(), err)
	}
	d.log.Info("made a DKIM key; its record must be published",
		zap.String("record", key.Record(w.domain, w.selector).Name), zap.String("algorithm", key.Algorithm()))
	return key, nil
}
