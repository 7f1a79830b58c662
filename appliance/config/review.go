package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// review warns of what is legal and looks like a mistake.
func (l *loader) review() {
	l.publisher()
	if n := l.set.Limits.MaxRecipients; n < minRecipients {
		l.warnf(place{span: locate(l.top, []string{"limits", "max_recipients"})}, "max_recipients is low",
			"It is %d; other servers expect to be able to send to at least %d recipients at once (RFC 5321, section 4.5.3.1.8).", n, minRecipients)
	}
	if !l.has(appliance.KindPipeline) {
		l.warnf(place{}, "there is no pipeline", "No mail is taken in. Write pipeline \"outgoing\" { … } with its listeners and its relay.")
		return
	}
	for _, n := range l.instances {
		if p, ok := n.target.(*appliance.Pipeline); ok {
			l.reviewPipeline(n, p)
		}
	}
	l.unused()
}

const minRecipients = 100

func (l *loader) reviewPipeline(n *instance, p *appliance.Pipeline) {
	if len(p.Listeners) == 0 {
		l.warnf(n.header(), n.addr.String()+" has no listeners", "No mail comes this way. Write listeners = [listener.name].")
	}
	if len(p.Signers) > 0 || l.captured != nil || p.Unsigned == appliance.UnsignedAllow {
		return
	}
	trusts := slices.ContainsFunc(p.Listeners, func(r appliance.Ref[appliance.Listener]) bool {
		t, ok := r.To().(appliance.NetworkTruster)
		return ok && len(t.TrustedNetworks()) > 0
	})
	if len(p.Auth) > 0 || trusts {
		l.warnf(n.header(), n.addr.String()+" has no signers", "Its mail leaves unsigned, and many receivers refuse or hide unsigned mail. "+
			"Write signers = [signer.name], or unsigned = \"allow\" if that is meant.")
	}
}

// publisher objects to a dns block that records shall be published through and
// that is not there.
func (l *loader) publisher() {
	name := l.set.Deliverability.Publish
	if name == "" {
		return
	}
	addr := appliance.Addr{Kind: appliance.KindDNS, Name: strings.TrimPrefix(name, "dns.")}
	if l.byAddr[addr] == nil {
		l.errorf(place{span: locate(l.top, []string{"deliverability", "publish"})}, fmt.Sprintf("there is no %s", addr),
			"publish names the dns block that \"waxwing dns publish\" writes records with.")
	}
}

// unused warns of instances that no pipeline leads to. They do not run.
func (l *loader) unused() {
	inUse := l.reachable(func(n *instance) []*instance { return n.named })
	mentioned := make(map[*instance]bool)
	for _, n := range l.instances {
		for _, dep := range n.named {
			mentioned[dep] = true
		}
	}
	for _, n := range l.instances {
		if inUse[n] || mentioned[n] || n.block == nil {
			continue
		}
		if n.addr.Kind == appliance.KindListener {
			l.warnf(n.header(), fmt.Sprintf("%s is in no pipeline", n.addr), "It will not listen. Name it in the listeners of a pipeline, or take it out.")
			continue
		}
		l.warnf(n.header(), fmt.Sprintf("%s is not used", n.addr), "Nothing refers to it, and it will not run. Refer to it, or take it out.")
	}
}

// reachable returns what pipelines and the store lead to, and the dns blocks:
// records can be published through them that no module asks for.
func (l *loader) reachable(next func(*instance) []*instance) map[*instance]bool {
	found := make(map[*instance]bool)
	var visit func(n *instance)
	visit = func(n *instance) {
		if found[n] {
			return
		}
		found[n] = true
		for _, dep := range next(n) {
			visit(dep)
		}
	}
	for _, n := range l.instances {
		switch n.addr.Kind {
		case appliance.KindPipeline, appliance.KindStore, appliance.KindDNS:
			visit(n)
		}
	}
	return found
}

// listeners reports listeners that are in more than one pipeline: their mail
// could go only one way.
func (l *loader) listeners() {
	first := make(map[*instance]*instance)
	for _, n := range l.instances {
		if n.addr.Kind != appliance.KindPipeline {
			continue
		}
		for _, dep := range n.deps {
			if dep.addr.Kind != appliance.KindListener {
				continue
			}
			if other := first[dep]; other != nil {
				where := n.header()
				if s := locate(n.body, []string{"listeners"}); !s.isZero() {
					where = place{s, n.heading()}
				}
				l.errorf(where, fmt.Sprintf("%s is in two pipelines", dep.addr),
					"A listener has one pipeline; it is in %s on line %d already.", other.addr, l.src.line(other.header().from))
				continue
			}
			first[dep] = n
		}
	}
}
