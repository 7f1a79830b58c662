package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxQueries bounds a walk (RFC 9989, section 4.10): a name of a hundred labels
// costs no more than one of eight.
const maxQueries = 8

// A node is a record that a walk has found.
type node struct {
	domain string
	record Record
}

// A Policy is what counts for mail from a domain.
type Policy struct {
	Domain  string      // whose record it is; "" if there is none
	Record  Record      // as it is published there
	Tag     string      // the tag that counts for the domain: "p", "sp" or "np"
	Request Disposition // what that tag asks for; "" if there is no policy
	// Note says in words why there is no record to use, although there is text
	// at the domain.
	Note string
}

// Find finds the policy for mail whose From field names a domain: its own, or
// that of its organizational domain, or that of the public suffix it is below
// (RFC 9989, section 4.10.1). Without one, Domain is "" and the error nil. The
// error means that it cannot be known now.
func Find(ctx context.Context, r appliance.Resolver, domain string) (Policy, error) {
	domain, err := normal(domain)
	if err != nil {
		return Policy{}, err
	}
	own, note, err := ask(ctx, r, domain)
	if err != nil {
		return Policy{}, err
	}
	if own != nil {
		return Policy{Domain: domain, Record: *own, Tag: "p", Request: own.Policy}, nil
	}
	nodes, err := walk(ctx, r, domain)
	if err != nil {
		return Policy{}, err
	}
	n := inherited(domain, nodes)
	if n == nil {
		return Policy{Note: note}, nil
	}
	p := Policy{Domain: n.domain, Record: n.record, Note: note}
	p.Tag, p.Request, err = below(ctx, r, domain, n.record)
	return p, err
}

// inherited is whose record counts for a domain that has none: that of the
// organizational domain, or else that of the public suffix above it.
func inherited(domain string, nodes []node) *node {
	org := organizational(domain, nodes)
	for i := range nodes {
		if nodes[i].domain == org {
			return &nodes[i]
		}
	}
	for i := range nodes {
		if nodes[i].record.PSD == "y" {
			return &nodes[i]
		}
	}
	return nil
}

// below is what a record asks for mail of a domain below its own: np= if the
// domain does not exist, sp= if it does, and else p=.
func below(ctx context.Context, r appliance.Resolver, domain string, record Record) (string, Disposition, error) {
	if record.Policy == "" {
		return "p", "", nil
	}
	if record.Nonexistent != "" {
		there, err := exists(ctx, r, domain)
		if err != nil {
			return "", "", err
		}
		if !there {
			return "np", record.Nonexistent, nil
		}
	}
	if record.Subdomains != "" {
		return "sp", record.Subdomains, nil
	}
	return "p", record.Policy, nil
}

// exists says whether a domain has an address or a mail exchanger (RFC 9989,
// section 3.2: a non-existent domain has no A, AAAA or MX record).
func exists(ctx context.Context, r appliance.Resolver, domain string) (bool, error) {
	mx, err := r.LookupMX(ctx, domain+".")
	if err != nil && !notFound(err) && len(mx) == 0 {
		return false, unknown("MX", domain, err)
	}
	if len(mx) > 0 {
		return true, nil
	}
	ips, err := r.LookupNetIP(ctx, "ip", domain+".")
	if err != nil && !notFound(err) {
		return false, unknown("address", domain, err)
	}
	return len(ips) > 0, nil
}

// OrganizationalDomain is the domain that a name belongs to: the one that
// relaxed alignment compares (RFC 9989, section 4.10.2). Without any record on
// the way it is the name itself.
func OrganizationalDomain(ctx context.Context, r appliance.Resolver, domain string) (string, error) {
	org, _, err := Organization(ctx, r, domain)
	return org, err
}

// Organization is [OrganizationalDomain], and says whether a record was found
// on the way. Without one there is no policy for the domain, so that nothing
// fails DMARC.
func Organization(ctx context.Context, r appliance.Resolver, domain string) (org string, found bool, err error) {
	domain, err = normal(domain)
	if err != nil {
		return "", false, err
	}
	nodes, err := walk(ctx, r, domain)
	if err != nil {
		return "", false, err
	}
	return organizational(domain, nodes), len(nodes) > 0, nil
}

// organizational selects among what a walk from domain has found, from the
// longest to the shortest (RFC 9989, section 4.10.2).
func organizational(domain string, nodes []node) string {
	for _, n := range nodes {
		switch {
		case n.record.PSD == "n":
			return n.domain
		case n.record.PSD == "y" && n.domain != domain:
			// "the Organizational Domain is the domain one label below this
			// one in the DNS hierarchy"
			return oneBelow(n.domain, domain)
		}
	}
	if len(nodes) > 0 {
		return nodes[len(nodes)-1].domain
	}
	return domain
}

// oneBelow is the domain below parent that domain is, or is in.
func oneBelow(parent, domain string) string {
	rest := strings.TrimSuffix(domain, "."+parent)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + parent
}

// walk is the DNS Tree Walk: the records at a domain and above it.
func walk(ctx context.Context, r appliance.Resolver, domain string) (nodes []node, err error) {
	for _, target := range targets(domain) {
		record, _, err := ask(ctx, r, target)
		if err != nil {
			return nil, err
		}
		if record == nil {
			continue
		}
		nodes = append(nodes, node{target, *record})
		// "If a single record remains and it contains either a "psd=y" tag or
		// a "psd=n" tag, stop."
		if record.PSD != "u" {
			break
		}
	}
	return nodes, nil
}

// targets are the names that a walk asks, in their order: the domain, and then
// those above it, of which long ones are left out.
func targets(domain string) []string {
	labels := strings.Split(domain, ".")
	all := []string{domain}
	for n := min(len(labels), maxQueries) - 1; n > 0; n-- {
		all = append(all, strings.Join(labels[len(labels)-n:], "."))
	}
	return all
}

// ask returns the record at one domain: nil if there is none, or several, which
// count as none. The note says why one that is there does not count.
func ask(ctx context.Context, r appliance.Resolver, domain string) (*Record, string, error) {
	texts, err := r.LookupTXT(ctx, "_dmarc."+domain+".")
	if err != nil && !notFound(err) {
		return nil, "", unknown("TXT", "_dmarc."+domain, err)
	}
	var found []Record
	for _, text := range texts {
		if record, err := Parse(text); err == nil {
			found = append(found, record)
		}
	}
	switch {
	case len(found) == 1:
		return &found[0], "", nil
	case len(found) > 1:
		// RFC 9989, section 4.10: "If multiple DMARC records are returned,
		// they are all discarded."
		return nil, fmt.Sprintf("there are %d DMARC records at _dmarc.%s, and so receivers use none of them: delete all but one", len(found), domain), nil
	case len(texts) > 0:
		return nil, fmt.Sprintf("the text at _dmarc.%s is no DMARC record: %.60q does not begin with v=DMARC1", domain, texts[0]), nil
	}
	return nil, "", nil
}

// normal is a domain in lower case and A-labels, without a final dot.
func normal(domain string) (string, error) {
	d, err := appliance.ParseDomain(strings.TrimSuffix(domain, "."))
	if err == nil && strings.HasPrefix(d, "[") {
		err = fmt.Errorf("%.70q is an address and no domain", d)
	}
	return d, err
}

func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

func unknown(typ, name string, err error) error {
	return fmt.Errorf("the %s record of %s cannot be looked up: %w", typ, name, err)
}

// related says whether two domains could have the same organizational domain:
// at least the last label is the same.
func related(a, b string) bool {
	return a[strings.LastIndexByte(a, '.')+1:] == b[strings.LastIndexByte(b, '.')+1:]
}
