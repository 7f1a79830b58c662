package records

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/spf"
)

// Facts are what the records follow from.
type Facts struct {
	Hostname  string   // "" if it is none that others can find
	Sources   []Source // the addresses that mail leaves from, as the world sees them
	Includes  []string // the SPF records of others that send for the domains
	Direct    bool     // mail goes to the servers of its recipients, and not through smarthosts alone
	Vague     bool     // there is more that mail leaves from than Sources and Includes say
	Domains   []string // that mail is sent from, in the order of the file
	Receives  []string // those of them whose mail this server takes
	Exchanger string   // the name under which it takes it
	Reports   appliance.Mailbox
	Published []appliance.DNSRecord // that modules want: the keys of signers
	Served    []appliance.ServedCertificate
	// Missing says what could not be known, a sentence each with what to do.
	Missing []string
}

// A Source is an address that mail leaves from.
type Source struct {
	Addr netip.Addr
	Name string // that receivers are told with it
}

// Options is what Survey cannot see in a configuration.
type Options struct {
	Machine []netip.Addr // the public addresses of this machine
	// The configuration runs: keys and certificates are there. Without, those in
	// files are.
	Started bool
}

// Survey collects the facts of a configuration that has been provisioned.
func Survey(g *appliance.Graph, o Options) Facts {
	f := Facts{Reports: g.Settings.Deliverability.Reports, Includes: slices.Clone(g.Settings.Deliverability.SPFInclude)}
	f.host(g.Settings.Hostname)
	f.ways(g, o.Machine)
	f.bounds()
	f.senders(g)
	f.receives(g)
	f.published(g, o)
	return f
}

func (f *Facts) miss(format string, args ...any) {
	f.Missing = append(f.Missing, fmt.Sprintf(format, args...))
}

func (f *Facts) host(name string) {
	if !strings.Contains(name, ".") || strings.HasPrefix(name, "[") {
		f.miss(`The host name %q is none that others can find, so that there are no records of this server; write hostname = "mail.example.com".`, name)
		return
	}
	f.Hostname, f.Exchanger = name, name
}

// ways finds how mail leaves.
func (f *Facts) ways(g *appliance.Graph, machine []netip.Addr) {
	var found []Source
	leaves := false
	for _, n := range used(g) {
		r, ok := n.Module.(appliance.OutboundRelay)
		if !ok {
			continue
		}
		o := r.Outbound()
		leaves = true
		if o.Via != "" {
			f.via(n.Addr, o, g.Settings.Deliverability.SPFInclude)
			continue
		}
		f.Direct = true
		if own := g.Settings.Deliverability.Addresses; len(own) > 0 {
			found = append(found, seen(own, o, f.Hostname)...)
		} else {
			found = append(found, f.own(n.Addr, o, machine)...)
		}
	}
	for _, s := range found {
		if !slices.ContainsFunc(f.Sources, func(x Source) bool { return x.Addr == s.Addr }) {
			f.Sources = append(f.Sources, s)
		}
	}
	switch {
	case g.Settings.Mode == appliance.ModeCapture:
		f.miss(`With mode = "capture" no mail leaves: which addresses it will come from, and so what SPF has to allow, is known with mode = "live".`)
	case !leaves:
		f.miss(`No relay that is in use sends mail into the world, so that there is nothing for SPF to allow.`)
	case f.Direct && len(f.Sources) == 0:
		f.Vague = true
		f.miss(`The addresses that mail leaves from are not known: this machine has no public one. Write those that the world sees: deliverability { addresses = ["203.0.113.7"] }; "waxwing doctor" can find them.`)
	}
}

// surelyFits is how long an SPF record may be, in octets (RFC 7208, section 3.4).
const surelyFits = 450

// bounds says when the SPF record of the domains is too much for receivers.
func (f *Facts) bounds() {
	if n := len(f.Includes); n > spf.MaxLookups {
		f.miss("SPF would have to include %d records, and receivers take no record that needs more than %d look-ups (RFC 7208, section 4.6.4): take out what is no longer used.", n, spf.MaxLookups)
	}
	if n := len(composeSPF(f.addresses(), f.Includes, "~all")); n > surelyFits {
		f.miss("The SPF record has %d octets, and no more than %d surely fit into an answer (RFC 7208, section 3.4): put some of it into a record of its own, and include that with spf_include.", n, surelyFits)
	}
}

// via is about mail that a provider sends on.
func (f *Facts) via(relay appliance.Addr, o appliance.Outbound, said []string) {
	for _, name := range o.Includes {
		f.Includes = add(f.Includes, name)
	}
	if len(o.Includes) == 0 && len(said) == 0 {
		f.Vague = true
		f.miss(`%s hands mail to %s, which sends it on from addresses of its own. Ask its provider what the SPF record has to include, and write it: deliverability { spf_include = ["_spf.example.net"] }.`, relay, o.Via)
	}
}

// own are the public addresses that a relay sends from itself.
func (f *Facts) own(relay appliance.Addr, o appliance.Outbound, machine []netip.Addr) []Source {
	var all []Source
	for i, ip := range o.Addresses {
		if !Public(ip) {
			f.miss(`%s sends from %s, which is not what the world sees; write the public address: deliverability { addresses = ["203.0.113.7"] }.`, relay, ip)
			continue
		}
		name := ""
		if i < len(o.Names) {
			name = o.Names[i]
		}
		all = append(all, Source{ip, cmp.Or(name, f.Hostname)})
	}
	if len(o.Addresses) > 0 {
		return all
	}
	for _, ip := range machine {
		if len(o.Families) == 0 || slices.Contains(o.Families, family(ip)) {
			all = append(all, Source{ip, f.Hostname})
		}
	}
	return all
}

