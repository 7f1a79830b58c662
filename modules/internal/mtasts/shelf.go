package mtasts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/mtasts"
)

// Limits of what is kept in the store.
const (
	maxKept       = 20_000
	maxKeptOctets = 64 << 20
	// unusedFor is how long nobody has sent to a domain whose policy makes
	// room for another; one that is in use is fetched every day.
	unusedFor = 7 * 24 * time.Hour
	// maxRead bounds how many policies are read to find one that can go.
	maxRead = 50
)

const place = "mta-sts/"

// A shelf keeps policies in the store, each under its domain.
type shelf struct {
	values appliance.Values
	log    *zap.Logger

	mu     sync.Mutex
	kept   map[string]appliance.ValueInfo // nil: not yet listed
	octets int64
	full   time.Time // until then nothing can go
}

// key is where the policy of a domain is. Few names are too long, or strange,
// for a key.
func key(domain string) string {
	if appliance.CheckValueKey(domain) == nil {
		return place + domain
	}
	sum := sha256.Sum256([]byte(domain))
	return place + hex.EncodeToString(sum[:])
}

// load returns the policy of a domain, or nil. One that cannot be parsed is
// none: it is replaced by the next.
func (s *shelf) load(ctx context.Context, domain string) (*record, error) {
	if s.values == nil {
		return nil, nil
	}
	r, err := s.read(ctx, key(domain))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (r == nil || r.Domain != domain) {
		s.log.Warn("a stored MTA-STS policy is damaged and forgotten", zap.String("domain", domain))
		return nil, nil
	}
	return r, err
}

// read returns nil without an error for what is no record.
func (s *shelf) read(ctx context.Context, key string) (*record, error) {
	b, err := s.values.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	r := new(record)
	if json.Unmarshal(b, r) != nil || !r.Policy.Sound() {
		return nil, nil
	}
	return r, nil
}

// save keeps a policy and says whether it is now as safe as it has to be. A
// domain without a policy needs no place.
func (s *shelf) save(ctx context.Context, r *record) bool {
	if s.values == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.list(ctx)
	if err == nil && r.Policy.Mode == mtasts.None {
		err = s.remove(ctx, key(r.Domain))
	} else if err == nil {
		err = s.put(ctx, r)
	}
	if err != nil {
		s.log.Warn("an MTA-STS policy is kept in memory only", zap.String("domain", r.Domain), zap.Error(err))
	}
	return err == nil
}

// list finds out, once, what there is. s.mu is held.
func (s *shelf) list(ctx context.Context) error {
	if s.kept != nil {
		return nil
	}
	all, err := s.values.List(ctx, place)
	if err != nil {
		return err
	}
	s.kept = make(map[string]appliance.ValueInfo, len(all))
	for _, v := range all {
		s.kept[v.Key] = v
		s.octets += v.Size
	}
	return nil
}

var errFull = errors.New("there is no room for more policies, and all of them are in use")

// put writes a policy, after it has made room. s.mu is held.
func (s *shelf) put(ctx context.Context, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	k := key(r.Domain)
	for !s.fits(k, int64(len(b))) {
		if err := s.makeRoom(ctx); err != nil {
			return err
		}
	}
	if err := s.values.Put(ctx, k, b); err != nil {
		return err
	}
	s.octets += int64(len(b)) - s.kept[k].Size
	s.kept[k] = appliance.ValueInfo{Key: k, Size: int64(len(b)), Modified: r.Fetched}
	return nil
}

// fits says whether there is room for a value, which may take the place of an
// older one. s.mu is held.
func (s *shelf) fits(k string, size int64) bool {
	old, again := s.kept[k]
	return (again || len(s.kept) < maxKept) && (size <= old.Size || s.octets+size-old.Size <= maxKeptOctets)
}

// makeRoom removes the first policy that can go, of those that were fetched
// longest ago. s.mu is held.
func (s *shelf) makeRoom(ctx context.Context) error {
	now := time.Now()
	if now.Before(s.full) {
		return errFull
	}
	for _, k := range s.oldest() {
		r, err := s.read(ctx, k)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case r == nil || !r.inForce(now) || r.Policy.Mode != mtasts.Enforce:
			return s.remove(ctx, k)
		case now.Sub(r.Fetched) >= unusedFor:
			s.log.Warn("an MTA-STS policy that nobody has used for a week is forgotten to make room",
				zap.String("domain", r.Domain), zap.Time("fetched", r.Fetched), zap.Int("kept", len(s.kept)))
			return s.remove(ctx, k)
		}
	}
	s.full = now.Add(checkEvery)
	return errFull
}

// oldest returns the keys of the policies that were fetched longest ago.
func (s *shelf) oldest() []string {
	all := make([]appliance.ValueInfo, 0, len(s.kept))
	for _, v := range s.kept {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b appliance.ValueInfo) int {
		return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.Key, b.Key))
	})
	keys := make([]string, min(len(all), maxRead))
	for i := range keys {
		keys[i] = all[i].Key
	}
	return keys
}

// remove deletes a value. s.mu is held.
func (s *shelf) remove(ctx context.Context, k string) error {
	if err := s.values.Delete(ctx, k); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.octets -= s.kept[k].Size
	delete(s.kept, k)
	return nil
}
