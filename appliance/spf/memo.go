package spf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxQuestions bounds the questions of one check. A receiver that keeps to the
// limits of RFC 7208 asks at most 10 × (1 + 10) of them.
const maxQuestions = 150

// A memo asks each question once, however often the walk comes by. It is what
// the library sees of the DNS.
type memo struct {
	resolver appliance.Resolver
	texts    map[string]told[string]
	mx       map[string]told[*net.MX]
	addrs    map[string]told[net.IPAddr]
	names    map[string]told[string]

	asked  int
	voids  int      // questions to which there is no answer
	failed string   // the last question that nobody answered: "TXT example.com"
	seen   []string // since it was emptied: the names whose addresses were asked for, and which they are
}

type told[T any] struct {
	all []T
	err error
}

func newMemo(r appliance.Resolver) *memo {
	return &memo{
		resolver: r,
		texts:    make(map[string]told[string]), mx: make(map[string]told[*net.MX]),
		addrs: make(map[string]told[net.IPAddr]), names: make(map[string]told[string]),
	}
}

var errTooMany = &net.DNSError{Err: "too many questions for one SPF check", IsTemporary: true}

// once answers from what is known already, or asks.
func once[T any](m *memo, known map[string]told[T], typ, name string, void bool, ask func(name string) ([]T, error)) ([]T, error) {
	name = canonical(name)
	t, ok := known[name]
	if !ok {
		t = told[T]{err: errTooMany}
		if m.asked++; m.asked <= maxQuestions {
			t.all, t.err = ask(name + ".") // absolute: no search list
		}
		if len(t.all) > 0 {
			t.err = nil // of some records that cannot be read the others count
		}
		known[name] = t
		if void && notFound(t.err) {
			m.voids++
		}
	}
	if t.err != nil && !notFound(t.err) {
		m.failed = typ + " " + name
	}
	return t.all, t.err
}

func notFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

// LookupTXT implements the resolver of the library.
func (m *memo) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if !hasRecords(canonical(name)) {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return once(m, m.texts, "TXT", name, false, func(name string) ([]string, error) { return m.resolver.LookupTXT(ctx, name) })
}

// A strict shows the library no record that has a mistake in it: the library
// evaluates such records as far as it gets. The mistake is noted.
type strict struct {
	*memo
	found *syntaxError
}

// broken is a record that the library takes for a mistake.
const broken = "v=spf1 !"

// LookupTXT implements the resolver of the library.
func (s *strict) LookupTXT(ctx context.Context, name string) ([]string, error) {
	texts, err := s.memo.LookupTXT(ctx, name)
	for i, t := range texts {
		if !Is(t) {
			continue
		}
		if e := checkSyntax(canonical(name), t); e != nil {
			s.found = e
			texts = slices.Clone(texts)
			texts[i] = broken
		}
	}
	return texts, err
}

// LookupMX implements the resolver of the library.
func (m *memo) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	all, err := once(m, m.mx, "MX", name, true, func(name string) ([]*net.MX, error) { return m.resolver.LookupMX(ctx, name) })
	see(m, "MX of "+canonical(name), all, err, func(mx *net.MX) string { return canonical(mx.Host) })
	return all, err
}

// LookupIPAddr implements the resolver of the library.
func (m *memo) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	all, err := once(m, m.addrs, "A and AAAA", name, true, func(name string) ([]net.IPAddr, error) {
		ips, err := m.resolver.LookupNetIP(ctx, "ip", name)
		return ipAddrs(ips), err
	})
	see(m, canonical(name), all, err, func(a net.IPAddr) string { return a.String() })
	return all, err
}

func ipAddrs(ips []netip.Addr) (all []net.IPAddr) {
	for _, ip := range ips {
		all = append(all, net.IPAddr{IP: net.IP(ip.Unmap().AsSlice())})
	}
	return all
}

// LookupAddr implements the resolver of the library.
func (m *memo) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	all, err := once(m, m.names, "PTR", addr, true, func(string) ([]string, error) { return m.resolver.LookupAddr(ctx, addr) })
	see(m, "PTR of "+addr, all, err, canonical)
	return all, err
}

// maxSeen is how many records of one answer are shown.
const maxSeen = 5

// see notes what an answer was, for people.
func see[T any](m *memo, what string, all []T, err error, word func(T) string) {
	var words []string
	for _, one := range all[:min(len(all), maxSeen)] {
		words = append(words, word(one))
	}
	if more := len(all) - maxSeen; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	switch {
	case len(all) > 0:
		what += ": " + strings.Join(words, ", ")
	case notFound(err) || err == nil:
		what += ": nothing"
	default:
		what += ": no answer"
	}
	if !slices.Contains(m.seen, what) {
		m.seen = append(m.seen, what)
	}
}

// shown is what was seen since the last time.
func (m *memo) shown() string {
	all := strings.Join(m.seen, "; ")
	m.seen = nil
	return all
}
