package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// servers are the DNS servers that are asked, and how.
type servers struct {
	list    []netip.AddrPort
	timeout time.Duration // of a try, at most; 0 is what we think right
	search  []string      // lower case, no final dot
	ndots   int           // names with fewer dots are searched for first

	first *atomic.Uint32 // the index of the server to ask first
}

// named are the servers of the resolver setting.
type named struct {
	text  string
	list  []netip.AddrPort
	err   error         // what is wrong with them, which has been said when the file was read
	first atomic.Uint32 // as in servers
}

func newNamed(all appliance.DNSServers) *named {
	if len(all) == 0 {
		return nil
	}
	n := &named{text: all.String()}
	n.list, n.err = all.Parse()
	return n
}

// String is what the setting says; "" if that is nothing.
func (n *named) String() string {
	if n == nil {
		return ""
	}
	return n.text
}

// Limits of resolv.conf(5).
const (
	maxResolvConf = 64 << 10 // octets
	maxServers    = 3
	maxSearch     = 6
	maxNdots      = 15
	maxTimeout    = 30 * time.Second
)

// parseResolvConf reads resolv.conf(5). What it does not say, or if it is not
// there, is what it would be in any other program: the server on this machine.
func parseResolvConf(text string) *servers {
	s := &servers{ndots: 1, first: new(atomic.Uint32)}
	for line := range strings.Lines(text) {
		if cut := strings.IndexAny(line, "#;"); cut >= 0 {
			line = line[:cut]
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(words[1]); err == nil && len(s.list) < maxServers {
				s.list = append(s.list, netip.AddrPortFrom(ip, 53))
			}
		case "domain":
			s.search = searchList(words[1:2])
		case "search":
			s.search = searchList(words[1:])
		case "options":
			s.options(words[1:])
		}
	}
	if len(s.list) == 0 {
		s.list = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	return s
}

func searchList(words []string) (list []string) {
	for _, w := range words[:min(len(words), maxSearch)] {
		if name := strings.ToLower(strings.TrimSuffix(w, ".")); name != "" {
			list = append(list, name)
		}
	}
	return list
}

func (s *servers) options(words []string) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, ":")
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			continue
		}
		switch name {
		case "ndots":
			s.ndots = min(n, maxNdots)
		case "timeout":
			s.timeout = min(max(time.Duration(n)*time.Second, time.Second), maxTimeout)
		}
	}
}

// names are what a name may stand for, as the search list says: the most
// likely first. A name with a final dot stands for itself.
func (s *servers) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, suffix := range s.search {
		all = append(all, name+"."+suffix+".")
	}
	if strings.Count(name, ".") >= s.ndots {
		return append([]string{name + "."}, all...)
	}
	return append(all, name+".")
}

// serversFor are the servers that the settings name.
func (r *Resolver) serversFor(set settings) (*servers, error) {
	system := r.system.get()
	if set.named == nil {
		return system, nil
	}
	if set.named.err != nil {
		return nil, set.named.err
	}
	return &servers{list: set.named.list, timeout: system.timeout, search: system.search, ndots: system.ndots, first: &set.named.first}, nil
}

// rounds are the times for a try in each round. A lost packet should not cost
// much, and a server that is far from the answer needs its time.
func rounds() []time.Duration {
	return []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second}
}

// An unanswered question is what the servers said in place of an answer.
type unanswered struct{ words string }

func (u unanswered) Error() string { return u.words }

// send asks the servers in turn until one has an answer, and returns which one
// had the last word.
func (r *Resolver) send(ctx context.Context, set settings, q question) (m response, server string, err error) {
	s, err := r.serversFor(set)
	if err != nil {
		return m, set.named.String(), err
	}
	silent := s.order() // those that have said nothing yet
	for _, timeout := range r.rounds {
		if s.timeout > 0 {
			timeout = min(timeout, s.timeout)
		}
		var still []int
		for _, i := range silent {
			server = s.list[i].String()
			m, err = r.once(ctx, s.list[i], options{edns: true, dnssec: set.dnssec}, q, timeout)
			if err == nil {
				s.first.Store(uint32(i))
				return m, server, nil
			}
			if ctx.Err() != nil {
				return m, server, cmp.Or(context.Cause(ctx), err)
			}
			if _, spoke := errors.AsType[unanswered](err); !spoke {
				still = append(still, i)
			}
		}
		silent = still
	}
	return m, server, err
}

// order are the servers, the one that answered last first.
func (s *servers) order() []int {
	first := int(s.first.Load())
	all := make([]int, len(s.list))
	for i := range all {
		all[i] = (first + i) % len(s.list)
	}
	return all
}

// once asks one server: again without EDNS if it is so old that it does not
// understand the question (RFC 6891, section 7).
func (r *Resolver) once(ctx context.Context, server netip.AddrPort, o options, q question, timeout time.Duration) (response, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return response{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := r.measured(ctx, server, o, q)
	if err == nil && (m.rcode == dns.RcodeFormatError || m.rcode == dns.RcodeNotImplemented) {
		m, err = r.measured(ctx, server, options{direct: o.direct}, q)
	}
	if err == nil && m.rcode != dns.RcodeSuccess && m.rcode != dns.RcodeNameError {
		err = unanswered{fmt.Sprintf("the server answers %s", m.words())}
	}
	return m, err
}

func (r *Resolver) measured(ctx context.Context, server netip.AddrPort, o options, q question) (response, error) {
	start := time.Now()
	m, err := r.ask(ctx, server, o, q)
	r.metrics.asked(m, err, time.Since(start))
	return m, err
}

// Servers are the DNS servers that are asked, in the order of their
// file or setting; none if that cannot be read.
func (r *Resolver) Servers() []netip.AddrPort {
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	s, err := r.serversFor(set)
	if err != nil {
		return nil
	}
	return slices.Clone(s.list)
}
