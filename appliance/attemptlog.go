package appliance

import (
	"slices"
	"strings"
	"time"
)

// An Attempt is what the queue remembers of one attempt to make a delivery.
// Only a delivery that still waits has a memory: with it its attempts are
// forgotten, and the log and the reports remain.
type Attempt struct {
	Began    time.Time
	Took     time.Duration
	Number   int   // 1 is the first
	Tries    []Try // the servers, in the order they were tried
	Outcomes []AttemptOutcome
}

// A Try is one server that a relay has tried in an attempt: a [Relay] tells of
// it through the [AttemptTrace] of its context.
type Try struct {
	Host string // its name, "" if none was found
	Peer string // its address and port, "" if there was no connection
	TLS  string // as that of a [Result]
	Took time.Duration
	// Why it could not be used. The zero Reply means that it answered for
	// recipients: what it said is in the outcomes.
	Reply    Reply
	Dialogue string // a line each: "C: …", "S: …", "-- …"; no secrets, no content
}

// An AttemptOutcome is the result that some recipients have in common.
type AttemptOutcome struct {
	Relay      string // name of the relay, "" if it did not get so far
	Recipients []int  // indexes into Delivery.Recipients
	Result     Result // what matters for the attempt alone is not remembered
}

// The bounds of the memory. Those of one attempt keep it within maxMemory.
const (
	maxMemory   = 16 << 10 // octets, of all attempts of a delivery
	maxAttempts = 10
	maxTries    = 6       // of one attempt
	maxOutcomes = 6       // of one attempt
	maxDialogue = 4 << 10 // octets, of one attempt
	maxText     = 400     // octets of a reply
	maxCause    = 200     // octets
	maxName     = 128     // octets of a host name, a peer, a TLS text
)

// Remember adds an attempt to what is remembered of the ones before, oldest
// first, and forgets what is beyond the bounds: dialogues first, beginning with
// the oldest, then attempts. It changes neither of its arguments.
func Remember(attempts []Attempt, next Attempt) []Attempt {
	all := append(slices.Clone(attempts), next.trimmed())
	all = all[max(0, len(all)-maxAttempts):]
	size := 0
	for i := range all {
		size += all[i].size()
	}
	for i := 0; size > maxMemory && i < len(all); i++ {
		size -= all[i].size()
		all[i] = all[i].silent()
		size += all[i].size()
	}
	for size > maxMemory && len(all) > 1 {
		size -= all[0].size()
		all = all[1:]
	}
	return all
}

// trimmed is a within the bounds of one attempt. Of many servers the first and
// the last are kept.
func (a Attempt) trimmed() Attempt {
	if n := len(a.Tries); n > maxTries {
		a.Tries = slices.Concat(a.Tries[:maxTries/2], a.Tries[n-maxTries/2:])
	}
	a.Tries = slices.Clone(a.Tries)
	room := maxDialogue
	for i := len(a.Tries) - 1; i >= 0; i-- { // the last one got furthest
		t := &a.Tries[i]
		t.Host, t.Peer, t.TLS = cut(t.Host, maxName), cut(t.Peer, maxName), cut(t.TLS, maxName)
		t.Reply = t.Reply.remembered()
		t.Dialogue = cutDialogue(t.Dialogue, room)
		room -= len(t.Dialogue)
	}
	a.Outcomes = slices.Clone(a.Outcomes[:min(len(a.Outcomes), maxOutcomes)])
	for i := range a.Outcomes {
		r := &a.Outcomes[i].Result
		r.Host, r.Peer, r.TLS = cut(r.Host, maxName), cut(r.Peer, maxName), cut(r.TLS, maxName)
		r.Midway, r.Notifies, r.Final = false, false, false
		r.Reply = r.Reply.remembered()
	}
	return a
}

// silent is a without its dialogues.
func (a Attempt) silent() Attempt {
	a.Tries = slices.Clone(a.Tries)
	for i := range a.Tries {
		a.Tries[i].Dialogue = ""
	}
	return a
}

// size is about what a takes in a store, in octets.
func (a *Attempt) size() int {
	const fixed = 32 // numbers and lengths
	n := fixed
	for i := range a.Tries {
		t := &a.Tries[i]
		n += fixed + len(t.Host) + len(t.Peer) + len(t.TLS) + t.Reply.size() + len(t.Dialogue)
	}
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		n += fixed + len(o.Relay) + 2*len(o.Recipients) + len(o.Result.Host) + len(o.Result.Peer) + len(o.Result.TLS) + o.Result.Reply.size()
	}
	return n
}

func (r *Reply) size() int {
	n := len(r.Text)
	if r.Err != nil {
		n += len(r.Err.Error())
	}
	return n
}

// remembered is r as a store gives it back: its cause is a text.
func (r Reply) remembered() Reply {
	r.Text = cut(r.Text, maxText)
	if r.Err != nil {
		r.Err = Cause(cut(r.Err.Error(), maxCause))
	}
	return r
}

// A Cause is the text of an error that has been in a store.
type Cause string

func (c Cause) Error() string { return string(c) }

// cut shortens a text to at most n octets, and not in the middle of a character.
func cut(s string, n int) string {
	const more = "…"
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len(more)], "") + more
}

// cutDialogue shortens a dialogue to at most n octets: how it began and how it
// ended are kept, in whole lines.
func cutDialogue(s string, n int) string {
	const gap = "-- …\n"
	if len(s) <= n {
		return s
	}
	half := (n - len(gap)) / 2
	if half < 200 {
		return "" // too little to tell anything
	}
	head, tail := s[:half], s[len(s)-half:]
	head = head[:strings.LastIndexByte(head, '\n')+1]
	_, tail, _ = strings.Cut(tail, "\n")
	return head + gap + tail
}
