package mtasts

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Mode is what a domain wants if its policy is not met (RFC 8461, section 5).
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // "sending MTAs MUST NOT deliver the message"
	Testing Mode = "testing" // deliver, and report
	None    Mode = "none"    // as if there were no policy
)

// MaxSize bounds a policy, in octets (RFC 8461, section 3.3: "a suggested
// maximum … is 64 kilobytes").
const MaxSize = 64 << 10

// maxAge is the longest max_age in seconds (RFC 8461, section 3.2), about a
// year. What is longer counts as that.
const maxAge = 31557600

// ErrPolicy means that a policy is malformed.
var ErrPolicy = errors.New("the MTA-STS policy is malformed")

// A Policy is what a domain wants (RFC 8461, section 3.2).
type Policy struct {
	Mode   Mode          `json:"mode"`
	MaxAge time.Duration `json:"max_age"`      // how long it may be remembered
	MX     []string      `json:"mx,omitempty"` // "mx.example.org" or "*.example.org", lower case
}

// ParsePolicy parses a policy: one "key: value" on a line, which ends with CRLF
// or LF. Fields that are not known are ignored; of those that are, all but mx
// count once, the first time. Empty lines at the end are overlooked, which the
// grammar does not do and people do.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d octets", ErrPolicy, MaxSize)
	}
	seen := make(map[string]string)
	p := new(Policy)
	for i, line := range strings.Split(strings.TrimRight(text, " \t\r\n"), "\n") {
		key, value, err := parseField(strings.TrimSuffix(line, "\r"))
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, i+1, err)
		}
		if key == "mx" {
			if !isPattern(value) {
				return nil, fmt.Errorf("%w: line %d: mx %.80q is no host name", ErrPolicy, i+1, value)
			}
			p.MX = append(p.MX, strings.ToLower(value))
			continue
		}
		if _, twice := seen[key]; !twice {
			seen[key] = value
		}
	}
	if err := p.fill(seen); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return p, nil
}

// parseField parses a line. RFC 8461, section 3.2:
//
//	sts-policy-ext-field = sts-policy-ext-name sts-policy-field-delim sts-policy-ext-value
//	sts-policy-field-delim = ":" *WSP
func parseField(line string) (key, value string, err error) {
	key, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !ok || !isFieldName(key):
		return "", "", fmt.Errorf("%.80q has no key", line)
	case value == "" || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "", fmt.Errorf("%.80q has no value", line)
	}
	return key, value, nil
}

// fill sets the fields that are there once. Keys and values are case
// sensitive.
func (p *Policy) fill(fields map[string]string) error {
	if v := fields["version"]; v != "STSv1" {
		return fmt.Errorf("version %.80q", v)
	}
	if p.Mode = Mode(fields["mode"]); !slices.Contains([]Mode{Enforce, Testing, None}, p.Mode) {
		return fmt.Errorf("mode %.80q", string(p.Mode))
	}
	age := fields["max_age"]
	seconds, err := strconv.ParseUint(age, 10, 64)
	if err != nil || len(age) > 10 || age[0] == '+' {
		return fmt.Errorf("max_age %.80q", age)
	}
	p.MaxAge = time.Duration(min(seconds, maxAge)) * time.Second
	if len(p.MX) == 0 && p.Mode != None {
		return errors.New("no mx")
	}
	return nil
}

// Sound says whether a policy that was kept can be one that was parsed.
func (p *Policy) Sound() bool {
	return slices.Contains([]Mode{Enforce, Testing, None}, p.Mode) && (len(p.MX) > 0 || p.Mode == None) &&
		p.MaxAge >= 0 && p.MaxAge <= maxAge*time.Second
}

// isPattern: sts-policy-mx-value = ["*."] Domain.
func isPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isAlnum(r) && r != '-' }) {
			return false
		}
	}
	return true
}

// Matches says whether the policy names a mail exchanger. RFC 8461, section
// 4.1: a wildcard stands for the whole of the left-most label, and for exactly
// one.
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	label, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(p.MX, func(pattern string) bool {
		if base, ok := strings.CutPrefix(pattern, "*."); ok {
			return label != "" && parent == base
		}
		return host == pattern
	})
}
