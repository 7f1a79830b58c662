package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	lib "blitiri.com.ar/go/spf"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Verdict is the result of an evaluation (RFC 7208, section 2.6).
type Verdict string

// The verdicts.
const (
	None      Verdict = "none"      // there is no record, or no domain that could have one
	Neutral   Verdict = "neutral"   // the record says nothing of the address
	Pass      Verdict = "pass"      // it may send
	Fail      Verdict = "fail"      // it may not
	SoftFail  Verdict = "softfail"  // it probably may not
	TempError Verdict = "temperror" // the DNS did not answer
	PermError Verdict = "permerror" // the record cannot be used
)

// A Query is what to evaluate: may a client with this address send mail with
// this reverse-path.
type Query struct {
	IP   netip.Addr
	HELO string            // the name that the client gives itself
	From appliance.Mailbox // the reverse-path; the null one stands for postmaster at HELO
}

// A Result is what came of it.
type Result struct {
	Result    Verdict `json:"result"`
	Domain    string  `json:"domain"`              // whose record was evaluated: lower case, no final dot
	Record    string  `json:"record,omitempty"`    // its record, "" if there is none
	Mechanism string  `json:"mechanism,omitempty"` // the term that decided: "ip4:203.0.113.7", "-all"
	At        string  `json:"at,omitempty"`        // the domain whose record has it, after includes and redirects
	Steps     []Step  `json:"steps,omitempty"`     // how it came to that

	// Terms that needed a look-up, of the 10 that there may be, and answers that
	// there is nothing, of the 2. All is how many the whole record needs for an
	// address that none of it matches.
	Lookups int `json:"lookups"`
	Voids   int `json:"voids"`
	All     int `json:"all_lookups"`

	Problem string `json:"problem,omitempty"` // what is wrong, in words; "" for pass
	Fix     string `json:"fix,omitempty"`     // what to do about it; "" for pass and temperror
}

// A Step is one term on the way.
type Step struct {
	Depth   int    `json:"depth"`  // 0 is the record of the domain, 1 what it includes
	Domain  string `json:"domain"` // whose record
	Term    string `json:"term"`   // as it is written there; "" for the record itself
	Text    string `json:"text"`   // what was found
	Matched bool   `json:"matched,omitempty"`
}

// The limits of RFC 7208, section 4.6.4.
const (
	MaxLookups = 10
	MaxVoids   = 2

	maxTime = 20 * time.Second
)

// Check evaluates a query. Errors are results: TempError is that the DNS did
// not answer, or that ctx ended.
func Check(ctx context.Context, r appliance.Resolver, q Query) Result {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	e := newEvaluation(ctx, r, q)
	res := Result{Domain: e.domain}
	var err error
	res.Result, err = e.official()
	res.Voids = e.memo.voids
	e.walk(&res)
	e.explain(&res, err)
	return res
}

// An evaluation is one call of Check.
type evaluation struct {
	Query
	ctx    context.Context
	domain string // of the identity
	sender string // as the macros have it
	memo   *memo
}

func newEvaluation(ctx context.Context, r appliance.Resolver, q Query) *evaluation {
	e := &evaluation{Query: q, ctx: ctx, memo: newMemo(r)}
	e.IP = q.IP.Unmap().WithZone("")
	e.HELO = canonical(q.HELO)
	e.domain, e.sender = canonical(q.From.Domain), q.From.Local
	if q.From.IsNull() {
		// RFC 7208, section 2.4: "When the reverse-path is null, this document
		// defines the "MAIL FROM" identity to be the mailbox composed of the
		// local-part "postmaster" and the "HELO" identity".
		e.domain, e.sender = e.HELO, ""
	}
	if e.sender == "" {
		e.sender = "postmaster" // section 4.3
	}
	return e
}

func canonical(domain string) string { return strings.ToLower(strings.TrimSuffix(domain, ".")) }

// official is the result as a receiver has it.
func (e *evaluation) official() (Verdict, error) {
	// RFC 7208, section 4.3: a domain that is no multi-label name, or has a
	// label that is empty or longer than 63 octets, has the result none.
	if !hasRecords(e.domain) {
		return None, errNoDomain
	}
	s := &strict{memo: e.memo}
	v, err := e.library(s)
	if s.found != nil && errors.Is(err, lib.ErrUnknownField) {
		err = s.found
	}
	return v, err
}

// library has the library evaluate the domain, with what r knows.
func (e *evaluation) library(r lib.DNSResolver) (Verdict, error) {
	res, err := lib.CheckHostWithSender(net.IP(e.IP.AsSlice()), e.HELO, e.sender+"@"+e.domain,
		lib.WithContext(e.ctx), lib.WithResolver(r))
	return Verdict(res), err
}

var errNoDomain = errors.New("no domain that can have records")

func hasRecords(domain string) bool {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || len(domain) > 253 || strings.HasPrefix(domain, "[") {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return false
		}
	}
	return true
}
