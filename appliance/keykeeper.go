package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// A KeyKeeper is a signer whose keys have a life: they are made, published,
// used, and given up. It is asked after Start.
type KeyKeeper interface {
	Module
	// SigningKeys lists the keys, by domain in the order of the configuration,
	// without those that nothing is left of.
	SigningKeys() []SigningKey
	// RotateKeys makes new keys for a domain, or goes on with those that wait
	// already. The error is fs.ErrNotExist if it has no such domain, and
	// errors.ErrUnsupported if the domain brings its keys.
	RotateKeys(ctx context.Context, domain string, when Rotation) error
	// RetireKey gives up a key that does not sign, without waiting for what it
	// waits for. The errors are those of RotateKeys, fs.ErrNotExist also if
	// there is no such key, and errors.ErrUnsupported if it signs.
	RetireKey(ctx context.Context, domain, selector string) error
}

// A Rotation says when a new key signs.
type Rotation int

// The kinds of rotation.
const (
	RotateWhenShown Rotation = iota // when every name server shows its record
	RotateNow                       // at once, wherever its record is
)

// A KeyState is where a key is in its life.
type KeyState string

// The states, in their order.
const (
	KeyNext    KeyState = "next"    // will sign when its record is published
	KeyCurrent KeyState = "current" // signs
	KeyOld     KeyState = "old"     // has signed what may be on its way still
	KeyRetired KeyState = "retired" // deleted, but for its record
)

// KeyStates are the states in their order.
var KeyStates = []KeyState{KeyNext, KeyCurrent, KeyOld, KeyRetired}

// A SigningKey describes a key for people. It holds no secret.
type SigningKey struct {
	Domain    string   `json:"domain"`
	Selector  string   `json:"selector"`
	Algorithm string   `json:"algorithm"` // "rsa2048"
	Source    string   `json:"source"`    // "store", or the path of a file
	State     KeyState `json:"state"`
	// Since is when it came into the state; of a key in a file that is not known.
	Since time.Time `json:"since,omitzero"`
	// Waits is what it waits for, or what is wrong with it, in words.
	Waits string `json:"waits,omitempty"`
	// Publisher is the dns block that publishes and deletes its record, or "".
	Publisher string    `json:"publisher,omitempty"`
	Record    DNSRecord `json:"record"` // that is to be published; of a retired key, to be deleted
}

// A KeptKey is a key of the configuration that runs, and the block that keeps
// it.
type KeptKey struct {
	Block string `json:"block"` // "signer.example"
	SigningKey
}

// SigningKeys lists the keys of all signers, in the order of the graph.
func (a *Appliance) SigningKeys() []KeptKey {
	var all []KeptKey
	for _, n := range a.keyKeepers() {
		for _, k := range n.Module.(KeyKeeper).SigningKeys() {
			all = append(all, KeptKey{n.Addr.String(), k})
		}
	}
	return all
}

func (a *Appliance) keyKeepers() []*Node {
	return filter(a.Graph().of(KindSigner), func(n *Node) bool {
		_, ok := n.Module.(KeyKeeper)
		return ok
	})
}

// RotateKeys begins a rotation for domains; none is all whose keys the server
// has made. It returns the keys of these domains. An error joins an
// [InstanceError] for each domain that failed; it is fs.ErrNotExist if nobody
// has keys for a domain, and errors.ErrUnsupported if nobody can change them.
func (a *Appliance) RotateKeys(ctx context.Context, domains []string, when Rotation) ([]KeptKey, error) {
	if len(domains) == 0 {
		if domains = a.keptDomains(); len(domains) == 0 {
			return nil, &keyError{"there is no signer whose keys the server has made", fs.ErrNotExist}
		}
	}
	domains = slices.Clone(domains)
	var failed []error
	for i, domain := range domains {
		domain = keptDomain(domain)
		domains[i] = domain
		failed = append(failed, a.eachKeeper(domain, func(k KeyKeeper) error { return k.RotateKeys(ctx, domain, when) }))
	}
	return slices.DeleteFunc(a.SigningKeys(), func(k KeptKey) bool { return !slices.Contains(domains, k.Domain) }), errors.Join(failed...)
}

// RetireKey gives up a key that does not sign, and returns what is left of it.
func (a *Appliance) RetireKey(ctx context.Context, domain, selector string) ([]KeptKey, error) {
	domain = keptDomain(domain)
	err := a.eachKeeper(domain, func(k KeyKeeper) error { return k.RetireKey(ctx, domain, selector) })
	return slices.DeleteFunc(a.SigningKeys(), func(k KeptKey) bool {
		return k.Domain != domain || !strings.EqualFold(k.Selector, selector)
	}), err
}

// eachKeeper does something with every signer that can. That others have no
// such domain, or no such key, is an error only if all have not.
func (a *Appliance) eachKeeper(domain string, do func(KeyKeeper) error) error {
	var cannot error = &keyError{fmt.Sprintf("no signer has keys for %q", domain), fs.ErrNotExist}
	var failed []error
	asked, done := false, false
	for _, n := range a.keyKeepers() {
		err := do(n.Module.(KeyKeeper))
		switch {
		case err == nil:
			done = true
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrNotExist) && !asked:
			// A signer that has the key says more than one that has not.
			cannot, asked = &InstanceError{n.Addr, err}, true
		case !errors.Is(err, fs.ErrNotExist):
			failed = append(failed, &InstanceError{n.Addr, err})
		}
	}
	if done || len(failed) > 0 {
		return errors.Join(failed...)
	}
	return cannot
}

// keptDomain is the one way to write a domain: lower case and A-labels.
func keptDomain(s string) string {
	if d, err := ParseDomain(strings.TrimSuffix(s, ".")); err == nil {
		return d
	}
	return s
}

// keptDomains are the domains with a key of the store.
func (a *Appliance) keptDomains() []string {
	var all []string
	for _, k := range a.SigningKeys() {
		if !k.Since.IsZero() && !slices.Contains(all, k.Domain) {
			all = append(all, k.Domain)
		}
	}
	return all
}

// A keyError is a reason why nothing was done with a key.
type keyError struct {
	text string
	kind error
}

func (e *keyError) Error() string { return e.text }
func (e *keyError) Unwrap() error { return e.kind }
