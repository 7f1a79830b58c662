package records

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TLSA returns the DANE records of a host for port 25, or why there must be
// none. A client may be shown any of the certificates that are valid for the
// host, so that all of them have to have one.
func TLSA(all []appliance.ServedCertificate, host string) (records []appliance.DNSRecord, why string) {
	if strings.HasPrefix(host, "*.") {
		return nil, "it stands for many hosts; name one of them: waxwing tls tlsa " + strings.Replace(host, "*", "mail", 1)
	}
	for _, c := range all {
		if !ValidFor(c, host) {
			continue
		}
		switch {
		case c.KeyHash == "":
			return nil, c.Block + " has no certificate for it yet"
		case !c.KeyStays:
			return nil, fmt.Sprintf("%s (type %s) does not promise that renewals keep the key", c.Block, c.Type)
		}
		// RFC 7672, section 3.1.1: DANE-EE(3), the key (1), its SHA-256 (1).
		r := appliance.DNSRecord{Name: "_25._tcp." + host, Type: "TLSA", Value: "3 1 1 " + c.KeyHash}
		if !slices.Contains(records, r) {
			records = append(records, r)
		}
	}
	return records, ""
}

// ValidFor says whether a certificate is valid for a host.
func ValidFor(c appliance.ServedCertificate, host string) bool {
	return slices.ContainsFunc(c.Names, func(n string) bool { return covers(n, host) })
}

// covers says whether a name of a certificate is valid for a host (RFC 9525,
// section 6.3: a wildcard stands for one label).
func covers(name, host string) bool {
	if parent, ok := strings.CutPrefix(name, "*."); ok {
		_, rest, _ := strings.Cut(host, ".")
		return rest == parent
	}
	return name == host
}
