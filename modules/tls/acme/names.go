package acme

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	maxNames = 100
	// maxName keeps the key of a name in the store within what
	// appliance.CheckValueKey allows to a segment.
	maxName = 180
)

const wildcard = "*."

// canonical returns the names that can be those of a certificate, in lower case
// and without repetitions, and an error for the others.
func canonical(names []string) ([]string, error) {
	var good []string
	var bad []error
	for _, n := range names {
		c, err := canonicalName(n)
		if err != nil {
			bad = append(bad, err)
		} else if !slices.Contains(good, c) {
			good = append(good, c)
		}
	}
	return good, errors.Join(bad...)
}

func canonicalName(name string) (string, error) {
	rest, isWild := strings.CutPrefix(name, wildcard)
	if _, err := netip.ParseAddr(name); err == nil || strings.HasPrefix(rest, "[") {
		return "", fmt.Errorf("%q is an address; an authority certifies host names", name)
	}
	d, err := appliance.ParseDomain(rest)
	if err != nil {
		return "", fmt.Errorf("%.80q: %w", name, err)
	}
	if isWild {
		d = wildcard + d
	}
	if len(d) > maxName {
		return "", fmt.Errorf("name of %d octets, at most %d are allowed", len(d), maxName)
	}
	return d, nil
}
