// Package dmarc finds and evaluates what a domain asks receivers to do with
// mail that claims to be from it: DMARC (RFC 9989, which obsoletes RFC 7489).
//
// A domain publishes a policy as text at _dmarc.<domain>:
//
//	v=DMARC1; p=reject; rua=mailto:reports@example.com
//
//	v=     the version, and the first tag
//	p=     what to do with mail that fails: none, quarantine, reject
//	sp=    the same for subdomains that exist; p= when left out
//	np=    the same for those that do not exist; sp= or p= when left out
//	adkim= aspf=  how alike domains have to be: r, relaxed (when left out), or s
//	rua=   where daily reports go; ruf= those of single messages, fo= of which
//	psd=   y, names below belong to others ("com"); n, they belong to this one
//	t=     y, the policy is only tested: what it asks for is one step milder
//
// A message passes if SPF or DKIM has proved a domain, and that domain is
// aligned with the one in the From field: it is the same, or, if that is
// relaxed, both have the same organizational domain. Which that is, and whose
// policy counts when a name has none, the DNS Tree Walk finds out
// ([OrganizationalDomain], [Find]): it asks upwards from the name, at most 8
// times (RFC 9989, section 4.10), in place of the list of public suffixes that
// RFC 7489 wanted.
//
// [Parse] reads a record as receivers do: what is wrong in it is ignored, and
// said in Record.Problems. [Evaluate] says what a receiver makes of a message,
// in words. [ReportProblems] says which reports will never come (RFC 9990).
//
// What the DNS does not answer is never taken for "there is none": it is an
// error here, and the result temperror.
package dmarc

import "slices"

// A Disposition is what a domain asks receivers to do with mail that fails.
type Disposition string

// The dispositions, from the mildest.
const (
	None       Disposition = "none"
	Quarantine Disposition = "quarantine"
	Reject     Disposition = "reject"
)

func (d Disposition) valid() bool { return slices.Contains([]Disposition{None, Quarantine, Reject}, d) }

// milder is what t=y makes of d: "the policy applied to any failing messages
// will be one level below the specified policy" (RFC 9989, section 4.7).
func (d Disposition) milder() Disposition {
	if d == Reject {
		return Quarantine
	}
	return None
}

// A Mode says how alike two domains have to be to be aligned.
type Mode string

// The modes (RFC 9989, section 4.4).
const (
	Relaxed Mode = "r" // the same organizational domain
	Strict  Mode = "s" // the same domain
)

// A Record is the record of a domain, with what counts where something is left
// out.
type Record struct {
	Text string // as it was read
	// Policy, Subdomains and Nonexistent are p=, sp= and np=. Policy is "" if
	// receivers do nothing for this record: see Problems. The others are "" if
	// they are left out.
	Policy, Subdomains, Nonexistent Disposition

	ADKIM, ASPF Mode
	RUA, RUF    []string // the URIs that can be used, without a size
	FO          string   // "0" unless it says something else
	PSD         string   // "y", "n" or "u", which it is when left out
	Testing     bool     // t=y

	// Problems are what receivers ignore in it, in words, in its order.
	Problems []string
}
