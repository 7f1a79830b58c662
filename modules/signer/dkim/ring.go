package dkim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/localfile"
)

// A ring holds the keys that are there, by domain. It does not change.
type ring struct {
	keys  map[string][]signingKey // that sign
	lives map[string]*held        // of the domains whose keys are in the store
}

type signingKey struct {
	wanted
	path string // of the file; "" if the key is kept in the store
	key  *Key
}

func newRing() *ring {
	return &ring{keys: make(map[string][]signingKey), lives: make(map[string]*held)}
}

func (r *ring) add(k signingKey) { r.keys[k.domain] = append(r.keys[k.domain], k) }

// with returns a ring in which the stored keys of a domain are those of h. They
// sign in the order of the configuration; a key that it does not ask for signs
// until those that it asks for do.
func (r *ring) with(domain string, h *held, p *plan) *ring {
	next := &ring{keys: maps.Clone(r.keys), lives: maps.Clone(r.lives)}
	next.lives[domain], next.keys[domain] = h, nil
	current := h.life.in(appliance.KeyCurrent)
	order := func(k *lifeKey) int {
		i := slices.IndexFunc(p.keys[domain], func(w wanted) bool { return slotOf(w.algorithm) == k.Slot })
		if i < 0 {
			return len(p.keys[domain])
		}
		return i
	}
	slices.SortStableFunc(current, func(a, b *lifeKey) int { return order(a) - order(b) })
	for _, k := range current {
		next.add(signingKey{wanted{domain: domain, selector: k.Selector, algorithm: k.Algorithm}, "", h.keys[k.Selector]})
	}
	return next
}

const maxKeyFile = 64 << 10

// loadFiles reads the keys that key blocks and key_dir bring.
func (d *DKIM) loadFiles() (*ring, error) {
	r := newRing()
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
	d.rsa.provide(key, path)
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
		log.Warn("the stored key is not of the configured algorithm and stays in use; \"waxwing dkim rotate\" has a new one made",
			zap.String("configured", w.algorithm))
	}
}

// Start implements appliance.Starter: it reads the keys of the store, and
// makes those that are not there yet. Then it looks after them.
func (d *DKIM) Start(ctx context.Context) error {
	d.ring.Store(d.files)
	d.rsa.announce()
	for _, domain := range d.stored() {
		if err := d.open(ctx, domain); err != nil {
			return err
		}
	}
	running, stop := context.WithCancel(context.Background())
	d.stop = stop
	if len(d.stored()) > 0 {
		d.kept.Go(func() { d.keep(running) })
	}
	return nil
}

// Stop implements appliance.Starter. What is being asked or published is given
// up; it is gone on with after the next start.
func (d *DKIM) Stop(context.Context) error {
	if d.stop != nil {
		d.stop()
	}
	d.kept.Wait()
	return nil
}
