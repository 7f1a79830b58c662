package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// A Question is a message that nobody has sent yet: what would become of it?
type Question struct {
	From   Mailbox
	To     Mailbox
	User   string     // authenticated user, "" if there is none
	Client netip.Addr // of the client; the zero Addr is anybody
	DNS    bool       // the DNS may be asked
}

// An Answer is one thing that would happen, and what in the file decides it.
type Answer struct {
	Topic string // "relay", "TLS": one or two words
	Text  string
	Addr  Addr   // the instance that decides; the zero Addr is the settings
	Attr  string // its attribute, or its block as "route.2"; "" is the instance itself
}

// An Explainer is a module that can say from its configuration what it would
// do with a message. It is asked between Provision and Close and need not have
// been started: it says what it knows, changes nothing, and asks the DNS only if
// it may. Addr of its answers is set by who asks. A signer that is not
// responsible for the message has no answer.
type Explainer interface {
	Explain(ctx context.Context, q Question) []Answer
}

// A UserKnower is an Authenticator that can say whether there is a user, to
// the administrator and without a password. Clients never learn it.
type UserKnower interface {
	Authenticator
	// KnownUser returns the name that someone who logs in as user has from then
	// on; it is false if nobody can.
	KnownUser(user string) (name string, ok bool)
}

// An Explanation is what would become of a message.
type Explanation struct {
	Answers []Answer
	Goes    bool // it would not be refused
	// The queue would keep it under this destination and, if the DNS was asked
	// and the relay knows it, this site: "relay/next-hop". Both are "" if it does
	// not get there.
	Destination, Site string
}

// Explain says what would become of a message on its way through the pipeline:
// who may send it, what looks at it and changes it, who signs it, and where it
// goes. addr is that of the pipeline, which need not be open.
func (p *Pipeline) Explain(ctx context.Context, addr Addr, q Question) Explanation {
	e := &explanation{p: p, addr: addr, q: q}
	e.add("pipeline", addr.Name, "")
	if !e.mayRelay() {
		return e.Explanation
	}
	e.checks(ctx)
	e.rewrites(ctx)
	signed := e.signers(ctx)
	if a := e.p.Alignment; a != "" && a != AlignmentOff && !e.q.From.IsNull() {
		e.add("alignment", "a message whose From domain neither a signature nor SPF can vouch for is "+e.p.alignment(), "alignment")
	}
	e.Goes = e.route(ctx) && signed
	return e.Explanation
}

type explanation struct {
	Explanation
	p    *Pipeline
	addr Addr
	q    Question
}

func (e *explanation) add(topic, text, attr string) {
	e.Answers = append(e.Answers, Answer{Topic: topic, Text: text, Addr: e.addr, Attr: attr})
}

// mayRelay is the relay rule.
func (e *explanation) mayRelay() bool {
	if e.q.User != "" {
		return e.mayLogIn()
	}
	for _, l := range e.p.Listeners {
		t, ok := l.To().(NetworkTruster)
		if !ok {
			continue
		}
		for _, network := range t.TrustedNetworks() {
			if e.q.Client.IsValid() && network.Contains(e.q.Client.Unmap()) {
				e.Answers = append(e.Answers, Answer{Topic: "accepted", Text: fmt.Sprintf("from %s, in the trusted network %s", e.q.Client, network), Addr: l.Addr(), Attr: "trusted"})
				return true
			}
		}
	}
	for _, r := range e.p.Rewrites {
		if c, ok := r.To().(Claimer); ok && c.Claims(e.q.To) {
			e.Answers = append(e.Answers, Answer{Topic: "accepted", Text: "from anybody: the recipient is ours", Addr: r.Addr()})
			return true
		}
	}
	e.add("refused", ErrRelayDenied.String(), "")
	return false
}

// mayLogIn says who lets the user in. From here on the user is called what the
// first who knows them says.
func (e *explanation) mayLogIn() bool {
	if len(e.p.Auth) == 0 {
		e.add("refused", "nobody can log in: the pipeline has no auth", "auth")
		return false
	}
	var who, others []string
	user := e.q.User
	for _, a := range e.p.Auth {
		k, ok := a.To().(UserKnower)
		if !ok {
			who = append(who, a.String())
			continue
		}
		name, ok := k.KnownUser(user)
		if !ok {
			others = append(others, a.String())
			continue
		}
		if len(who) == 0 {
			e.q.User = name
		}
		who = append(who, a.String())
	}
	if len(who) == 0 {
		e.add("refused", fmt.Sprintf("user %s is unknown to %s", user, strings.Join(others, " and ")), "auth")
		return false
	}
	e.add("accepted", fmt.Sprintf("from user %s, if %s lets them in", e.q.User, strings.Join(who, " or ")), "auth")
	return true
}

// stages are the moments of checks, in words.
var stages = []struct {
	at   Stage
	word string
}{{AtConnect, "the client"}, {AtSender, "the sender"}, {AtRecipient, "each recipient"}, {AtContent, "the content"}}

