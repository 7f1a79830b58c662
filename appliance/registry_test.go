package appliance

import (
	"reflect"
	"strings"
	"testing"
)

func TestRegistry(t *testing.T) {
	reg := func(kind Kind, name string) Registration {
		return Registration{Kind: kind, Name: name, New: func() Module { return new(fake) }}
	}
	r := NewRegistry(reg(KindRelay, "mx"), reg(KindCheck, "spf"), reg(KindCheck, "dkim"), reg(KindAuth, "ldap"))
	var all []string
	for _, x := range r.All() {
		all = append(all, string(x.Kind)+"."+x.Name)
	}
	if got := strings.Join(all, " "); got != "auth.ldap check.dkim check.spf relay.mx" {
		t.Errorf("All: %s", got)
	}
	if x, ok := r.Get(KindRelay, "mx"); !ok || x.Name != "mx" {
		t.Error("Get does not find relay.mx")
	}
	for _, kind := range []Kind{KindRelay, KindStore} {
		if _, ok := new(Registry).Get(kind, "mx"); ok {
			t.Error("an empty registry has something")
		}
	}
	if got := len(Kinds()); got != len(roles) {
		t.Errorf("%d kinds, %d roles", got, len(roles))
	}
	for want, bad := range map[string]Registration{
		"relay.mx registered twice":             reg(KindRelay, "mx"),
		`incomplete registration "relay.x"`:     {Kind: KindRelay, Name: "x"},
		`incomplete registration "tls."`:        reg(KindTLS, ""),
		`incomplete registration "pipeline.x"`:  reg(KindPipeline, "x"),
		"tls.x is not a appliance.Certificates": reg(KindTLS, "x"),
		"check.nil is not a appliance.Check":    {Kind: KindCheck, Name: "nil", New: func() Module { return nil }},
	} {
		if got := panics(func() { r.Add(bad) }); got != "appliance: "+want {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}
}

// panics returns what f panics with.
func panics(f func()) (message string) {
	defer func() { message, _ = recover().(string) }()
	f()
	return ""
}

func TestRef(t *testing.T) {
	addr := Addr{KindRelay, "internet"}
	if addr.String() != "relay.internet" || !(Addr{}).IsZero() || (Addr{}).String() != "" || addr.IsZero() {
		t.Error("addresses are not written as references write them")
	}
	var r Ref[Relay]
	if r.IsSet() || r.String() != "" || r.Role() != reflect.TypeFor[Relay]() {
		t.Errorf("the zero Ref: %v, %v", r.IsSet(), r.Role())
	}
	if got := panics(func() { r.To() }); !strings.Contains(got, "unset reference to a appliance.Relay") {
		t.Errorf("panics with %q", got)
	}
	m := new(fake)
	r.Bind(addr, m)
	if !r.IsSet() || r.To() != Relay(m) || r.Addr() != addr || r.String() != "relay.internet" || RefTo[Relay](addr, m) != r {
		t.Errorf("bound: %+v", r)
	}
}
