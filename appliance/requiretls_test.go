package appliance

import "testing"

// honest honours REQUIRETLS, or says that it does not.
type honest struct {
	Relay
	yes bool
}

func (h honest) HonoursRequireTLS() bool { return h.yes }

// TestHonoursRequireTLS: one relay that does not is enough.
func TestHonoursRequireTLS(t *testing.T) {
	ref := func(r Relay) Ref[Relay] { return RefTo(Addr{Kind: KindRelay, Name: "r"}, r) }
	silent := struct{ Relay }{}
	for _, c := range []struct {
		name   string
		relay  Relay
		routes []Route
		want   bool
	}{
		{"one that does", honest{yes: true}, nil, true},
		{"one that does not", honest{}, nil, false},
		{"one that does not say", silent, nil, false},
		{"a route to one that does not", honest{yes: true}, []Route{{Relay: ref(honest{yes: true})}, {Relay: ref(silent)}}, false},
		{"a route that refuses", honest{yes: true}, []Route{{Reject: &ReplyText{}}}, true},
	} {
		p := &Pipeline{Relay: ref(c.relay), Routes: c.routes}
		if got := p.HonoursRequireTLS(); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
