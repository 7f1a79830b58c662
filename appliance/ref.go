package appliance

import (
	"fmt"
	"reflect"
)

// Kind is the first word of a block; it fixes the role its modules play.
type Kind string

// The kinds, in the order a message meets them.
const (
	KindListener Kind = "listener" // Listener
	KindAuth     Kind = "auth"     // Authenticator
	KindCheck    Kind = "check"    // Check
	KindRewrite  Kind = "rewrite"  // Modifier
	KindSigner   Kind = "signer"   // Modifier, run after all rewrites
	KindRelay    Kind = "relay"    // Relay
	KindStore    Kind = "store"    // Store
	KindTLS      Kind = "tls"      // Certificates
	KindDNS      Kind = "dns"      // DNSProvider
	KindPipeline Kind = "pipeline" // *Pipeline: part of the core, never registered
)

// Addr is the address of an instance as references write it: "relay.internet".
// Names are unique within a kind; the type is not part of the address, so
// that the implementation can be exchanged and every reference stays.
type Addr struct {
	Kind Kind
	Name string
}

// IsZero says whether a is no address.
func (a Addr) IsZero() bool { return a == Addr{} }

func (a Addr) String() string {
	if a.IsZero() {
		return ""
	}
	return string(a.Kind) + "." + a.Name
}

// Ref is a typed reference to another instance, written in the file as a bare
// address: relay = relay.internet. The config package binds it before
// Validate; a Ref that cannot be bound never reaches a module.
//
// A Ref field with the tag option "only" that the file leaves out is bound to
// the one instance of its kind, if there is exactly one.
type Ref[T any] struct {
	addr Addr
	to   T
	set  bool
}

// To returns the instance. It panics if an optional Ref was left out.
func (r Ref[T]) To() T {
	if !r.set {
		panic(fmt.Sprintf("appliance: use of an unset reference to a %v", reflect.TypeFor[T]()))
	}
	return r.to
}

// IsSet says whether the reference was written (or bound by "only").
func (r Ref[T]) IsSet() bool { return r.set }

// Addr returns the address that was written.
func (r Ref[T]) Addr() Addr { return r.addr }

func (r Ref[T]) String() string { return r.addr.String() }

// Bind points the reference at m; it panics if m does not play the role. Bind
// and Role are for the config package.
func (r *Ref[T]) Bind(a Addr, m any) { r.addr, r.to, r.set = a, m.(T), true }

// Role is the interface that the target must implement.
func (*Ref[T]) Role() reflect.Type { return reflect.TypeFor[T]() }

// RefTo returns a bound Ref, for tests.
func RefTo[T any](a Addr, to T) Ref[T] { return Ref[T]{addr: a, to: to, set: true} }
