package records

import (
	"net/netip"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Kind says what a record is for.
type Kind string

// The kinds of records, in the order in which they are listed.
const (
	KindAddress Kind = "address" // A or AAAA of a name of this server
	KindPTR     Kind = "ptr"     // the name of an address of this server
	KindTLSA    Kind = "tlsa"
	KindMX      Kind = "mx"
	KindSPF     Kind = "spf"
	KindDKIM    Kind = "dkim"
	KindDMARC   Kind = "dmarc"
	KindConsent Kind = "dmarc-report" // a domain agrees to get the reports about another
	KindTLSRPT  Kind = "tlsrpt"
	KindMTASTS  Kind = "mta-sts"
	KindOther   Kind = "other" // what a module wants that is none of these
)

// title is the kind for people.
func (k Kind) title() string {
	switch k {
	case KindAddress, KindConsent, KindOther:
		return map[Kind]string{KindAddress: "address", KindConsent: "consent to DMARC reports", KindOther: "record"}[k]
	case KindMTASTS:
		return "MTA-STS"
	}
	return strings.ToUpper(string(k))
}

// A Record is a record that the configuration needs.
type Record struct {
	// Of DNSRecord, Value is "" if what it has to be is not for this server to
	// say: that there is one is all that is wanted.
	appliance.DNSRecord
	Kind   Kind   `json:"kind"`
	Domain string `json:"domain"` // whose record it is: a domain that mail is sent from, or the name of a host
	Why    string `json:"why"`    // what it is good for, a sentence without its full stop
	Needed bool   `json:"needed"` // mail suffers without it; otherwise it is good to have
	Next   string `json:"next,omitempty"`
	// By says who has to write it, if it is not for the dns block: "the provider of the address".
	By string `json:"by,omitempty"`

	// Of an SPF record: what it has to let pass, in whatever words.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Includes  []string     `json:"includes,omitempty"`
}

// Title names the record for people: "SPF of example.com".
func (r *Record) Title() string { return r.Kind.title() + " of " + r.subject() }

// subject is the domain, or the address of a PTR record.
func (r *Record) subject() string {
	if r.Kind == KindPTR {
		return r.Addresses[0].String()
	}
	return r.Domain
}

// Select returns the records of some domains or hosts; all of them if none is
// named. It says which of the names have no record.
func Select(all []Record, names []string) (chosen []Record, unknown []string) {
	if len(names) == 0 {
		return all, nil
	}
	has := make(map[string]bool)
	for _, r := range all {
		for _, n := range names {
			if r.Domain == n {
				has[n] = true
			}
		}
		if has[r.Domain] {
			chosen = append(chosen, r)
		}
	}
	for _, n := range names {
		if !has[n] {
			unknown = append(unknown, n)
		}
	}
	return chosen, unknown
}

// Domains lists whose records they are, each once, in their order.
func Domains(all []Record) []string {
	var names []string
	for _, r := range all {
		names = add(names, r.Domain)
	}
	return names
}