// seen are the addresses that the administrator says the world sees. The name
// that is told with one is known if the relay sends from it by this address.
func seen(own []netip.Addr, o appliance.Outbound, hostname string) []Source {
	all := make([]Source, 0, len(own))
	for _, ip := range own {
		s := Source{ip.Unmap(), hostname}
		if i := slices.Index(o.Addresses, s.Addr); i >= 0 && i < len(o.Names) {
			s.Name = cmp.Or(o.Names[i], hostname)
		}
		all = append(all, s)
	}
	return all
}

func family(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// used are the nodes that a pipeline depends on, in the order of the graph:
// a relay that nobody uses sends nothing. In capture mode no relay is used, and
// the records are those of the day when mail leaves.
func used(g *appliance.Graph) []*appliance.Node {
	reached := make(map[appliance.Addr]bool)
	for _, n := range slices.Backward(g.Nodes) { // a node stands after everything it refers to
		if n.Pipeline != nil || reached[n.Addr] {
			reached[n.Addr] = true
			for _, d := range n.Deps {
				reached[d] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(g.Nodes), func(n *appliance.Node) bool { return !reached[n.Addr] || n.Module == nil })
}

// senders finds the domains that mail is sent from.
func (f *Facts) senders(g *appliance.Graph) {
	for _, n := range used(g) {
		l, ok := n.Module.(appliance.SenderLister)
		if !ok {
			continue
		}
		for _, domain := range l.SenderDomains() {
			if !strings.HasPrefix(domain, "[") {
				f.Domains = add(f.Domains, domain)
			}
		}
	}
	if len(f.Domains) == 0 {
		f.miss(`No domain is known that mail is sent from: a signer "dkim" names those that it signs for.`)
	}
}

// receives finds the domains whose mail is taken from other servers: those that
// a rewrite behind a listener of other servers claims.
func (f *Facts) receives(g *appliance.Graph) {
	for _, n := range g.Pipelines() {
		if !slices.ContainsFunc(n.Pipeline.Listeners, func(l appliance.Ref[appliance.Listener]) bool {
			ln := g.Node(l.Addr())
			return ln != nil && ln.Type == "smtp"
		}) {
			continue
		}
		for _, domain := range f.Domains {
			if claims(n.Pipeline, domain) {
				f.Receives = add(f.Receives, domain)
			}
		}
	}
}

func claims(p *appliance.Pipeline, domain string) bool {
	return slices.ContainsFunc(p.Rewrites, func(r appliance.Ref[appliance.Modifier]) bool {
		c, ok := r.To().(appliance.Claimer)
		return ok && c.Claims(appliance.Mailbox{Local: "postmaster", Domain: domain})
	})
}

// published asks the modules.
func (f *Facts) published(g *appliance.Graph, o Options) {
	for _, n := range used(g) {
		if d, ok := n.Module.(appliance.DNSPublisher); ok {
			f.Published = append(f.Published, d.DNSRecords()...)
		}
		if c, ok := n.Module.(appliance.Certificates); ok && o.Started {
			for _, info := range c.Certificates() {
				f.Served = append(f.Served, appliance.ServedCertificate{Block: n.Addr.String(), Type: n.Type, CertificateInfo: info})
			}
		}
	}
	for i, r := range f.Published {
		if first := slices.IndexFunc(f.Published, func(o appliance.DNSRecord) bool { return clash(r, o) }); first >= 0 && first < i {
			f.miss("Two signers want different keys at %s, and receivers can verify by one key alone there: give one of them another selector.", r.Name)
		}
	}
	if o.Started {
		return
	}
	if without := f.keyless(g); len(without) > 0 {
		f.miss("The DKIM keys of %s are with the server, which makes those that are missing when it starts; ask again when it runs.", strings.Join(without, ", "))
	}
}

// clash says whether two records cannot both be published: keys of DKIM at one
// name (RFC 6376, section 3.6.2.2: what comes of several records is undefined).
func clash(a, b appliance.DNSRecord) bool {
	return a.Name == b.Name && a.Value != b.Value && strings.Contains(a.Name, domainkey)
}

// keyless are the domains that a signer signs for without a record.
func (f *Facts) keyless(g *appliance.Graph) (all []string) {
	for _, n := range used(g) {
		l, ok := n.Module.(appliance.SenderLister)
		if _, signs := n.Module.(appliance.DNSPublisher); !ok || !signs {
			continue
		}
		for _, domain := range l.SenderDomains() {
			if !slices.ContainsFunc(f.Published, func(r appliance.DNSRecord) bool { return strings.HasSuffix(r.Name, domainkey+domain) }) {
				all = add(all, domain)
			}
		}
	}
	return all
}

// domainkey is between the selector and the domain (RFC 6376, section 3.6.2.1).
const domainkey = "._domainkey."

// shared is what carriers share (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Public says whether the world can see an address.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared.Contains(ip)
}

// MachineAddresses are the public addresses of this machine, sorted.
func MachineAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // as if it had none: the facts say so
	}
	var all []netip.Addr
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && Public(ip) {
			all = append(all, ip.Unmap())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// add is a set in the order of its making.
func add(all []string, s string) []string {
	if slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}
