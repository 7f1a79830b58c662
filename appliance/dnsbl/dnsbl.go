// Package dnsbl asks the lists of bad senders that are kept in the DNS whether
// an address or a domain is on them (RFC 5782; RFC 6471 for how such lists
// are to be run).
//
// A list is a zone. Whoever wants to know about 203.0.113.5 asks it for
//
//	5.113.0.203.zen.spamhaus.org A      127.0.0.4: it is listed, and why; no such name: it is not
//	5.113.0.203.zen.spamhaus.org TXT    the reason in words, often with a link
//
// IPv6 addresses are written as 32 nibbles, domains as they are. Receivers act
// on the first answer alone, so it decides whether mail is taken. But not every
// answer that has an address is a listing, and not every missing name is a
// clean record:
//
//	127.255.255.0/24   the list does not want to answer us: we ask by way of a
//	127.0.0.1          public resolver, too often, or with a typing error
//	203.0.113.80       the domain of the list has been sold, or a DNS server
//	                   has an answer of its own for names that do not exist
//	everything listed  the list has been closed, and says so by listing the world
//	nothing listed     the list has been closed, or refuses in silence, or a DNS
//	                   server on the way drops answers in 127.0.0.0/8
//
// For the last two, every list has entries to try it with (RFC 5782, section
// 5): 127.0.0.2 is always listed, 127.0.0.1 never. [Check] believes a listing
// only if 127.0.0.1 is not listed, and that there is none only if 127.0.0.2 is.
// Everything else is a [Listing] with a Problem and what to do about it, and
// never a reason to think ill, or well, of an address.
//
// The package keeps nothing. The resolver should have a cache: of ten addresses
// each asks for the test entries again.
package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of a check.
const (
	// listTime is for everything that one list is asked about one subject.
	listTime = 10 * time.Second
	// maxAtOnce is how many lists are asked at the same time.
	maxAtOnce = 8
	// maxCodes bounds the addresses in an answer that are looked at.
	maxCodes = 16
)

// A Resolver asks the DNS. Its errors are *net.DNSError: IsNotFound means that
// there is no such record. appliance.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// A Listing is what one list says of one address or domain.
type Listing struct {
	List    string // its name; the key of an account is left out of it
	Subject string // the address or domain
	Listed  bool   // never together with a Problem
	Codes   []Code // what the list has answered, sorted; only if Listed
	Reason  string // what it says in words, cut to what fits on a line or two; "" if it says nothing
	Delist  string // where to look it up and have it removed, "https://…"; "" if that is not known
	Problem string // why nothing is known of the subject: a sentence without its full stop; "" if it is
	Fix     string // what to do about the listing or the problem; "" if there is neither
}

// A Code is the address with which a list says what it thinks.
type Code struct {
	Addr    string // "127.0.0.4"
	Meaning string // of it, in words; "" if it is not known
}

// Text is the listing as a sentence for people, without its full stop.
func (l *Listing) Text() string {
	switch {
	case l.Problem != "":
		return fmt.Sprintf("%s does not say whether %s is listed: %s", l.List, l.Subject, l.Problem)
	case !l.Listed:
		return fmt.Sprintf("%s does not list %s", l.List, l.Subject)
	}
	words := make([]string, len(l.Codes))
	for i, c := range l.Codes {
		words[i] = c.Addr
		if c.Meaning != "" {
			words[i] = fmt.Sprintf("%s (%s)", c.Addr, c.Meaning)
		}
	}
	text := fmt.Sprintf("%s lists %s: %s", l.List, l.Subject, strings.Join(words, ", "))
	if l.Reason != "" {
		text += fmt.Sprintf(`; it says "%s"`, l.Reason)
	}
	return text
}

// Check asks the lists about an address, those alone that have its kind of
// addresses. The answers are in the order of the lists. It ends soon after ctx:
// lists that have not answered by then have that as their Problem.
func Check(ctx context.Context, r Resolver, lists []List, ip netip.Addr) []Listing {
	ip = ip.Unmap().WithZone("")
	return check(ctx, r, lists, subjectOf(ip))
}

// CheckDomain asks the lists that have domains about one, in A-labels.
func CheckDomain(ctx context.Context, r Resolver, lists []List, domain string) []Listing {
	return check(ctx, r, lists, subjectOfDomain(domain))
}

func check(ctx context.Context, r Resolver, lists []List, s subject) []Listing {
	lists = slices.DeleteFunc(slices.Clone(lists), func(l List) bool { return !s.in(&l) })
	all := make([]Listing, len(lists))
	slots := make(chan struct{}, maxAtOnce)
	var asking sync.WaitGroup
	for i := range lists {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, listTime)
			defer cancel()
			q := question{Resolver: r, list: &lists[i], subject: s}
			all[i] = q.ask(ctx)
		})
	}
	asking.Wait()
	return all
}

// A question is what one list is asked about one subject.
type question struct {
	Resolver
	list *List
	subject
}

func (q *question) ask(ctx context.Context) Listing {
	l := Listing{List: q.list.String(), Subject: q.text}
	answer, err := q.look(ctx, q.label)
	if err != nil {
		return l.because(q.list.silent(err))
	}
	if len(answer) == 0 {
		return l.because(q.tried(ctx))
	}
	codes, v := q.list.read(answer)
	if v != (verdict{}) {
		return l.because(v)
	}
	// RFC 5782, section 5: "IPv4-based DNSxLs MUST NOT contain an entry for
	// 127.0.0.1." An answer that does not come leaves the listing as it is.
	if world, err := q.look(ctx, q.never); err == nil && len(world) > 0 {
		return l.because(q.list.listsAll(q.neverText))
	}
	l.Listed, l.Codes = true, codes
	q.explain(ctx, &l)
	return l
}

// because sets why nothing is known; there need not be a reason.
func (l Listing) because(v verdict) Listing {
	l.Problem, l.Fix = v.problem, v.fix
	return l
}

// look returns what the list has for a label, nothing if there is no such name.
func (q *question) look(ctx context.Context, label string) ([]netip.Addr, error) {
	all, err := q.LookupNetIP(ctx, "ip4", label+"."+q.list.Zone+".")
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return nil, nil
	}
	return all, err
}

// tried says why a list that has no entry for the subject cannot be believed,
// which it can if it has one of those that are always there. RFC 5782, section
// 5: "IPv4-based DNSxLs MUST contain an entry for 127.0.0.2 for testing
// purposes." Of a list that has both kinds of addresses, not all have the one
// of IPv6.
func (q *question) tried(ctx context.Context) (v verdict) {
	labels, text := q.always(q.list)
	for _, label := range labels {
		answer, err := q.look(ctx, label)
		switch {
		case err != nil:
			return q.list.silent(err)
		case len(answer) > 0:
			_, v = q.list.read(answer)
			return v
		}
	}
	return q.list.listsNothing(text)
}

// explain adds the words of the list to a listing.
func (q *question) explain(ctx context.Context, l *Listing) {
	texts, err := q.LookupTXT(ctx, q.label+"."+q.list.Zone+".")
	if err == nil {
		slices.Sort(texts) // a name has several in no order
		l.Reason = reason(texts)
	}
	l.Delist = q.list.page(q.text)
	if l.Delist == "" {
		l.Delist = link(l.Reason)
	}
	l.Fix = q.list.fix(l.Codes)
	if l.Delist != "" {
		l.Fix += ": " + l.Delist
	}
}
