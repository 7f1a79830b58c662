package mx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// SendFrom is a send_from block.
type SendFrom struct {
	// An address of this machine: "203.0.113.7" or "2001:db8::7".
	Address string `hcl:"address,label"`
	// The name that is told to receivers (EHLO). It should be that in the PTR
	// record of the address, and should lead back to the address: many receivers
	// look. Default: hostname of the server.
	Hostname string `hcl:"hostname,optional"`
}

// maxSendFrom bounds the send_from blocks.
const maxSendFrom = 20

// A source is an address of ours with the name told with it; "" is that of the
// server. The zero source is what the system chooses.
type source struct {
	addr netip.Addr
	name string
}

// sources are those of each family, in the order of the file; empty if the
// system chooses.
type sources map[string][]source

// has says whether a family can be sent from.
func (s sources) has(family string) bool { return len(s) == 0 || len(s[family]) > 0 }

// choice says that there is more than one address to send from.
func (s sources) choice() bool { return len(s["ip4"])+len(s["ip6"]) > 1 }

func (m *MX) sourceAttr() string {
	if len(m.SendFrom) > 0 {
		return "send_from"
	}
	return "source"
}

// parseSources reads source or send_from. The error is an AttrError.
func (m *MX) parseSources() (sources, error) {
	all, blame := make(sources, 2), func(format string, args ...any) error {
		return &appliance.AttrError{Attr: m.sourceAttr(), Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(m.SendFrom) > 0 && len(m.Source) > 0:
		return nil, blame("stands beside source; write a send_from block for each address of source, and leave it out")
	case len(m.SendFrom) > maxSendFrom:
		return nil, blame("is there %d times, at most %d are allowed", len(m.SendFrom), maxSendFrom)
	}
	for _, text := range m.Source {
		ip, err := parseSource(text)
		if err != nil {
			return nil, blame("%v", err)
		}
		if len(all[family(ip)]) > 0 {
			return nil, blame("%s is the second address of its family; for several write a send_from block for each", ip)
		}
		all[family(ip)] = []source{{addr: ip}}
	}
	for _, b := range m.SendFrom {
		s, err := b.parse()
		if err != nil {
			return nil, blame("%v", err)
		}
		f := family(s.addr)
		if slices.ContainsFunc(all[f], func(x source) bool { return x.addr == s.addr }) {
			return nil, blame("%s is there twice", s.addr)
		}
		all[f] = append(all[f], s)
	}
	return all, nil
}

func (b *SendFrom) parse() (s source, err error) {
	if s.addr, err = parseSource(b.Address); err != nil || b.Hostname == "" {
		return s, err
	}
	s.name, err = appliance.ParseDomain(b.Hostname)
	if err != nil || strings.HasPrefix(s.name, "[") || !strings.Contains(s.name, ".") {
		return s, fmt.Errorf(`%s: hostname %q is not the full name of a host, such as "mail1.example.com"`, b.Address, b.Hostname)
	}
	return s, nil
}

func parseSource(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is4In6() {
		return ip, fmt.Errorf(`%q is not an IP address; write "203.0.113.7" or "2001:db8::7"`, text)
	}
	return ip, nil
}

// isOwnName says that a mail exchanger of this name is this server.
func (m *MX) isOwnName(name string) bool {
	if strings.EqualFold(name, m.hostname) {
		return true
	}
	return slices.ContainsFunc(m.SendFrom, func(b SendFrom) bool { return b.Hostname != "" && strings.EqualFold(name, b.Hostname) })
}

// dial connects to an address that has been looked up. The guard looks at what
// is really dialled.
func (m *MX) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: m.guard.control}
	return d.DialContext(ctx, network, address)
}

// dialFrom is dial from an address of ours.
func (m *MX) dialFrom(ctx context.Context, from netip.Addr, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: m.guard.control, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.DialContext(ctx, network, address)
}

// family is what the resolver calls the family of an address.
func family(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// split sorts the families into those that are used and the others.
func split(versions []string, from sources) (used, unused []string) {
	for _, version := range []string{ipv4, ipv6} {
		if !slices.Contains(versions, version) {
			unused = append(unused, "ip"+version[3:])
		}
	}
	for _, version := range versions {
		f := "ip" + version[3:]
		if from.has(f) {
			used = append(used, f)
		} else {
			unused = append(unused, f)
		}
	}
	return used, unused
}

// explainSources says from which addresses mail leaves, and how much of it while
// they are new.
func (m *MX) explainSources(ctx context.Context, dns bool) []appliance.Answer {
	return append(m.explainAddresses(ctx, dns), m.warmup.explain(time.Now())...)
}

// explainAddresses says from which addresses mail leaves, and with which names.
func (m *MX) explainAddresses(ctx context.Context, dns bool) []appliance.Answer {
	if len(m.Source) > 0 {
		return []appliance.Answer{{Topic: "source", Text: strings.Join(m.Source, " and "), Attr: "source"}}
	}
	var all []appliance.Answer
	for i, b := range m.SendFrom {
		name := b.Hostname
		if name == "" {
			name = m.hostname
		}
		text := b.Address + " as " + name
		if dns {
			text += m.explainPTR(ctx, b.Address, name)
		}
		all = append(all, appliance.Answer{Topic: "source", Text: text, Attr: fmt.Sprintf("send_from.%d", i+1)})
	}
	return all
}

// explainPTR says what is wrong with the PTR record of an address of ours.
func (m *MX) explainPTR(ctx context.Context, address, name string) string {
	found, err := m.resolver.LookupAddr(ctx, address)
	switch {
	case err != nil && !notFound(err):
		return "; its PTR record cannot be looked up"
	case len(found) == 0:
		return "; it has no PTR record, which many receivers refuse"
	case !slices.ContainsFunc(found, func(f string) bool { return strings.EqualFold(strings.TrimSuffix(f, "."), name) }):
		return "; its PTR record says " + strings.TrimSuffix(found[0], ".") + ", which many receivers refuse"
	}
	return ""
}
