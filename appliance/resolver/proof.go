package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// proof is what is known of the servers' word for DNSSEC.
type proof struct {
	asking  bool      // somebody asks for the root
	next    time.Time // when to ask again
	seen    bool      // the AD bit was there
	missing error     // it was not, although it should have been
}

// askRootAgain is how long the servers are held to be without DNSSEC before
// they are asked again.
const askRootAgain = 10 * time.Minute

var errNotBelieved = errors.New("DNSSEC is not relied on, because the configuration does not say that the DNS server validates (dnssec = true)")

// DNSSEC implements appliance.Querier. As long as it is not known that the
// servers do not validate, what they say is relied on: an answer without the
// AD bit is insecure anyway.
func (r *Resolver) DNSSEC() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.set.dnssec {
		return errNotBelieved
	}
	return r.proof.missing
}

// vouched learns from an answer whether the servers validate. One with the AD
// bit is the proof. Without, it may be that of a zone without signatures: then
// the root is asked for, in the background, which has been signed since 2010
// and which every server on the way knows.
func (r *Resolver) vouched(set settings, authentic bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.proof
	switch {
	case set != r.set || r.closed:
	case authentic:
		if p.missing != nil {
			r.log.Info("the DNS server vouches for signed zones again: DNSSEC is relied on")
		}
		*p = proof{asking: p.asking, seen: true}
	case !p.seen && !p.asking && !time.Now().Before(p.next):
		p.asking = true
		r.joined.Go(func() { r.askRoot(set) })
	}
}

func (r *Resolver) askRoot(set settings) {
	ctx, cancel := context.WithTimeout(r.base, flightTime)
	defer cancel()
	m, server, err := r.send(ctx, set, question{dns.TypeNS, "."})
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.proof
	p.asking = false
	if set != r.set || p.seen {
		return
	}
	p.next = time.Now().Add(askRootAgain)
	switch {
	case err != nil:
		p.next = time.Now().Add(failureTime) // nothing is known
	case m.authentic:
		*p = proof{seen: true}
	case p.missing == nil:
		p.missing = fmt.Errorf("DNSSEC is not relied on, because the DNS server %s does not validate: its answer about the root, which is signed, comes without the AD bit", server)
		r.log.Warn("dnssec = true has no effect", zap.Error(p.missing), zap.String("advice", "name a server that validates, such as unbound on this machine: resolver = \"127.0.0.1\""))
	}
}
