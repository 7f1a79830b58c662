package dkim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A life is what is known of the keys that the store holds for one domain. It
// is kept beside them, as "DOMAIN/keys.json". The states of a key, and what
// moves it on:
//
//	next     made; its record waits to be shown by every name server, in
//	         leastLooks looks one after the other and for settleTime, which is
//	         how long caches may remember that there was no such record
//	current  signs. One that is published nowhere is said, and goes on
//	old      signs no more; its record stays until the queue has drained of
//	         what it has signed, and the grace period is over
//	retired  its private key is deleted; its record is to be deleted, until no
//	         name server shows it (gone)
//
// A step is taken by whoever holds the lock of the domain, and is durable
// before anybody signs differently: a crash between two steps repeats the
// second. A key is stored before the life that lists it, and deleted after the
// life that calls it retired.
type life struct {
	Version int        `json:"version"`
	Keys    []*lifeKey `json:"keys"` // oldest first
}

// lifeVersion is the format that this version writes and reads.
const lifeVersion = 1

// A lifeKey is one key of a life.
type lifeKey struct {
	Selector  string             `json:"selector"`
	Slot      string             `json:"slot"`      // one key of each slot signs: rsa, ed25519
	Series    string             `json:"series"`    // the selector of the configuration that it was made for
	Algorithm string             `json:"algorithm"` // rsa2048
	State     appliance.KeyState `json:"state"`
	Since     time.Time          `json:"since"` // of the state

	Checked   time.Time `json:"checked,omitzero"`   // when name servers or the queue were last asked about it
	Shown     time.Time `json:"shown,omitzero"`     // since when all name servers have shown it
	Looks     int       `json:"looks,omitempty"`    // how many looks in a row have found that
	Missing   time.Time `json:"missing,omitzero"`   // since when one that all have shown is missing at some
	Published time.Time `json:"published,omitzero"` // when it was handed to the dns block, or seen without
	Record    string    `json:"record,omitempty"`   // what was published, of a retired key
	Gone      bool      `json:"gone,omitempty"`     // no name server shows the record of a retired key
	Waits     string    `json:"waits,omitempty"`    // what for, in words
}

// Times in the life of a key.
const (
	leastLooks = 3
	settleTime = time.Hour // RFC 2308, section 5: how long to cache a negative answer; one to three hours are usual, most zones have less
	leastPause = 5 * time.Minute
	mostPause  = time.Hour
	settlePace = 30 * time.Minute
	retirePace = 6 * time.Hour
	// Another node may sign with the old key until it has looked, and a message
	// is in the queue a little after it was signed.
	overlapTime = 15 * time.Minute
)

// Limits of a life.
const (
	maxLife    = 256 << 10 // octets of its value
	maxAlive   = 16        // keys of a domain that are not gone
	maxRetired = 200       // keys that are remembered for their selectors
)

// slotOf is the slot of an algorithm.
func slotOf(algorithm string) string {
	if strings.HasPrefix(algorithm, "rsa") {
		return "rsa"
	}
	return algorithm
}

// lifeName is where the store keeps the life of a domain.
func lifeName(domain string) string { return domain + "/keys.json" }

func parseLife(domain string, text []byte) (*life, error) {
	l := new(life)
	err := errors.New("is too large")
	if len(text) <= maxLife {
		err = json.Unmarshal(text, l)
	}
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return nil, fmt.Errorf("the states of the DKIM keys of %s, %s in the store, cannot be used: %w; restore that value from a backup: new keys are not made in place of keys that are published",
			domain, lifeName(domain), err)
	}
	return l, nil
}

// check objects to what this version would not have written.
func (l *life) check() error {
	if l.Version != lifeVersion {
		return fmt.Errorf("its version is %d, and this program knows %d", l.Version, lifeVersion)
	}
	current := make(map[string]bool)
	for i, k := range l.Keys {
		if k == nil || checkSelector(k.Selector) != nil || k.Slot == "" {
			return fmt.Errorf("key %d has no proper selector or slot", i+1)
		}
		if !slices.Contains(appliance.KeyStates, k.State) {
			return fmt.Errorf("key %s is in the unknown state %.20q", k.Selector, k.State)
		}
		if l.find(k.Selector) != k {
			return fmt.Errorf("key %s is there twice", k.Selector)
		}
		if k.State == appliance.KeyCurrent && current[k.Slot] {
			return fmt.Errorf("two %s keys are current", k.Slot)
		}
		current[k.Slot] = current[k.Slot] || k.State == appliance.KeyCurrent
	}
	return nil
}

