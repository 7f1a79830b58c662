// Package fallback is the fallback block of relays: which other relay gets what
// this one cannot deliver, and when.
//
// A relay that has it as a field calls [Settings.Validate], hands
// [Settings.Instead] on as its own, which makes it an
// [appliance.FallbackRelay], and adds [Settings.Explain] to what it explains.
// The queue does the rest: it knows the number of the attempt and what an answer
// is about, and it never hands on what may have been delivered. A relay without
// the block has a nil *Settings, which is never used for anything.
//
// That relays do not hand to each other in a circle is seen when the file is
// loaded, as for all references.
package fallback

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Settings is a fallback block.
type Settings struct {
	// The relay that takes what this one cannot deliver, such as
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

// maxAfter bounds Settings.After.
const maxAfter = 1000

// hopeless are the classes of what is ours, or over: another relay does not
// make a difference.
var hopeless = []appliance.Class{appliance.ClassLocal, appliance.ClassLoop, appliance.ClassExpired, appliance.ClassEnded}

// Validate finds what cannot be meant. The error is an AttrError of the relay.
func (f *Settings) Validate() error {
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
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("there is no class %q; there are %s", word, usable())}
		case slices.Contains(hopeless, class):
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("%q is nothing that another relay could do better", word)}
		case slices.Contains(f.On[:i], word):
			return &appliance.AttrError{Attr: "fallback.on", Msg: fmt.Sprintf("%q is there twice", word)}
		}
	}
	return nil
}

// usable lists the classes that can stand in Settings.On.
func usable() string {
	var all []string
	for _, c := range appliance.Classes() {
		if !slices.Contains(hopeless, c) {
			all = append(all, string(c))
		}
	}
	return strings.Join(all, ", ")
}

// Instead is that of an [appliance.FallbackRelay].
func (f *Settings) Instead(attempt int, r *appliance.Result) (appliance.Ref[appliance.Relay], bool) {
	if f == nil || r.Reply.Positive() || slices.Contains(hopeless, r.Class) {
		return appliance.Ref[appliance.Relay]{}, false
	}
	if slices.Contains(f.On, string(r.Class)) {
		return f.Relay, true
	}
	// What DANE, MTA-STS or the administrator demands of a server would not be
	// met by going round it.
	if r.Class == appliance.ClassTLS || !r.Reply.Temporary() || f.After == 0 || attempt < f.After {
		return appliance.Ref[appliance.Relay]{}, false
	}
	return f.Relay, true
}

// Explain says when the fallback is used.
func (f *Settings) Explain() []appliance.Answer {
	if f == nil {
		return nil
	}
	var when []string
	if len(f.On) > 0 {
		when = append(when, "an answer is about "+strings.Join(f.On, ", "))
	}
	if f.After > 0 {
		when = append(when, fmt.Sprintf("attempt %d, or a later one, fails temporarily", f.After))
	}
	return []appliance.Answer{{Topic: "fallback", Text: f.Relay.String() + ", when " + strings.Join(when, ", or when "), Attr: "fallback"}}
}
