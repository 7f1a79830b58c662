package appliance

import (
	"fmt"
	"net/netip"
	"slices"
)

// Validate implements [Validator]: it keeps a pipeline that would relay for
// anyone from loading.
func (p *Pipeline) Validate() error {
	switch p.Unsigned {
	case "", UnsignedDefer, UnsignedReject, UnsignedAllow:
	default:
		return &AttrError{Attr: "unsigned", Msg: fmt.Sprintf(`is %q; write "defer", "reject" or "allow"`, p.Unsigned)}
	}
	switch p.Alignment {
	case "", AlignmentOff, AlignmentWarn, AlignmentReject:
	default:
		return &AttrError{Attr: "alignment", Msg: fmt.Sprintf(`is %q; write "off", "warn" or "reject"`, p.Alignment)}
	}
	for _, r := range p.Routes {
		if r.Relay.IsSet() == (r.Reject != nil) {
			return &AttrError{Attr: "route", Msg: "needs either relay or reject"}
		}
	}
	return p.refusesStrangers()
}

// refusesStrangers says what would make the pipeline an open relay.
func (p *Pipeline) refusesStrangers() error {
	trusted := p.trusted()
	for _, prefix := range trusted {
		if tooWide(prefix) {
			return &AttrError{Attr: "listeners", Msg: fmt.Sprintf("one of them trusts %s, which no one network is: "+
				"this would be an open relay; name the networks that may send, such as 10.0.0.0/8", prefix)}
		}
	}
	if len(p.Auth) > 0 || len(trusted) > 0 || p.claims() {
		return nil
	}
	return &AttrError{Attr: "relay", Msg: "this pipeline would relay for anyone: give it auth, " +
		"or a listener with trusted networks, or a rewrite that claims its recipients"}
}

// tooWide says whether a prefix is more than the widest private networks,
// 10.0.0.0/8 and fc00::/7: two halves of the Internet are as open as all of it.
func tooWide(p netip.Prefix) bool {
	switch a := p.Addr(); {
	case a.Is4():
		return p.Bits() < 8
	case a.Is4In6():
		return p.Bits() < 96+8
	}
	return p.Bits() < 7
}

func (p *Pipeline) trusted() []netip.Prefix {
	var all []netip.Prefix
	for _, l := range p.Listeners {
		if t, ok := l.To().(NetworkTruster); ok {
			all = append(all, t.TrustedNetworks()...)
		}
	}
	return all
}

func (p *Pipeline) claims() bool {
	return slices.ContainsFunc(p.Rewrites, func(r Ref[Modifier]) bool {
		_, ok := r.To().(Claimer)
		return ok
	})
}
