package admin

import (
	"fmt"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// Version says what runs.
type Version struct {
	Version string    `json:"version"` // "v1.2.0", or "devel"
	Commit  string    `json:"commit,omitempty"`
	Go      string    `json:"go"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// An Error is the answer to a request that failed.
type Error struct {
	Status      int                `json:"-"` // of HTTP
	Message     string             `json:"error"`
	Reply       *Reply             `json:"reply,omitempty"`       // a message was refused
	Diagnostics config.Diagnostics `json:"diagnostics,omitempty"` // a configuration does not load
	Reasons     []string           `json:"reasons,omitempty"`     // one by one: the server is not ready, a certificate was not renewed
}

func (e *Error) Error() string { return e.Message }

// A Reply is an SMTP reply.
type Reply struct {
	Code   int    `json:"code"`
	Status string `json:"status"` // "5.7.1"
	Text   string `json:"text"`
}

func (r *Reply) String() string { return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text) }

func wireReply(r *appliance.Reply) *Reply {
	if r == nil || r.Code == 0 {
		return nil
	}
	return &Reply{r.Code, r.Status(), r.Text}
}

// A ReloadRequest asks for the configuration file to be read again.
type ReloadRequest struct {
	Plan bool `json:"plan"` // only say what would change
}

// Reloaded is what a reload did, or would do.
type Reloaded struct {
	Steps    []appliance.Step   `json:"steps"`
	Warnings config.Diagnostics `json:"warnings,omitempty"`
	Notes    []string           `json:"notes,omitempty"` // what takes effect only after a restart
}

// A QueuePage is a part of the queue, oldest message first.
type QueuePage struct {
	Messages []QueuedMessage `json:"messages"`
	More     bool            `json:"more"` // there are more than limit
}

// A QueuedMessage is a message in the queue.
type QueuedMessage struct {
	ID         appliance.QueueID `json:"id"`
	Received   time.Time         `json:"received"`
	From       appliance.Mailbox `json:"from"` // "" is the null reverse-path
	Size       int64             `json:"size"`
	Origin     appliance.Origin  `json:"origin"`
	Deliveries []QueuedDelivery  `json:"deliveries"`
}

// A QueuedDelivery is the part of a message that goes to one destination.
type QueuedDelivery struct {
	Destination string            `json:"destination"` // relay/next hop
	State       string            `json:"state"`       // "waiting", "active", "held" or "done"
	Due         time.Time         `json:"due"`
	Attempts    int               `json:"attempts"`
	Recipients  []QueuedRecipient `json:"recipients"`
}

// A QueuedRecipient is what has become of one recipient so far.
type QueuedRecipient struct {
	To     appliance.Mailbox `json:"to"`
	Status string            `json:"status"`          // "waiting", "delivered", "failed" or "dropped"
	Last   *Reply            `json:"last,omitempty"`  // of the last attempt
	Cause  string            `json:"cause,omitempty"` // our own finding behind it
	Host   string            `json:"host,omitempty"`  // the next hop
	Peer   string            `json:"peer,omitempty"`  // its address and port
	TLS    string            `json:"tls,omitempty"`
	When   time.Time         `json:"when,omitzero"` // of the last attempt
}

func wireMessage(e appliance.Entry) QueuedMessage {
	m := QueuedMessage{
		ID: e.ID, Received: e.Received, From: e.Envelope.From, Size: e.Size, Origin: e.Origin,
		Deliveries: make([]QueuedDelivery, 0, len(e.Deliveries)),
	}
	for i := range e.Deliveries {
		m.Deliveries = append(m.Deliveries, wireDelivery(&e.Deliveries[i]))
	}
	return m
}

func wireDelivery(e *appliance.EntryDelivery) QueuedDelivery {
	d := QueuedDelivery{
		Destination: e.Delivery.Destination, State: state(e),
		Due: e.Delivery.Due, Attempts: e.Delivery.Attempts,
	}
	for _, r := range e.Delivery.Recipients {
		q := QueuedRecipient{
			To: r.Mailbox, Status: r.Status.String(), Last: wireReply(&r.Last.Reply),
			Host: r.Last.Host, Peer: r.Last.Peer, TLS: r.Last.TLS, When: r.When,
		}
		if err := r.Last.Reply.Err; err != nil {
			q.Cause = err.Error()
		}
		d.Recipients = append(d.Recipients, q)
	}
	return d
}

func state(e *appliance.EntryDelivery) string {
	switch {
	case e.Delivery.Done():
		return "done"
	case e.Leased:
		return "active"
	case e.Delivery.Held:
		return "held"
	}
	return "waiting"
}

// A Filter selects queued deliveries; every field that is set must match.
type Filter struct {
	IDs         []appliance.QueueID `json:"ids,omitempty"`
	Sender      string              `json:"sender,omitempty"`    // mailbox, "@domain", or "<>"
	Recipient   string              `json:"recipient,omitempty"` // mailbox or "@domain"
	Destination string              `json:"destination,omitempty"`
	Held        *bool               `json:"held,omitempty"`
	Limit       int                 `json:"limit,omitempty"` // messages; of a listing only
}

// IsZero says whether f selects everything.
func (f Filter) IsZero() bool {
	return len(f.IDs) == 0 && f.Sender == "" && f.Recipient == "" && f.Destination == "" && f.Held == nil
}

func (f Filter) core() appliance.Filter {
	return appliance.Filter{
		IDs: f.IDs, Sender: f.Sender, Recipient: f.Recipient,
		Destination: f.Destination, Held: f.Held, Limit: f.Limit,
	}
}

// A ChangeRequest does one thing to every delivery that is selected and not
// being attempted at this moment.
type ChangeRequest struct {
	Filter Filter `json:"filter"`
	Change string `json:"change"`        // "retry", "hold", "release", "drop" or "bounce"
	All    bool   `json:"all,omitempty"` // needed for drop and bounce without a filter
}

// Changed is how many deliveries a [ChangeRequest] changed.
type Changed struct {
	Deliveries int `json:"deliveries"`
}

// changeNamed returns the change with the name. final says that it cannot be
// taken back.
func changeNamed(name string) (c appliance.Change, final, ok bool) {
	switch name {
	case "retry":
		return appliance.ChangeRetry, false, true
	case "hold":
		return appliance.ChangeHold, false, true
	case "release":
		return appliance.ChangeRelease, false, true
	case "drop":
		return appliance.ChangeDrop, true, true
	case "bounce":
		return appliance.ChangeBounce, true, true
	}
	return 0, false, false
}

// A CertificatePage is what tls blocks serve and wait for.
type CertificatePage struct {
	Certificates []appliance.ServedCertificate `json:"certificates"`
}

// filled is p with an empty list instead of none.
func (p CertificatePage) filled() CertificatePage {
	if p.Certificates == nil {
		p.Certificates = []appliance.ServedCertificate{}
	}
	return p
}

// A RenewRequest asks for a new certificate before the old one is due.
type RenewRequest struct {
	Name string `json:"name"` // one of its names, or the address of a tls block, which stands for all it has
}

// Sent is the answer to a message that was accepted.
type Sent struct {
	ID         appliance.QueueID `json:"id"`
	Recipients int               `json:"recipients"` // after the rewrites
}

// A CapturedPage is what the relays of the configuration captured, newest first.
type CapturedPage struct {
	Messages []CapturedMessage `json:"messages"`
}

// A CapturedMessage is a message that a relay keeps for viewing.
type CapturedMessage struct {
	Relay string `json:"relay"` // name of the relay
	appliance.Captured
}
