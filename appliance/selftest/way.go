package selftest

import (
	"context"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/doctor"
)

// Prepare writes a letter of what a trial of a pipeline would commit: with all
// that the running appliance knows of its way out. It is called, and the letter
// is judged, while the trial waits (see [appliance.Pipeline.Trial]).
func Prepare(ctx context.Context, a *appliance.Appliance, m appliance.Accepted) (*Letter, error) {
	body, err := m.Draft.Body()
	if err != nil {
		return nil, err
	}
	s := doctor.SubjectOf(a, true)
	l := &Letter{
		Envelope: m.Envelope, Message: appliance.Message{ID: m.ID, Header: m.Header, Body: body}, SignedBy: m.Origin.SignedBy,
		Captured: s.Settings.Mode == appliance.ModeCapture, Keys: s.Records, Resolver: a.Resolver(), Now: m.Received,
	}
	if d := m.Deliveries[0]; d.Held {
		l.Held = strings.TrimPrefix(d.Recipients[0].Last.Reply.Text, "Held for the administrator to look at: ")
	}
	l.takeRelay(ctx, a, s, m.Deliveries[0])
	if l.Via == "" {
		l.takeServer(ctx, s)
	}
	return l, nil
}

// takeRelay asks the relay that the first recipient goes to.
func (l *Letter) takeRelay(ctx context.Context, a *appliance.Appliance, s *doctor.Subject, d appliance.Delivery) {
	name, _, _ := strings.Cut(d.Destination, "/")
	node := a.Graph().Node(appliance.Addr{Kind: appliance.KindRelay, Name: name})
	if node == nil {
		return
	}
	// What other relays send from is another matter.
	s.Relays = slices.DeleteFunc(s.Relays, func(r doctor.Relay) bool { return r.Addr != node.Addr.String() })
	if r, ok := node.Module.(appliance.OutboundRelay); ok {
		out := r.Outbound()
		l.Via, l.Includes = out.Via, out.Includes
	}
	x, ok := node.Module.(appliance.Explainer)
	if !ok {
		return
	}
	q := appliance.Question{From: l.Envelope.From, To: d.Recipients[0].Mailbox}
	for _, answer := range x.Explain(ctx, q) {
		if answer.Topic == "TLS" {
			l.TLS = answer.Text
			return
		}
	}
}

// takeServer has a check-up look at the servers.
func (l *Letter) takeServer(ctx context.Context, s *doctor.Subject) {
	groups := slices.DeleteFunc(s.Groups(), func(g doctor.Group) bool {
		return g.Name != "names and addresses" && g.Name != "reputation"
	})
	for _, f := range doctor.Run(ctx, groups) {
		l.Server = append(l.Server, f.Parts...)
	}
	for _, src := range s.Sources(ctx) {
		l.Sources = append(l.Sources, Source{src.Addr, src.Name})
	}
}
