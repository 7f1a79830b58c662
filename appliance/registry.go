package appliance

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

var roles = map[Kind]reflect.Type{
	KindListener: reflect.TypeFor[Listener](),
	KindAuth:     reflect.TypeFor[Authenticator](),
	KindCheck:    reflect.TypeFor[Check](),
	KindRewrite:  reflect.TypeFor[Modifier](),
	KindSigner:   reflect.TypeFor[Modifier](),
	KindRelay:    reflect.TypeFor[Relay](),
	KindStore:    reflect.TypeFor[Store](),
	KindTLS:      reflect.TypeFor[Certificates](),
	KindDNS:      reflect.TypeFor[DNSProvider](),
}

// Kinds lists the kinds a module can be registered for, in the order a
// message meets them.
func Kinds() []Kind {
	return []Kind{KindListener, KindAuth, KindCheck, KindRewrite, KindSigner, KindRelay, KindStore, KindTLS, KindDNS}
}

// Role is the interface that the modules of a kind implement; nil for
// KindPipeline and for what is no kind.
func (k Kind) Role() reflect.Type { return roles[k] }

// A Registration describes a module type: the block `relay "mx" "internet" {}`
// is made by the Registration with Kind "relay" and Name "mx".
type Registration struct {
	Kind    Kind
	Name    string        // the second word of the block
	Summary string        // one line for "waxwing modules", no full stop
	Example string        // complete blocks of a file; tests load it, docs print it
	New     func() Module // an instance that holds the defaults; no side effects
}

// A Registry is a set of module types. The zero Registry is empty.
type Registry struct {
	types map[Kind]map[string]Registration
}

// NewRegistry returns a Registry of exactly the given types, for tests.
func NewRegistry(rs ...Registration) *Registry {
	reg := new(Registry)
	for _, r := range rs {
		reg.Add(r)
	}
	return reg
}

// Add adds a type. A mistake in r is a bug in the program: Add panics if r is
// incomplete, if its name is taken, or if what New returns does not play the
// role of its Kind.
func (reg *Registry) Add(r Registration) {
	id := string(r.Kind) + "." + r.Name
	role, ok := roles[r.Kind]
	if !ok || r.Name == "" || r.New == nil {
		panic(fmt.Sprintf("appliance: incomplete registration %q", id))
	}
	if t := reflect.TypeOf(r.New()); t == nil || !t.Implements(role) {
		panic(fmt.Sprintf("appliance: %s is not a %s", id, role))
	}
	if _, dup := reg.types[r.Kind][r.Name]; dup {
		panic(fmt.Sprintf("appliance: %s registered twice", id))
	}
	if reg.types == nil {
		reg.types = make(map[Kind]map[string]Registration)
	}
	if reg.types[r.Kind] == nil {
		reg.types[r.Kind] = make(map[string]Registration)
	}
	reg.types[r.Kind][r.Name] = r
}

// Get returns the type with the given name.
func (reg *Registry) Get(kind Kind, name string) (Registration, bool) {
	r, ok := reg.types[kind][name]
	return r, ok
}

// Of returns the types of one kind, sorted by name.
func (reg *Registry) Of(kind Kind) []Registration {
	var all []Registration
	for _, r := range reg.types[kind] {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Registration) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// All returns every type, by kind in the order of [Kinds], then by name.
func (reg *Registry) All() []Registration {
	var all []Registration
	for _, k := range Kinds() {
		all = append(all, reg.Of(k)...)
	}
	return all
}

// Builtin is filled by the init functions of the modules linked into the
// binary. Only cmd reads it: everything else is handed a *Registry.
var Builtin = new(Registry)

// Register adds r to [Builtin]. It is for init functions.
func Register(r Registration) { Builtin.Add(r) }