func (e *explanation) checks(ctx context.Context) {
	for _, c := range e.p.Checks {
		var at []string
		for _, s := range stages {
			if c.To().Stages()&s.at != 0 {
				at = append(at, s.word)
			}
		}
		if !e.ask(ctx, c.Addr(), c.To()) {
			e.Answers = append(e.Answers, Answer{Topic: "check", Text: fmt.Sprintf("%s looks at %s", c, strings.Join(at, ", ")), Addr: c.Addr()})
		}
	}
}

func (e *explanation) rewrites(ctx context.Context) {
	for _, r := range e.p.Rewrites {
		if !e.ask(ctx, r.Addr(), r.To()) {
			e.Answers = append(e.Answers, Answer{Topic: "rewrite", Text: r.String() + " may change the envelope and the header", Addr: r.Addr()})
		}
	}
}

// ask adds what a module says. It is false if that is nothing.
func (e *explanation) ask(ctx context.Context, a Addr, m any) bool {
	x, ok := m.(Explainer)
	if !ok {
		return false
	}
	all := x.Explain(ctx, e.q)
	for i := range all {
		all[i].Addr = a
	}
	e.Answers = append(e.Answers, all...)
	return len(all) > 0
}

func (e *explanation) signers(ctx context.Context) bool {
	if e.q.From.IsNull() && len(e.p.Signers) > 0 {
		// Signers go by the author in the header, which is taken to be the sender
		// if there is one.
		e.add("signers", strings.Join(names(e.p.Signers), ", ")+", by the From field: the null sender has no domain", "signers")
		return true
	}
	signed := false
	for _, s := range e.p.Signers {
		if _, ok := s.To().(Explainer); !ok {
			e.Answers = append(e.Answers, Answer{Topic: "signer", Text: s.String() + " may sign it", Addr: s.Addr()})
			signed = true
		} else if e.ask(ctx, s.Addr(), s.To()) {
			signed = true
		}
	}
	if signed {
		return true
	}
	e.add("unsigned", "no signer is responsible for "+e.q.From.Domain+": the message is "+e.p.unsigned(), "unsigned")
	return len(e.p.Signers) == 0 || e.p.Unsigned == UnsignedAllow
}

// route says where it goes. Conditions that look at the header see one that
// has a From field and nothing else.
func (e *explanation) route(ctx context.Context) bool {
	h := new(Header)
	if !e.q.From.IsNull() {
		h.Append(NewField("From", e.q.From.Path()))
	}
	f := &Facts{Sender: e.q.From, Recipient: e.q.To, User: e.q.User, Header: h, Attempt: 1}
	if e.q.Client.IsValid() {
		f.Client = e.q.Client.Unmap().String()
	}
	n, err := e.p.match(f)
	if err != nil {
		e.add("deferred", err.Error(), "route")
		return false
	}
	attr, relay := "relay", e.p.Relay
	if n >= 0 {
		attr = fmt.Sprintf("route.%d", n+1)
		if r := e.p.Routes[n].Reject; r != nil {
			e.add("refused", r.String(), attr)
			return false
		}
		relay = e.p.Routes[n].Relay
	}
	d, err := e.p.Towards(relay, e.q.To)
	if err != nil {
		e.add("deferred", err.Error(), attr)
		return false
	}
	e.add("relay", relay.String(), attr)
	e.Answers = append(e.Answers, Answer{Topic: "destination", Text: d.Destination, Addr: relay.Addr()})
	e.ask(ctx, relay.Addr(), relay.To())
	e.Destination = d.Destination
	e.Site = e.site(ctx, relay)
	return true
}

// site is the name that the queue has for the servers behind the next hop; ""
// if it cannot be known.
func (e *explanation) site(ctx context.Context, relay Ref[Relay]) string {
	sited, ok := relay.To().(SitedRelay)
	if !ok || !e.q.DNS {
		return ""
	}
	s, err := sited.Site(ctx, sited.NextHop(e.q.To))
	if err != nil {
		return ""
	}
	return relay.Addr().Name + "/" + s.Name
}

// ExplainQueue says how often and for how long a message would be tried.
func (s *Settings) ExplainQueue() []Answer {
	q := &s.Queue
	warn := "the sender is not told meanwhile"
	if q.WarnAfter > 0 {
		warn = "the sender is told that it is late after " + FormatDuration(q.WarnAfter)
	}
	return []Answer{
		{Topic: "size", Text: "at most " + s.Limits.MaxMessageSize.String(), Attr: "limits.max_message_size"},
		{Topic: "limits", Text: fmt.Sprintf("%d deliveries at a time, %d of them to one destination", q.Concurrency, q.DestinationConcurrency), Attr: "queue.concurrency"},
		{Topic: "retry", Text: "at once; then after " + q.Retry.String(), Attr: "queue.retry"},
		{Topic: "late", Text: warn, Attr: "queue.warn_after"},
		{Topic: "gives up", Text: "after " + FormatDuration(q.Lifetime) + ", with a report to the sender", Attr: "queue.lifetime"},
	}
}
