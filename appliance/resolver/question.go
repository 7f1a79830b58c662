package resolver

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A question is a name and a type. The name is lower case, with final dot.
type question struct {
	typ  uint16
	name string
}

var queryTypes = map[appliance.QueryType]uint16{
	appliance.QueryA:     dns.TypeA,
	appliance.QueryAAAA:  dns.TypeAAAA,
	appliance.QueryMX:    dns.TypeMX,
	appliance.QueryTXT:   dns.TypeTXT,
	appliance.QueryTLSA:  dns.TypeTLSA,
	appliance.QueryPTR:   dns.TypePTR,
	appliance.QueryNS:    dns.TypeNS,
	appliance.QueryCNAME: dns.TypeCNAME,
}

func newQuestion(typ appliance.QueryType, name string) (question, *net.DNSError) {
	q := question{queryTypes[typ], strings.ToLower(strings.TrimSuffix(name, ".")) + "."}
	switch {
	case q.typ == 0:
		return q, &net.DNSError{Err: "records of type " + string(typ) + " are not looked up", Name: name, IsTemporary: true}
	case !validName(q.name):
		return q, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return q, nil
}

// The longest name and label (RFC 1035, section 2.3.4; the length octets and
// the root count for 2 octets of the 255).
const (
	maxName  = 253
	maxLabel = 63
)

// validName says whether a name in lower case with a final dot can be that of
// a host or of a record as mail uses them: letters, digits, hyphens and
// underscores.
func validName(name string) bool {
	if len(name) > maxName+1 || len(name) < 2 {
		return false
	}
	for label := range strings.SplitSeq(name[:len(name)-1], ".") {
		if label == "" || len(label) > maxLabel || strings.ContainsFunc(label, foreign) {
			return false
		}
	}
	return true
}

func foreign(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// A result is what became of a question: an answer, an error, or the answer
// that there is none, which is both.
type result struct {
	answer appliance.DNSAnswer
	err    *net.DNSError
	bad    bool          // some records could not be used
	keep   time.Duration // how long others may be told the same
}

// clone is the result as one caller gets it, who may do with it what he likes.
func (r result) clone(name string) (appliance.DNSAnswer, error) {
	a := r.answer
	a.Addrs = slices.Clone(a.Addrs)
	a.Texts = slices.Clone(a.Texts)
	a.MX = slices.Clone(a.MX)
	for i, mx := range a.MX {
		own := *mx
		a.MX[i] = &own
	}
	a.TLSA = slices.Clone(a.TLSA)
	for i := range a.TLSA {
		a.TLSA[i].Data = slices.Clone(a.TLSA[i].Data)
	}
	return a, r.failure(name)
}

// failure is the error of the result, about the name as it was asked for.
func (r result) failure(name string) error {
	if r.err == nil {
		return nil
	}
	own := *r.err
	own.Name = name
	return &own
}

// size is what a result takes in memory, roughly.
func (r result) size() int {
	n := 300 + len(r.answer.Name) + 24*len(r.answer.Addrs)
	for _, mx := range r.answer.MX {
		n += 48 + len(mx.Host)
	}
	for _, s := range r.answer.Texts {
		n += 16 + len(s)
	}
	for _, t := range r.answer.TLSA {
		n += 32 + len(t.Data)
	}
	return n
}
