package doctor

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// receivers are domains of large receivers in several hands. Their port 25 is
// open to everybody, so that what keeps a machine from all of them is on its
// side.
var receivers = []string{"gmail.com", "outlook.com", "yahoo.com"}

// SubjectOf is an appliance as a subject. running says that it has been
// started; of one that was only provisioned, what is known of the file is
// looked at.
func SubjectOf(a *appliance.Appliance, running bool) *Subject {
	g := a.Graph()
	s := &Subject{
		Settings: g.Settings, Resolver: a.Resolver(), Certificates: a.Certificates(),
		Dial: new(net.Dialer).DialContext, Now: time.Now,
		Local: localAddresses, Free: freeSpace, Descriptors: openFiles, Receivers: receivers,
	}
	s.Wanted = func(outward []netip.Addr) []records.Record {
		return records.Wanted(records.Survey(g, records.Options{Machine: outward, Started: running}))
	}
	if r, ok := s.Resolver.(interface{ Servers() []netip.AddrPort }); ok {
		s.Servers = r.Servers()
	}
	if running {
		s.Healthy = a.Healthy
	}
	for _, n := range g.Nodes {
		s.take(n, running)
	}
	for _, n := range g.Pipelines() {
		s.listen(g, n)
	}
	return s
}

// take takes what an instance has to say.
func (s *Subject) take(n *appliance.Node, running bool) {
	if r, ok := n.Module.(appliance.OutboundRelay); ok {
		s.Relays = append(s.Relays, Relay{n.Addr.String(), r.Outbound()})
	}
	if l, ok := n.Module.(appliance.SenderLister); ok {
		for _, d := range l.SenderDomains() {
			if !slices.Contains(s.Domains, d) {
				s.Domains = append(s.Domains, d)
			}
		}
	}
	if p, ok := n.Module.(appliance.DNSPublisher); ok && running {
		s.Records = append(s.Records, p.DNSRecords()...)
	}
	if k, ok := n.Module.(appliance.KeyKeeper); ok && running {
		s.takeKeys(k)
	}
	if x, ok := n.Module.(appliance.Examiner); ok && running {
		s.Modules = append(s.Modules, Group{Name: n.Addr.String(), Examinations: x.Examinations()})
	}
}

// takeKeys takes the states of the keys of a signer.
func (s *Subject) takeKeys(keeper appliance.KeyKeeper) {
	if s.KeyStates == nil {
		s.KeyStates = make(map[string]appliance.KeyState)
	}
	for _, k := range keeper.SigningKeys() {
		s.KeyStates[k.Record.Name] = k.State
	}
}

// listen takes the listeners of a pipeline.
func (s *Subject) listen(g *appliance.Graph, n *appliance.Node) {
	claims := func(to appliance.Mailbox) bool {
		return slices.ContainsFunc(n.Pipeline.Rewrites, func(r appliance.Ref[appliance.Modifier]) bool {
			c, ok := r.To().(appliance.Claimer)
			return ok && c.Claims(to)
		})
	}
	for _, ref := range n.Pipeline.Listeners {
		l := Listener{Addr: ref.Addr().String(), Type: g.Node(ref.Addr()).Type, Claims: claims}
		for _, a := range ref.To().Addrs() {
			l.Addresses = append(l.Addresses, a.String())
		}
		if t, ok := ref.To().(appliance.NetworkTruster); ok {
			l.Trusted = t.TrustedNetworks()
		}
		s.Listeners = append(s.Listeners, l)
	}
}
