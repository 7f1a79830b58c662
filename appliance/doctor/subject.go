package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

// A Subject is the server that is looked at, and the ways to look.
type Subject struct {
	Settings     appliance.Settings
	Listeners    []Listener
	Relays       []Relay
	Domains      []string // that mail is sent from
	Records      []appliance.DNSRecord
	KeyStates    map[string]appliance.KeyState // of DKIM keys, by the names of their records; one that is not there signs
	Certificates []appliance.ServedCertificate
	Wanted       func(outward []netip.Addr) []records.Record // what the DNS has to hold; nil is nothing
	Modules      []Group                                     // what modules have to look at, a group each
	Healthy      func() error                                // of the running server; nil if none runs
	Offline      bool                                        // nobody but this machine is asked

	Resolver    appliance.Resolver
	Servers     []netip.AddrPort // the DNS servers that Resolver asks, if that is known
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Roots       *x509.CertPool // of echo servers; nil is those of the system
	Now         func() time.Time
	Local       func() ([]netip.Addr, error)           // the addresses of this machine
	Free        func(directory string) (uint64, error) // octets of disk space
	Descriptors func() (limit uint64, err error)       // how many files this process may open
	Receivers   []string                               // domains whose port 25 is tried

	once    sync.Once
	outward outward
}

// A Listener is a socket that mail comes in by.
type Listener struct {
	Addr      string   // "listener.public"
	Type      string   // "smtp", "submission", "submissions"
	Addresses []string // where it listens: "[::]:587"
	Trusted   []netip.Prefix
	Claims    func(appliance.Mailbox) bool // whose mail it takes from anybody; nil is nobody's
}

// implicitTLS says whether the first octet on a connection is of TLS.
func (l *Listener) implicitTLS() bool { return l.Type == "submissions" }

// A Relay is a way out.
type Relay struct {
	Addr string // "relay.internet"
	appliance.Outbound
}

// direct are the relays that bring mail to the recipients' own servers.
func (s *Subject) direct() []Relay {
	return slices.DeleteFunc(slices.Clone(s.Relays), func(r Relay) bool { return r.Via != "" })
}

// captures says whether no mail leaves.
func (s *Subject) captures() bool { return s.Settings.Mode == appliance.ModeCapture }

// Groups are all examinations of a complete check-up.
func (s *Subject) Groups() []Group {
	groups := []Group{s.machine(), s.wayOut(), s.listening(), s.namesAndAddresses()}
	groups = append(groups, s.domains()...)
	groups = append(groups, s.reputation(), s.certificates())
	for _, g := range s.Modules {
		groups = append(groups, s.unlessOffline(g))
	}
	return slices.DeleteFunc(groups, func(g Group) bool { return len(g.Examinations) == 0 })
}

// unlessOffline is a group of a module: what it looks at is outside.
func (s *Subject) unlessOffline(g Group) Group {
	if !s.Offline {
		return g
	}
	all := slices.Clone(g.Examinations)
	for i, x := range all {
		all[i] = one(x.Name, func(_ context.Context, name string) appliance.Finding { return skipped(name, "%s", s.outside()) })
	}
	g.Examinations = all
	return g
}

// records are the examinations of what the DNS says: those of the watch.
func (s *Subject) records() []Group {
	groups := append([]Group{s.namesAndAddresses()}, s.domains()...)
	return append(groups, s.reputation())
}

// lookupTime bounds one question to the DNS.
const lookupTime = 8 * time.Second

func lookupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, lookupTime)
}

// addresses asks for the addresses of a host.
func (s *Subject) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := lookupContext(ctx)
	defer cancel()
	all, err := s.Resolver.LookupNetIP(ctx, "ip", absolute(host))
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, err
}

// published is what the world finds as the addresses of a host: what its name
// servers say, since the resolver looks into /etc/hosts first, where many
// machines and containers have their own name. Where these cannot be asked, it
// is what the resolver says.
func (s *Subject) published(ctx context.Context, host string) ([]netip.Addr, error) {
	authority, can := s.Resolver.(appliance.Authority)
	if !can {
		return s.addresses(ctx, host)
	}
	asking, cancel := lookupContext(ctx)
	defer cancel()
	var all []netip.Addr
	answered := 0
	for _, typ := range []appliance.QueryType{appliance.QueryA, appliance.QueryAAAA} {
		answer, err := authority.AskAuthority(asking, typ, host)
		if err != nil {
			return s.addresses(ctx, host)
		}
		i := slices.IndexFunc(answer.Servers, func(a appliance.ServerAnswer) bool { return a.Err == nil || isNotFound(a.Err) })
		if i < 0 {
			continue
		}
		answered++
		for _, ip := range answer.Servers[i].Answer.Addrs {
			all = append(all, ip.Unmap())
		}
	}
	switch {
	case answered < 2 && all == nil:
		return s.addresses(ctx, host)
	case all == nil:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

// dialHost connects to a host by the addresses of the resolver, one after the
// other.
func (s *Subject) dialHost(ctx context.Context, network, host string, port uint16) (net.Conn, error) {
	all := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		all = append(all, ip)
	} else if all, err = s.addresses(ctx, host); err != nil {
		return nil, err
	}
	var err error = &net.DNSError{Err: "no address of this family", Name: host, IsNotFound: true}
	for _, ip := range all {
		if network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
			continue
		}
		var c net.Conn
		if c, err = s.dial(ctx, network, net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// dialTime bounds one attempt to connect.
const dialTime = 6 * time.Second

func (s *Subject) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return s.Dial(ctx, network, address)
}

// absolute is a name that no search list completes.
func absolute(name string) string {
	if name == "" || name[len(name)-1] == '.' {
		return name
	}
	return name + "."
}
