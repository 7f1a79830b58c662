package tlsrpt

import (
	"slices"
	"strings"
)

// Limits of what is counted for a day.
const (
	maxDomains  = 10_000
	maxPolicies = 10  // of a domain: each mail exchanger may have TLSA records, and policies change
	maxDetails  = 25  // of a policy, and one more for each type of result
	maxLines    = 50  // of a policy string, and patterns of mail exchangers
	maxText     = 300 // octets of anything that a stranger may have written
)

// The types of a policy (RFC 8460, section 4.2).
const (
	TypeTLSA = "tlsa"
	TypeSTS  = "sts"
	TypeNone = "no-policy-found"
)

// Results of section 4.3 that have no other name in Waxwing.
const (
	TLSAInvalid         = "tlsa-invalid"
	DNSSECInvalid       = "dnssec-invalid"
	DANERequired        = "dane-required"
	STSPolicyFetchError = "sts-policy-fetch-error"
	STSPolicyInvalid    = "sts-policy-invalid"
	STSWebPKIInvalid    = "sts-webpki-invalid"
)

// A Policy is what was applied to a session (RFC 8460, section 4.2).
type Policy struct {
	Type   string   `json:"policy-type"`
	String []string `json:"policy-string,omitempty"` // lines of an MTA-STS policy, or TLSA records
	Domain string   `json:"policy-domain"`           // the recipient's, or the TLSA base domain
	MX     []string `json:"mx-host,omitempty"`       // patterns of the MTA-STS policy
}

func (p *Policy) equal(q *Policy) bool {
	return p.Type == q.Type && p.Domain == q.Domain && slices.Equal(p.String, q.String) && slices.Equal(p.MX, q.MX)
}

// A Failure is what went wrong in sessions (RFC 8460, section 4.3). Of its
// fields only Type must be there.
type Failure struct {
	Type      string `json:"result-type"` // "certificate-expired"
	SendingIP string `json:"sending-mta-ip,omitempty"`
	Host      string `json:"receiving-mx-hostname,omitempty"`
	IP        string `json:"receiving-ip,omitempty"`
	Sessions  int    `json:"failed-session-count"` // set by the Reporter
	Reason    string `json:"failure-reason-code,omitempty"`
}

// same says that two failures are one with a higher count.
func (f Failure) same(g Failure) bool {
	f.Sessions, g.Sessions = 0, 0
	return f == g
}

// A result is the sessions under one policy, as the report has it (RFC 8460,
// section 4.4).
type result struct {
	Policy   Policy    `json:"policy"`
	Summary  summary   `json:"summary"`
	Failures []Failure `json:"failure-details,omitempty"`
}

type summary struct {
	Successful int `json:"total-successful-session-count"`
	Failed     int `json:"total-failure-session-count"`
}

// A tally is what was counted on a day, by the domain of recipients.
type tally map[string][]*result

// of returns the result of a domain and policy, nil if there is no room.
func (t tally) of(domain string, p Policy) *result {
	list, known := t[domain]
	for _, r := range list {
		if r.Policy.equal(&p) {
			return r
		}
	}
	if !known && len(t) >= maxDomains || len(list) >= maxPolicies {
		return nil
	}
	r := &result{Policy: p}
	t[domain] = append(list, r)
	return r
}

// add counts a session; ok is false if there is no room for it.
func (t tally) add(domain string, p Policy, f *Failure) (ok bool) {
	r := t.of(domain, p.bounded())
	switch {
	case r == nil:
		return false
	case f == nil:
		r.Summary.Successful++
	default:
		one := f.bounded()
		one.Sessions = 1
		r.Summary.Failed++
		r.detail(one)
	}
	return true
}

// merge adds what another process has counted.
func (t tally) merge(other tally) {
	for domain, list := range other {
		for _, from := range list {
			if from == nil { // damaged
				continue
			}
			r := t.of(domain, from.Policy)
			if r == nil {
				continue
			}
			r.Summary.Successful += from.Summary.Successful
			r.Summary.Failed += from.Summary.Failed
			for _, f := range from.Failures {
				r.detail(f)
			}
		}
	}
}

// detail tells of a failure. Where there is no room for one more, it is
// counted with others of its type, without names.
func (r *result) detail(f Failure) {
	i := slices.IndexFunc(r.Failures, f.same)
	if i < 0 && len(r.Failures) >= maxDetails {
		f = Failure{Type: f.Type, Sessions: f.Sessions}
		i = slices.IndexFunc(r.Failures, f.same)
	}
	if i < 0 {
		r.Failures = append(r.Failures, f)
		return
	}
	r.Failures[i].Sessions += f.Sessions
}

func (p Policy) bounded() Policy {
	p.String, p.MX = boundedLines(p.String), boundedLines(p.MX)
	return p
}

func boundedLines(list []string) []string {
	list = slices.Clone(list[:min(len(list), maxLines)])
	for i, s := range list {
		list[i] = bounded(s)
	}
	return list
}

func (f Failure) bounded() Failure {
	f.Host, f.Reason = bounded(f.Host), bounded(f.Reason)
	return f
}

// bounded cuts what is long, and replaces what is no text.
func bounded(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}
