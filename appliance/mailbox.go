package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A Mailbox is an address without its angle brackets. Local is the local part
// with its quoting removed. Domain is in lower case and in A-label form, or an
// address literal such as "[192.0.2.1]" or "[IPv6:2001:db8::1]" in canonical
// form. Equal mailboxes are ==, except that the case of Local is kept
// (RFC 5321, section 2.4).
//
// The zero Mailbox is the null reverse-path. Only "postmaster" may stand
// without a domain (RFC 5321, section 4.5.1).
type Mailbox struct{ Local, Domain string }

// Limits of RFC 5321, section 4.5.3.1, in octets.
const (
	maxLocal   = 64
	maxDomain  = 255
	maxMailbox = 254 // a path of 256 less its brackets
)

// IsNull says whether m is the null reverse-path.
func (m Mailbox) IsNull() bool { return m == Mailbox{} }

// IsASCII says whether m can be sent without SMTPUTF8.
func (m Mailbox) IsASCII() bool { return isASCII(m.Local) }

// Literal returns the address of an address literal.
func (m Mailbox) Literal() (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(m.Domain, "[")
	if !ok {
		return netip.Addr{}, false
	}
	inner = strings.TrimPrefix(strings.TrimSuffix(inner, "]"), "IPv6:")
	ip, err := netip.ParseAddr(inner)
	return ip, err == nil
}

// String is the mailbox as it stands between angle brackets in SMTP: quoted
// where the local part needs it, "" for the null reverse-path.
func (m Mailbox) String() string {
	if m.IsNull() {
		return ""
	}
	local := m.Local
	if !isDotString(local) {
		local = quote(local)
	}
	if m.Domain == "" {
		return local
	}
	return local + "@" + m.Domain
}

// Path is the mailbox in angle brackets: "<user@example.org>", "<>".
func (m Mailbox) Path() string { return "<" + m.String() + ">" }

// MarshalText writes the mailbox as String does.
func (m Mailbox) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *Mailbox) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*m = Mailbox{}
		return nil
	}
	*m, err = ParseMailbox(string(b))
	return err
}

// NewMailbox makes a mailbox of an unquoted local part and a domain.
func NewMailbox(local, domain string) (Mailbox, error) {
	if local == "" {
		return Mailbox{}, errors.New("empty local part")
	}
	if len(local) > maxLocal {
		return Mailbox{}, fmt.Errorf("local part of %d octets, at most %d are allowed", len(local), maxLocal)
	}
	if !utf8.ValidString(local) {
		return Mailbox{}, errors.New("local part is not UTF-8")
	}
	if strings.ContainsFunc(local, IsControl) {
		return Mailbox{}, errors.New("control character in local part")
	}
	d, err := ParseDomain(domain)
	if err != nil {
		return Mailbox{}, err
	}
	m := Mailbox{local, d}
	if len(m.String()) > maxMailbox {
		return Mailbox{}, fmt.Errorf("address of %d octets, at most %d are allowed", len(m.String()), maxMailbox)
	}
	return m, nil
}

// IsControl says whether r has no glyph of its own and could make a line, or
// the order of its letters, look like another: the C0 and C1 controls, the
// line and paragraph separators and the bidirectional controls of Unicode.
// What strangers wrote is passed on and shown without them.
func IsControl(r rune) bool {
	if r < 0x80 {
		return r < ' ' || r == 0x7f
	}
	return r < 0xa0 || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// ParseMailbox parses the Mailbox of RFC 5321, section 4.1.2, as extended by
// RFC 6531, section 3.3, and nothing else: no source route, no comment, no
// white space, no second "@" outside a quoted string. "postmaster" may stand
// alone, in any case.
func ParseMailbox(s string) (Mailbox, error) {
	if strings.EqualFold(s, "postmaster") {
		return Mailbox{Local: "postmaster"}, nil
	}
	if len(s) > 2*maxMailbox { // quoting can double an address
		return Mailbox{}, fmt.Errorf("address of %d octets, at most %d are allowed", len(s), maxMailbox)
	}
	if strings.HasPrefix(s, `"`) {
		local, rest, err := unquote(s)
		if err != nil {
			return Mailbox{}, err
		}
		domain, ok := strings.CutPrefix(rest, "@")
		if !ok {
			return Mailbox{}, errors.New("no @ after the quoted local part")
		}
		return NewMailbox(local, domain)
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		return Mailbox{}, errors.New("no @ in address")
	}
	if !isDotString(local) {
		return Mailbox{}, fmt.Errorf("local part %.70q is not a dot-string", local)
	}
	return NewMailbox(local, domain)
}

// ParseDomain parses the Domain or address-literal of RFC 5321, section 4.1.2
// and returns its canonical form: lower case, A-labels.
func ParseDomain(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("empty domain")
	case len(s) > maxDomain:
		return "", fmt.Errorf("domain of %d octets, at most %d are allowed", len(s), maxDomain)
	case s[0] == '[':
		return parseLiteral(s)
	case !utf8.ValidString(s):
		return "", errors.New("domain is not UTF-8")
	}
	if !isASCII(s) {
		a, err := idna.Lookup.ToASCII(s)
		if err != nil {
			return "", fmt.Errorf("domain %.70q: not a valid international name", s)
		}
		s = a
	}
	if len(s) > maxDomain { // an A-label can be longer than what it stands for
		return "", fmt.Errorf("domain of %d octets, at most %d are allowed", len(s), maxDomain)
	}
	s = strings.ToLower(s)
	for label := range strings.SplitSeq(s, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("domain %.70q: %w", s, err)
		}
	}
	if endsInNumber(s) {
		return "", fmt.Errorf("domain %.70q: an IP address needs brackets", s)
	}
	return s, nil
}

// endsInNumber catches every spelling of an IPv4 address that some resolver
// takes for one: "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1".
// No top-level domain is a number (RFC 3696, section 2).
func endsInNumber(domain string) bool {
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// checkLabel holds a label to letters, digits and hyphens, none at the ends
// (RFC 5321, section 4.1.2), and to 63 octets (RFC 1035, section 2.3.4). An
// underscore is let pass: such domains exist and receive mail.
func checkLabel(label string) error {
	if label == "" {
		return errors.New("empty label")
	}
	if len(label) > 63 {
		return errors.New("label of more than 63 octets")
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return errors.New("label begins or ends with a hyphen")
	}
	for _, c := range []byte(label) {
		if !isAlnum(c) && c != '-' && c != '_' {
			return fmt.Errorf("character %q is not allowed", c)
		}
	}
	return nil
}

func parseLiteral(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", errors.New("address literal without closing bracket")
	}
	if v6, ok := cutPrefixFold(inner, "IPv6:"); ok {
		ip, err := netip.ParseAddr(v6)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", fmt.Errorf("%.70q is not an IPv6 address literal", s)
		}
		return "[IPv6:" + ip.String() + "]", nil
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || !ip.Is4() {
		return "", fmt.Errorf("%.70q is not an address literal", s)
	}
	return "[" + ip.String() + "]", nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isDotString follows RFC 5321, section 4.1.2: Dot-string = Atom *("."  Atom),
// with the atext of RFC 5322, section 3.2.3, and that of RFC 6531 beyond ASCII.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x80 && !isAlnum(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return false
		}
	}
	return true
}

func quote(local string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// unquote takes the Quoted-string of RFC 5321, section 4.1.2, off the front
// of s.
func unquote(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			// quoted-pairSMTP = %d92 %d32-126
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("backslash before nothing printable in quoted local part")
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quoted local part is not closed")
}
