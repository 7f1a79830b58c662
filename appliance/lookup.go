package appliance

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// A Querier is a Resolver that tells more than the records: whether DNSSEC
// vouches for them, how long they are good, and under which name they were
// found. The Resolver of a Context is one, unless a test has put another there:
// it is found by assertion.
//
// Names are absolute, with or without the final dot. Errors are *net.DNSError:
// IsNotFound means that the name, or a record of this type at it, certainly
// does not exist; with anything else (SERVFAIL, REFUSED, no answer) nothing is
// known, and IsTemporary is set.
type Querier interface {
	Resolver
	Query(ctx context.Context, typ QueryType, name string) (DNSAnswer, error)
	// DNSSEC returns nil if DNSAnswer.Secure can be relied on, and otherwise
	// why not, in words for the administrator.
	DNSSEC() error
}

// A QueryType is a type of record.
type QueryType string

// The types that can be asked for.
const (
	QueryA     QueryType = "A"
	QueryAAAA  QueryType = "AAAA"
	QueryMX    QueryType = "MX"
	QueryTXT   QueryType = "TXT"
	QueryTLSA  QueryType = "TLSA"
	QueryPTR   QueryType = "PTR"
	QueryNS    QueryType = "NS"
	QueryCNAME QueryType = "CNAME" // that of the name itself: it is not followed
)

// A DNSAnswer is what the DNS says of one name and type. Of the lists only the
// one of its type is filled. An answer that does not exist is secure too if
// DNSSEC proves it: then Query returns it together with the error.
type DNSAnswer struct {
	Name    string    // where the records were found, after aliases: lower case, no final dot
	Secure  bool      // every step of the way is vouched for by DNSSEC (the AD bit: RFC 4035, section 3.2.3)
	Expires time.Time // not to be used after that
	Addrs   []netip.Addr
	MX      []*net.MX // by preference; hosts in lower case with a final dot, "." is the null MX
	Texts   []string  // the strings of a TXT record put together, or the names in PTR, NS and CNAME records, with a final dot
	TLSA    []TLSA
}

// A TLSA is a record of DANE (RFC 6698, section 2.1). One that is too short to
// be read is here as 255 255 255 without Data, which nobody can use.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}
