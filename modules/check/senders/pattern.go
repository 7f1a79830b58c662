package senders

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A pattern is a set of addresses, as the package comment describes them.
type pattern struct {
	kind   kind
	local  string // of kinds address and userAt; may contain placeholder
	domain string
}

type kind int

const (
	anyone    kind = iota // *
	address               // bob@example.com
	domain                // @example.com
	subdomain             // @*.example.com
	userAt                // local with {user} @ domain
	userOnly              // {user}
)

const placeholder = "{user}"

func parsePattern(s string) (pattern, error) {
	if s == "*" {
		return pattern{kind: anyone}, nil
	}
	if s == placeholder {
		return pattern{kind: userOnly}, nil
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return pattern{}, fmt.Errorf(`%q is no address; write "bob@example.com", "@example.com" for a whole domain, or "*"`, s)
	}
	local, dom := s[:at], s[at+1:]
	if local == "" {
		return parseDomainPattern(dom)
	}
	if strings.Contains(local, "*") {
		return pattern{}, fmt.Errorf(`%q: "*" cannot stand for part of a local part; write "@%s" for the whole domain`, s, dom)
	}
	// What a user name may look like is decided when there is one.
	m, err := appliance.ParseMailbox(strings.ReplaceAll(local, placeholder, "user") + "@" + dom)
	if err != nil {
		return pattern{}, fmt.Errorf("%q: %w", s, err)
	}
	if strings.Contains(local, placeholder) {
		return pattern{userAt, local, m.Domain}, nil
	}
	return pattern{address, m.Local, m.Domain}, nil
}

func parseDomainPattern(s string) (pattern, error) {
	rest, sub := strings.CutPrefix(s, "*.")
	d, err := appliance.ParseDomain(rest)
	if err != nil {
		return pattern{}, fmt.Errorf("%q: %w", "@"+s, err)
	}
	if sub {
		return pattern{kind: subdomain, domain: d}, nil
	}
	return pattern{kind: domain, domain: d}, nil
}

func (p pattern) needsUser() bool { return p.kind == userAt || p.kind == userOnly }

func (p pattern) match(m appliance.Mailbox, user string) bool {
	switch p.kind {
	case anyone:
		return true
	case domain:
		return m.Domain == p.domain
	case subdomain:
		return strings.HasSuffix(m.Domain, "."+p.domain)
	case address:
		return equal(m, appliance.Mailbox{Local: p.local, Domain: p.domain})
	case userOnly:
		// The name is an address or it is not: it is never a pattern.
		own, err := appliance.ParseMailbox(user)
		return err == nil && equal(m, own)
	case userAt:
		local := strings.ReplaceAll(p.local, placeholder, user)
		return equal(m, appliance.Mailbox{Local: local, Domain: p.domain})
	}
	return false
}

// equal compares local parts without case: RFC 5321, section 2.4, leaves their
// case to the receiving host, but no host here gives "Bob" and "bob" to two
// people, and mail programs write what their user typed.
func equal(a, b appliance.Mailbox) bool {
	return a.Domain == b.Domain && strings.EqualFold(a.Local, b.Local)
}

type patterns []pattern

func parsePatterns(list []string) (patterns, error) {
	all := make(patterns, 0, len(list))
	var errs []error
	for _, s := range list {
		p, err := parsePattern(s)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, p)
	}
	return all, errors.Join(errs...)
}

func (ps patterns) match(m appliance.Mailbox, user string) bool {
	for _, p := range ps {
		if p.match(m, user) {
			return true
		}
	}
	return false
}
