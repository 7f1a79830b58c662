package appliance

import (
	"errors"
	"fmt"
	"strings"
)

// From returns the mailboxes of the From field. It is an error when there is
// no From field, more than one, one that cannot be parsed, or one with a group
// in place of a mailbox: nobody could say whose message it is (RFC 5322,
// section 3.6.2).
func (h *Header) From() ([]Mailbox, error) { return h.mailboxes("From") }

// mailboxes parses the mailbox-list of the one field with the name.
func (h *Header) mailboxes(name string) ([]Mailbox, error) {
	values := h.Values(name)
	if len(values) != 1 {
		return nil, fmt.Errorf("%d %s fields, exactly one is needed", len(values), name)
	}
	all, err := parseMailboxList(values[0])
	if err != nil {
		return nil, fmt.Errorf("%s field: %w", name, err)
	}
	return all, nil
}

// parseMailboxList parses the mailbox-list of RFC 5322, section 3.4. Display
// names are passed over, in whatever charset or encoding, but what is an
// address is told strictly: no group (RFC 6854), no source route, nothing
// that could be read in two ways.
func parseMailboxList(s string) ([]Mailbox, error) {
	p := listParser{s}
	var all []Mailbox
	for p.more() {
		if p.skip(',') { // section 4.4: obs-mbox-list may have empty elements
			continue
		}
		m, err := p.mailbox()
		if err != nil {
			return nil, err
		}
		all = append(all, m)
		if p.more() && !p.skip(',') {
			return nil, fmt.Errorf("%.20q after an address", p.rest)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no address")
	}
	return all, nil
}

type listParser struct{ rest string }

// next passes over comments and white space, and looks at the octet behind;
// it is 0 at the end. A comment that does not end is none: one program shows
// the addresses in it and another does not.
func (p *listParser) next() byte {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		if p.rest == "" {
			return 0
		}
		rest, closed := skipComment(p.rest)
		if !closed {
			return p.rest[0]
		}
		p.rest = rest
	}
}

// more says whether anything but comments and white space is left.
func (p *listParser) more() bool { return p.next() != 0 || p.rest != "" }

// skip passes over c, if it comes next.
func (p *listParser) skip(c byte) bool {
	if p.next() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// mailbox = name-addr / addr-spec: words, and then an address in brackets, or
// one word that turns out to be a local part.
func (p *listParser) mailbox() (Mailbox, error) {
	var word string
	for n := 0; ; n++ {
		switch {
		case p.skip('<'):
			m, err := p.addrSpec()
			if err == nil && !p.skip('>') {
				err = errors.New("address is not closed")
			}
			return m, err
		case p.next() == '@' && n == 1:
			return p.address(word)
		}
		if word = p.word(); word == "" {
			return Mailbox{}, fmt.Errorf("%.20q where an address should be", p.rest)
		}
	}
}

func (p *listParser) addrSpec() (Mailbox, error) { return p.address(p.word()) }

// address parses what follows the local part, which may be quoted.
func (p *listParser) address(local string) (Mailbox, error) {
	if !p.skip('@') {
		return Mailbox{}, errors.New("no @ in address")
	}
	if p.next() != '[' {
		return ParseMailbox(local + "@" + p.word())
	}
	end := strings.IndexByte(p.rest, ']') + 1
	literal := p.rest[:end]
	p.rest = p.rest[end:]
	return ParseMailbox(local + "@" + literal)
}

// word takes a quoted string, as it is, or a run of what is not special, dots
// and 8-bit octets among it; it is "" if something else comes next.
func (p *listParser) word() string {
	quoted := p.next() == '"'
	end := strings.IndexFunc(p.rest, isSpecial)
	switch {
	case quoted:
		end = len(p.rest) - len(skipPast(p.rest[1:], '"'))
	case end < 0:
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// isSpecial follows RFC 5322, section 3.2.3, but for the dot.
func isSpecial(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, r)
}

// skipPast returns what follows the first end that no backslash precedes.
func skipPast(s string, end byte) string {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case end:
			return s[i+1:]
		}
	}
	return ""
}
