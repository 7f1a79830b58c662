package admin

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An Event is what happened to mail, as a line of JSON. Fields that do not
// apply are left out.
type Event struct {
	Kind        appliance.EventKind `json:"event"`
	Time        time.Time           `json:"time"`
	ID          appliance.QueueID   `json:"id,omitempty"`
	Session     string              `json:"session,omitempty"`
	Pipeline    string              `json:"pipeline,omitempty"`
	Listener    string              `json:"listener,omitempty"`
	Relay       string              `json:"relay,omitempty"`
	Destination string              `json:"destination,omitempty"`
	User        string              `json:"user,omitempty"`
	Client      string              `json:"client,omitempty"`
	From        appliance.Mailbox   `json:"from"`
	To          *appliance.Mailbox  `json:"to,omitempty"`
	Recipients  int                 `json:"recipients,omitempty"`
	Size        int64               `json:"size,omitempty"`
	SignedBy    []string            `json:"signed_by,omitempty"`
	Reply       *Reply              `json:"reply,omitempty"`
	Cause       string              `json:"cause,omitempty"`
	Attempt     int                 `json:"attempt,omitempty"`
	Next        time.Time           `json:"next,omitzero"`
	Age         float64             `json:"age_seconds,omitempty"`
	Host        string              `json:"host,omitempty"`
	Peer        string              `json:"peer,omitempty"`
	TLS         string              `json:"tls,omitempty"`
	Class       appliance.Class     `json:"class,omitempty"`
}

func wireEvent(e appliance.Event) Event {
	w := Event{
		Kind: e.Kind, Time: e.Time, ID: e.ID, Session: e.Session, Pipeline: e.Pipeline,
		Listener: e.Listener, Relay: e.Relay, Destination: e.Destination, User: e.User, Client: e.Client, From: e.From,
		Recipients: e.Recipients, Size: e.Size, SignedBy: e.SignedBy, Reply: wireReply(e.Reply),
		Attempt: e.Attempt, Next: e.Next, Age: e.Age.Seconds(), Host: e.Host, Peer: e.Peer, TLS: e.TLS, Class: e.Class,
	}
	if !e.To.IsNull() {
		w.To = &e.To
	}
	if e.Reply != nil && e.Reply.Err != nil {
		w.Cause = e.Reply.Err.Error()
	}
	return w
}
