package mx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

const (
	// brokenFor is how long an address whose handshake failed is spared it. It
	// saves each message a connection; who can break one handshake
	// wins an hour, and could strip STARTTLS without that.
	brokenFor = time.Hour
	// genuineFor is how long a valid certificate is remembered after it was
	// last seen.
	genuineFor = 30 * 24 * time.Hour
	// learnEvery is how often it is noted, and how often its absence is told.
	learnEvery = 24 * time.Hour
	// saveEvery is how much of the memory a crash can cost.
	saveEvery = 5 * time.Minute
	// maxRemembered bounds each kind of fact.
	maxRemembered = 10_000
)

// memoryKey is where the memory is in the store.
const memoryKey = "tls-memory"

// A memory is what opportunistic TLS learns of the world: which addresses
// cannot do TLS although they say so, and which hosts had a valid certificate
// that nobody had asked for.
type memory struct {
	mu      sync.Mutex
	facts   facts
	told    map[string]time.Time // of hosts: when the administrator was last told
	changed bool
}

// facts is the memory as it is stored.
type facts struct {
	Broken  map[string]time.Time `json:"broken"`  // by address: until when
	Genuine map[string]time.Time `json:"genuine"` // by host: when last seen
}

func newMemory() *memory {
	return &memory{facts: facts{Broken: map[string]time.Time{}, Genuine: map[string]time.Time{}}, told: map[string]time.Time{}}
}

// learn takes in a report. warn says that the administrator should be told of a
// downgrade, which is once a day for each host.
func (y *memory) learn(r smtpconn.TLSReport, now time.Time) (warn bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	host := r.Target.Name
	if r.Established {
		valid := r.Err == nil && r.Target.TLS != smtpconn.TLSDANE
		if age := now.Sub(y.facts.Genuine[host]); valid && (age >= learnEvery || age < 0) {
			y.set(y.facts.Genuine, host, now)
		}
		return false
	}
	if r.Target.TLS != smtpconn.TLSOpportunistic {
		return false // no mail goes in plain text
	}
	if !errors.Is(r.Err, smtpconn.ErrNoTLS) {
		y.set(y.facts.Broken, r.Target.Addr.String(), now.Add(brokenFor))
	}
	if !y.genuine(host, now) || now.Sub(y.told[host]) < learnEvery {
		return false
	}
	y.set(y.told, host, now)
	return true
}

// set is held by mu.
func (y *memory) set(in map[string]time.Time, key string, at time.Time) {
	in[key] = at.Round(0)
	prune(in)
	y.changed = true
}

// prune keeps a map within its bound: the oldest tenth goes.
func prune(in map[string]time.Time) {
	if len(in) <= maxRemembered {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(in), func(a, b string) int { return cmp.Or(in[a].Compare(in[b]), strings.Compare(a, b)) })
	for _, k := range oldest[:len(oldest)-maxRemembered*9/10] {
		delete(in, k)
	}
}

// broken says that a handshake with an address need not be tried now. A time
// too far ahead is that of a clock that has been put right.
func (y *memory) broken(peer string, now time.Time) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	left := y.facts.Broken[peer].Sub(now)
	return left > 0 && left <= brokenFor
}

// wasGenuine says that a host had a valid certificate.
func (y *memory) wasGenuine(host string, now time.Time) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.genuine(host, now)
}

func (y *memory) genuine(host string, now time.Time) bool {
	return now.Sub(y.facts.Genuine[host]) < genuineFor
}

// load reads what has been saved. Damage costs the memory, and not the start.
func (y *memory) load(ctx context.Context, v appliance.Values) error {
	b, err := v.Get(ctx, memoryKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f facts
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	maps.Copy(y.facts.Broken, f.Broken)
	maps.Copy(y.facts.Genuine, f.Genuine)
	prune(y.facts.Broken)
	prune(y.facts.Genuine)
	return nil
}

// save writes the memory if there is news. What has expired is left out.
func (y *memory) save(ctx context.Context, v appliance.Values, now time.Time) error {
	y.mu.Lock()
	if !y.changed {
		y.mu.Unlock()
		return nil
	}
	maps.DeleteFunc(y.facts.Broken, func(_ string, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(y.facts.Genuine, func(_ string, seen time.Time) bool { return now.Sub(seen) >= genuineFor })
	b, err := json.Marshal(y.facts)
	y.changed = false
	y.mu.Unlock()
	if err == nil {
		err = v.Put(ctx, memoryKey, b)
	}
	if err != nil {
		y.mu.Lock()
		y.changed = true
		y.mu.Unlock()
	}
	return err
}
