package selftest

import (
	"fmt"

	"github.com/waxwing-mail/waxwing/appliance"
)

// fullScore is what a message begins with.
const fullScore = 100

// A Report is what the receiver thinks of a message.
type Report struct {
	Score   int    `json:"score"` // of 100
	Verdict string `json:"verdict"`
	// The server itself lets the message pass.
	Taken bool `json:"taken"`
	// Nothing would make a large receiver refuse or hide the message.
	Good    bool    `json:"good"`
	Message Summary `json:"message"`
	Groups  []Group `json:"groups"`
	// What large receivers ask for, in order.
	Requirements []Requirement `json:"requirements,omitempty"`
}

// A Summary says which message it was.
type Summary struct {
	From     appliance.Mailbox   `json:"from"` // the envelope sender
	To       []appliance.Mailbox `json:"to"`
	Author   string              `json:"author,omitempty"` // the From field
	Subject  string              `json:"subject,omitempty"`
	Size     int64               `json:"size"`
	SignedBy []string            `json:"signed_by,omitempty"`
	Bulk     bool                `json:"bulk"`
}

// A Group is the items about one thing.
type Group struct {
	Name  string `json:"name"`
	Items []Item `json:"items"`
}

// An Item is one thing that was looked at, and what it costs.
type Item struct {
	appliance.Finding
	Lost int `json:"lost"` // points
}

func good(name, format string, args ...any) Item {
	return Item{Finding: appliance.Finding{Name: name, Status: appliance.FoundOK, Text: fmt.Sprintf(format, args...)}}
}

// unknown could not be looked at, or need not be.
func unknown(name, format string, args ...any) Item {
	return Item{Finding: appliance.Finding{Name: name, Status: appliance.FoundSkipped, Text: fmt.Sprintf(format, args...)}}
}

// poor counts against the message.
func poor(name string, lost int, text, fix string) Item {
	return Item{appliance.Finding{Name: name, Status: appliance.FoundWarn, Text: text, Fix: fix}, lost}
}

// bad makes receivers refuse or hide the message.
func bad(name string, lost int, text, fix string) Item {
	return Item{appliance.Finding{Name: name, Status: appliance.FoundFail, Text: text, Fix: fix}, lost}
}

// once lets only the dearest of items that are about the same cost points: a
// server with four addresses is not four times as bad.
func once(items []Item) []Item {
	dearest := 0
	for i := range items {
		if items[i].Lost > items[dearest].Lost {
			dearest = i
		}
	}
	for i := range items {
		if i != dearest {
			items[i].Lost = 0
		}
	}
	return items
}

// Refused is the report on a message that does not get as far as the receiver:
// the server itself has answered so.
func Refused(s Summary, reply *appliance.Reply) Report {
	text := "this server refuses the message: " + reply.String()
	if reply.Temporary() {
		text = "this server does not take the message now: " + reply.String()
	}
	fix := "mend what the answer says; waxwing explain shows which line of the configuration decides"
	if reply.Err != nil {
		fix = fmt.Sprintf("mend the cause: %v", reply.Err)
	}
	return Report{
		Verdict: "nobody would get this: it does not leave this server", Message: s,
		Groups: []Group{{Name: "this server", Items: []Item{bad("taken", fullScore, text, fix)}}},
	}
}

// sum takes the points of the items from the full score.
func (r *Report) sum() {
	r.Score, r.Taken, r.Good = fullScore, true, true
	for _, g := range r.Groups {
		for i := range g.Items {
			r.Score -= g.Items[i].Lost
			r.Good = r.Good && g.Items[i].Status != appliance.FoundFail
		}
	}
	r.Score = max(r.Score, 0)
}
