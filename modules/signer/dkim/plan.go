package dkim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A plan says which keys the configuration asks for, by domain in the order of
// the file.
type plan struct {
	domains []string
	keys    map[string][]wanted
}

// wanted is a key that the configuration asks for: in a file, or, where file
// is empty, in key_dir or in the store.
type wanted struct {
	domain, selector string
	file             string
	algorithm        string // of a key to make
}

func (d *DKIM) makePlan() (*plan, error) {
	p := &plan{keys: make(map[string][]wanted)}
	for _, name := range d.Domains {
		domain, err := parseDomain(name)
		if err != nil {
			return nil, &appliance.AttrError{Attr: "domains", Msg: err.Error()}
		}
		if slices.Contains(p.domains, domain) {
			return nil, &appliance.AttrError{Attr: "domains", Msg: domain + " stands in the list twice"}
		}
		p.domains = append(p.domains, domain)
	}
	for _, k := range d.KeyFiles {
		if err := p.addFile(k); err != nil {
			return nil, &appliance.AttrError{Attr: "key", Msg: err.Error()}
		}
	}
	if len(p.domains) == 0 {
		return nil, &appliance.AttrError{Attr: "domains", Msg: `is missing: nothing would be signed; write domains = ["example.com"]`}
	}
	if err := checkSelector(d.Selector); err != nil {
		return nil, &appliance.AttrError{Attr: "selector", Msg: err.Error()}
	}
	made, err := d.selectors()
	if err != nil {
		return nil, &appliance.AttrError{Attr: "algorithms", Msg: err.Error()}
	}
	for _, domain := range p.domains {
		if len(p.keys[domain]) > 0 {
			continue
		}
		for _, w := range made {
			w.domain = domain
			p.keys[domain] = append(p.keys[domain], w)
		}
	}
	return p, p.checkNames()
}

// addFile adds the key of a key block, to one domain or to all of them.
func (p *plan) addFile(k KeyFile) error {
	if err := checkSelector(k.Selector); err != nil {
		return err
	}
	if k.File == "" {
		return fmt.Errorf("%q needs file, the path of the private key", k.Selector)
	}
	domains := p.domains
	if k.Domain != "" {
		domain, err := parseDomain(k.Domain)
		if err != nil {
			return fmt.Errorf("%q: domain: %w", k.Selector, err)
		}
		if !slices.Contains(p.domains, domain) {
			p.domains = append(p.domains, domain)
		}
		domains = []string{domain}
	}
	if len(domains) == 0 {
		return fmt.Errorf("%q is for no domain; give it one, or write domains", k.Selector)
	}
	for _, domain := range domains {
		w := wanted{domain: domain, selector: k.Selector, file: k.File}
		if slices.ContainsFunc(p.keys[domain], func(o wanted) bool { return strings.EqualFold(o.selector, w.selector) }) {
			return fmt.Errorf("two keys with selector %q for %s; each needs a selector of its own", w.selector, domain)
		}
		p.keys[domain] = append(p.keys[domain], w)
	}
	return nil
}

// selectors are the keys to make for a domain that brings none, without the
// domain.
func (d *DKIM) selectors() ([]wanted, error) {
	var all []wanted
	for _, a := range d.Algorithms {
		w := wanted{selector: d.Selector, algorithm: a}
		switch a {
		case RSA2048, RSA4096:
		case Ed25519:
			w.selector += "-" + Ed25519
		default:
			return nil, fmt.Errorf("%q is unknown; use %q, %q or %q", a, RSA2048, RSA4096, Ed25519)
		}
		if slices.ContainsFunc(all, func(o wanted) bool { return o.selector == w.selector }) {
			return nil, fmt.Errorf("holds %q beside another of its kind; one is enough", a)
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		return nil, errors.New(`is empty; write algorithms = ["rsa2048"]`)
	}
	return all, nil
}

// checkNames holds the names of the records to the length of a domain name.
func (p *plan) checkNames() error {
	for _, domain := range p.domains {
		for _, w := range p.keys[domain] {
			if err := checkRecordName(domain, w.selector); err != nil {
				return &appliance.AttrError{Attr: "selector", Msg: err.Error()}
			}
		}
	}
	return nil
}

// recordName is where the public key stands. RFC 6376, section 3.6.2.1: all
// DKIM keys are stored in a subdomain named "_domainkey".
func recordName(domain, selector string) string { return selector + "._domainkey." + domain }

func checkRecordName(domain, selector string) error {
	if name := recordName(domain, selector); len(name) > 253 {
		return fmt.Errorf("makes a name of %d characters for %s; the DNS has room for 253", len(name), domain)
	}
	return nil
}

// makes says whether there is a domain whose keys are made.
func (p *plan) makes(keyDir string) bool {
	return keyDir == "" && slices.ContainsFunc(p.domains, func(domain string) bool { return p.keys[domain][0].file == "" })
}

func parseDomain(s string) (string, error) {
	domain, err := appliance.ParseDomain(s)
	if err == nil && domain[0] == '[' {
		err = fmt.Errorf("%s is an address; DKIM needs a domain", domain)
	}
	return domain, err
}

// checkSelector says what is wrong with a selector. It holds it to the
// sub-domain *("." sub-domain) of RFC 6376, section 3.1, which also makes it
// fit for a file name. The underscore is not part of that, but in use.
func checkSelector(s string) error {
	ok := s != "" && len(s) <= 200
	for label := range strings.SplitSeq(s, ".") {
		clean := strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
		ok = ok && clean && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
	}
	if !ok {
		return fmt.Errorf(`%.70q is no selector; use letters, digits and hyphens, such as "mail" or "s2026"`, s)
	}
	return nil
}
