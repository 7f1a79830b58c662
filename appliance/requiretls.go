package appliance

// A TLSAssurer is a relay that honours REQUIRETLS (RFC 8689): it hands a message
// that requires TLS to a server that has proved who it is and offers REQUIRETLS
// itself, or returns 550 5.7.30. HonoursRequireTLS is pure and says whether
// this one, as it is configured, ever gets to do the former.
type TLSAssurer interface{ HonoursRequireTLS() bool }

// HonoursRequireTLS says whether a listener of the pipeline may offer
// REQUIRETLS, over TLS: whether every relay that its mail can go to honours it.
// RFC 8689, section 4.1: who has taken such a message is bound by it.
func (p *Pipeline) HonoursRequireTLS() bool {
	for _, r := range append([]Ref[Relay]{p.Relay}, routeRelays(p.Routes)...) {
		a, ok := r.To().(TLSAssurer)
		if !ok || !a.HonoursRequireTLS() {
			return false
		}
	}
	return true
}

// routeRelays are the relays of the routes that have one.
func routeRelays(routes []Route) (all []Ref[Relay]) {
	for i := range routes {
		if routes[i].Reject == nil {
			all = append(all, routes[i].Relay)
		}
	}
	return all
}
