package selftest

import (
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A State says whether a requirement is met.
type State string

// The states.
const (
	NotKnown State = "not known"
	Met      State = "met"
	NotMet   State = "not met"
)

// met is the state that a finding shows.
func met(f *appliance.Finding) State {
	switch f.Status {
	case appliance.FoundFail:
		return NotMet
	case appliance.FoundSkipped:
		return NotKnown
	}
	return Met
}

// worst is the worse of two states; "" is none yet.
func worst(a, b State) State {
	switch {
	case a == NotMet || b == NotMet:
		return NotMet
	case a == NotKnown || b == NotKnown:
		return NotKnown
	}
	return Met
}

// facts are what requirements are about. "" is not known.
type facts struct {
	ptr, encrypted            State
	spf, dkim, dmarc, aligned State
	policy                    State // what the domain itself asks for
	form, unsubscribe         State
}

// A Requirement is one of those that Gmail and Yahoo publish.
type Requirement struct {
	Name  string `json:"name"`
	State State  `json:"state"` // "met", "not met" or "not known"
	// It is asked only of those who send 5,000 messages a day, or of bulk mail.
	Many bool `json:"many"`
}

// requirements are the published ones, in their order.
func (j *judge) requirements(bulk bool) []Requirement {
	all := []Requirement{
		{"SPF or DKIM passes", either(j.spf, j.dkim), false},
		{"the address has a name that has the address (PTR)", j.ptr, false},
		{"TLS", j.encrypted, false},
		{"a header as RFC 5322 wants it", j.form, false},
		{"the DMARC policy of the From domain lets it pass", j.policy, false},
		{"SPF and DKIM pass", worst(j.spf, j.dkim), true},
		{"the From domain has a DMARC record", j.dmarc, true},
		{"SPF or DKIM is aligned with the From domain", j.aligned, true},
	}
	if bulk {
		all = append(all, Requirement{"unsubscribing with one click", j.unsubscribe, true})
	}
	for i := range all {
		if all[i].State == "" {
			all[i].State = NotKnown
		}
	}
	return all
}

// either is met if one of two is.
func either(a, b State) State {
	switch {
	case a == Met || b == Met:
		return Met
	case a == NotMet && b == NotMet:
		return NotMet
	}
	return NotKnown
}

// decide writes the verdict.
func (j *judge) decide(r *Report) {
	r.Requirements = j.requirements(r.Message.Bulk)
	var of [3][]string // not met by anybody, not met by who sends much, not known
	for _, q := range r.Requirements {
		switch {
		case q.State == NotMet && !q.Many:
			of[0] = append(of[0], q.Name)
		case q.State == NotMet:
			of[1] = append(of[1], q.Name)
		case q.State == NotKnown:
			of[2] = append(of[2], q.Name)
		}
	}
	switch {
	case of[0] != nil:
		r.Verdict = "Gmail and Yahoo would refuse or hide this; not met: " + strings.Join(append(of[0], of[1]...), "; ")
	case !r.Good && of[1] == nil:
		r.Verdict = "large receivers would refuse or hide this: see what fails, which Gmail and Yahoo do not list"
	case of[1] != nil:
		r.Verdict = "Gmail and Yahoo would refuse or hide this from who sends them 5,000 messages a day, and may from others; not met: " + strings.Join(of[1], "; ")
	case of[2] != nil:
		r.Verdict = "nothing is against it at Gmail and Yahoo, as far as is known"
	default:
		r.Verdict = "Gmail and Yahoo would take this: it has all that they ask of those who send much"
	}
	if of[2] != nil {
		r.Verdict += "; not known: " + strings.Join(of[2], "; ")
	}
}

// stateOf is the worst of some items.
func stateOf(items []Item) State {
	s := Met
	for i := range items {
		s = worst(s, met(&items[i].Finding))
	}
	return s
}
