package mx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

var _ appliance.FallbackRelay = (*MX)(nil)

// Fallback is a fallback block.
type Fallback struct {
	// The relay that takes what cannot be delivered directly, such as
	// relay.provider. It is tried in the same attempt, and its answer counts.
	Relay appliance.Ref[appliance.Relay] `hcl:"relay"`
	// From which attempt on a recipient who is deferred goes there: 3 is the
	// third. Not if TLS is what fails: then only a "tls" in on says that
	// another way will do. Default: never because of the number of attempts.
	After int `hcl:"after,optional"`
	// What an answer must be about, whether it defers or refuses, for the
	// recipient to go there at once: the classes of "waxwing queue summary",
	// such as ["reputation", "policy"]. Default: none.
	On []string `hcl:"on,optional"`
}

// maxAfter bounds Fallback.After.
const maxAfter = 1000

// noFallback are the classes of what is ours, or over: another relay does not
// make a difference.
var noFallback = []appliance.Class{appliance.ClassLocal, appliance.ClassLoop, appliance.ClassExpired, appliance.ClassEnded}

func (f *Fallback) validate() error {
	if f == nil {
		return nil
	}
	if f.After < 0 || f.After > maxAfter {
		return &appliance.AttrError{Attr: "fallback.after", Msg: fmt.Sprintf("must be between 1 and %d", maxAfter)}
	}
	if f.After == 0 && len(f.On) == 0 {
		return &appliance.AttrError{Attr: "fallback", Msg: `is never used; write after = 3, or on = ["reputation"], or both`}
	}
	for i, word := range f.On {
		class := appliance.Class(word)
		switch {
		case !class.IsValid():
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("there is no class %q; there are %s", word, words(fallbackClasses()))}
		case slices.Contains(noFallback, class):
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("%q is nothing that another relay could do better", word)}
		case slices.Contains(f.On[:i], word):
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("%q is there twice", word)}
		}
	}
	return nil
}

func fallbackClasses() []appliance.Class {
	return slices.DeleteFunc(appliance.Classes(), func(c appliance.Class) bool { return slices.Contains(noFallback, c) })
}

func words(classes []appliance.Class) string {
	all := make([]string, len(classes))
	for i, c := range classes {
		all[i] = string(c)
	}
	return strings.Join(all, ", ")
}

// Instead implements appliance.FallbackRelay.
func (m *MX) Instead(attempt int, r *appliance.Result) (appliance.Ref[appliance.Relay], bool) {
	f := m.Fallback
	if f == nil || r.Reply.Positive() || slices.Contains(noFallback, r.Class) {
		return appliance.Ref[appliance.Relay]{}, false
	}
	if slices.Contains(f.On, string(r.Class)) {
		return f.Relay, true
	}
	// What DANE, MTA-STS or the administrator demands of the exchanger would
	// not be met by going round it.
	if r.Class == appliance.ClassTLS || !r.Reply.Temporary() || f.After == 0 || attempt < f.After {
		return appliance.Ref[appliance.Relay]{}, false
	}
	return f.Relay, true
}

// explain says when the fallback is used.
func (f *Fallback) explain() appliance.Answer {
	var when []string
	if len(f.On) > 0 {
		when = append(when, "an answer is about "+strings.Join(f.On, ", "))
	}
	if f.After > 0 {
		when = append(when, fmt.Sprintf("attempt %d, or a later one, fails temporarily", f.After))
	}
	return appliance.Answer{Topic: "fallback", Text: f.Relay.String() + ", when " + strings.Join(when, ", or when "), Attr: "fallback"}
}
