package mx

import (
	"context"
	"iter"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// maxAddresses bounds how many connections one attempt tries to make. Each turn
// of our own addresses has an equal part of them.
const maxAddresses = 20

// A usable host has been found and may be sent to under a demand.
type usable struct {
	host
	demand
}

// targets is where mail for a mailbox may go, best first: every address of
// every host from our first addresses, then from our second ones. It looks up a
// host only when it is its turn.
func (m *MX) targets(ctx context.Context, to appliance.Mailbox, d *destination) iter.Seq2[smtpconn.Target, *smtpconn.Failure] {
	return func(yield func(smtpconn.Target, *smtpconn.Failure) bool) {
		var seen []usable
		var end *smtpconn.Failure
		all := m.turns(d)
		left := all.share()
		for h, failure := range m.usable(ctx, to, d) {
			switch {
			case failure != nil && failure.Stop:
				end = failure // ourselves: what comes before it is better, from any address
			case failure != nil && !yield(smtpconn.Target{}, failure):
				return
			case failure == nil:
				seen = append(seen, h)
				if !m.addressesOf(h, all.list[0], &left, yield) {
					return
				}
			}
			if end != nil || left == 0 {
				break
			}
		}
		if m.otherTurns(d, all, seen, yield) && end != nil {
			yield(smtpconn.Target{}, end)
		}
	}
}

// usable are the hosts of a mailbox with what TLS must be like, or why one is
// of no use. With REQUIRETLS those are left out for which TLS all the way
// cannot be assured.
func (m *MX) usable(ctx context.Context, to appliance.Mailbox, d *destination) iter.Seq2[usable, *smtpconn.Failure] {
	return func(yield func(usable, *smtpconn.Failure) bool) {
		for h, failure := range m.hosts(ctx, to) {
			var want demand
			if failure == nil {
				want, failure = m.demands(ctx, d, h)
			}
			if failure == nil && d.requireTLS {
				want, failure = assured(h, want)
			}
			if !yield(usable{h, want}, failure) {
				return
			}
		}
	}
}

// otherTurns goes through the hosts from our other addresses. It is false if no
// more are wanted.
func (m *MX) otherTurns(d *destination, all turns, seen []usable, yield func(smtpconn.Target, *smtpconn.Failure) bool) bool {
	for i, t := range all.list[1:] {
		if d.refused && i+1 >= all.doubtful {
			return true
		}
		left := all.share()
		for _, h := range seen {
			if !m.addressesOf(h, t, &left, yield) {
				return false
			}
		}
	}
	return true
}

// addressesOf goes through the addresses of a host, from ours of a turn. It is
// false if no more are wanted.
func (m *MX) addressesOf(h usable, t turn, left *int, yield func(smtpconn.Target, *smtpconn.Failure) bool) bool {
	for _, ip := range h.addrs {
		from, ok := t.of(family(ip))
		if !ok && m.sources.has(family(ip)) {
			continue // in another turn
		}
		if *left == 0 {
			return true
		}
		*left--
		if !ok { // an address literal
			if !yield(smtpconn.Target{}, smtpconn.NewFailure(h.name, errFamily)) {
				return false
			}
			continue
		}
		if !yield(m.target(h.host, ip, h.demand, from), nil) {
			return false
		}
	}
	return true
}