func (l *life) marshal() []byte {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		panic("dkim: " + err.Error()) // it is strings, numbers and times
	}
	return append(text, '\n')
}

// clone is a copy that can be changed.
func (l *life) clone() *life {
	c := &life{Version: l.Version}
	for _, k := range l.Keys {
		k := *k
		c.Keys = append(c.Keys, &k)
	}
	return c
}

// find returns the key with a selector, or nil.
func (l *life) find(selector string) *lifeKey {
	for _, k := range l.Keys {
		if k != nil && strings.EqualFold(k.Selector, selector) {
			return k
		}
	}
	return nil
}

// in returns the keys in a state.
func (l *life) in(s appliance.KeyState) []*lifeKey {
	var all []*lifeKey
	for _, k := range l.Keys {
		if k.State == s {
			all = append(all, k)
		}
	}
	return all
}

// of returns the key of a slot that is in a state, or nil.
func (l *life) of(slot string, s appliance.KeyState) *lifeKey {
	for _, k := range l.in(s) {
		if k.Slot == slot {
			return k
		}
	}
	return nil
}

// alive says whether anything can still be done about the key.
func (k *lifeKey) alive() bool { return !k.Gone }

// enter moves a key to a state.
func (k *lifeKey) enter(s appliance.KeyState, now time.Time) {
	k.State, k.Since, k.Checked, k.Waits = s, now, time.Time{}, ""
}

// promote has a key sign in place of the current one of its slot.
func (l *life) promote(k *lifeKey, now time.Time) {
	if was := l.of(k.Slot, appliance.KeyCurrent); was != nil {
		was.enter(appliance.KeyOld, now)
	}
	k.enter(appliance.KeyCurrent, now)
	k.Checked = now
}

// settled says whether a next key has been shown often and long enough. A
// clock that was set back makes that later, not sooner.
func (k *lifeKey) settled(now time.Time) bool {
	return k.Looks >= leastLooks && now.Sub(k.Shown) >= settleTime
}

// seen remembers what a look at a next or current key has found.
func (k *lifeKey) seen(everywhere bool, now time.Time) {
	switch {
	case !everywhere:
		k.Looks, k.Shown = 0, time.Time{}
	case k.Looks == 0 || k.Shown.After(now):
		k.Looks, k.Shown = 1, now
	default:
		k.Looks++
	}
}

// due says whether it is time to look after a key. The longer something is
// waited for, the longer are the pauses.
func (k *lifeKey) due(now time.Time) bool {
	if now.Before(k.Checked) {
		return true // the clock was set back
	}
	pause := mostPause
	switch k.State {
	case appliance.KeyNext:
		pause = settlePace
		if k.Looks == 0 {
			pause = grown(now.Sub(k.Since), mostPause)
		}
	case appliance.KeyRetired:
		if k.Gone {
			return false
		}
		pause = grown(now.Sub(k.Since), retirePace)
	}
	return k.Checked.IsZero() || now.Sub(k.Checked) >= pause
}

// grown is a tenth of a time, within the bounds of pauses.
func grown(age, most time.Duration) time.Duration { return min(most, max(leastPause, age/10)) }

// prune forgets the oldest of too many keys that are gone. Selectors have the
// date in them, so that those of long ago do not come again.
func (l *life) prune() {
	over := -maxRetired
	for _, k := range l.Keys {
		if !k.alive() {
			over++
		}
	}
	l.Keys = slices.DeleteFunc(l.Keys, func(k *lifeKey) bool {
		drop := over > 0 && !k.alive()
		if drop {
			over--
		}
		return drop
	})
}

// selector is a name that no key of the domain has had: that of the
// configuration where exact is allowed, or else with the day behind it.
func (l *life) selector(w wanted, exact bool, now time.Time) (string, error) {
	name := w.selector
	for n := 1; !exact || l.find(name) != nil; n++ {
		name, exact = w.selector+"-"+now.UTC().Format("20060102"), true
		if n > 1 {
			name += fmt.Sprintf("-%d", n)
		}
	}
	if err := checkSelector(name); err != nil {
		return "", fmt.Errorf("the next key of %s cannot be named: %w", w.domain, err)
	}
	return name, checkRecordName(w.domain, name)
}
