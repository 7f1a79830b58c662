package appliance

import (
	"fmt"
	"strings"
)

// maxTXTString is the longest character-string (RFC 1035, section 3.3).
const maxTXTString = 255

// Strings is the value of a TXT record in pieces of at most 255 octets, for
// an API or a form that wants them apart. Receivers join them without spaces
// (RFC 6376, section 3.6.2.2; RFC 7208, section 3.3).
func (r DNSRecord) Strings() []string {
	var all []string
	rest := r.Value
	for len(rest) > maxTXTString {
		all = append(all, rest[:maxTXTString])
		rest = rest[maxTXTString:]
	}
	return append(all, rest)
}

// Zone is the record as a line of a zone file (RFC 1035, section 5), with the
// TTL that the zone has by default.
func (r DNSRecord) Zone() string {
	data := r.Value
	if r.Type == "TXT" {
		quoted := make([]string, 0, 2)
		for _, s := range r.Strings() {
			quoted = append(quoted, quote(s))
		}
		data = strings.Join(quoted, " ")
	}
	return fmt.Sprintf("%s. IN %s %s", r.Name, r.Type, data)
}
