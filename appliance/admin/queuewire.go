package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

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
	Destination string    `json:"destination"` // relay/next hop
	State       string    `json:"state"`       // "waiting", "active", "held" or "done"
	Due         time.Time `json:"due"`
	Attempts    int       `json:"attempts"`
	// When a failure will be the end of it.
	GivesUp    time.Time         `json:"gives_up"`
	Recipients []QueuedRecipient `json:"recipients"`
	// What is remembered of the attempts, oldest first. Only of a message that
	// is asked for by its id.
	History []QueuedAttempt `json:"history,omitempty"`
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
	Reason *Reason           `json:"reason,omitempty"`
}

// A Reason is what a failed attempt is about, for people.
type Reason struct {
	Class  appliance.Class `json:"class"`
	Words  string          `json:"words"`
	Advice string          `json:"advice,omitempty"`
	MoreAt string          `json:"more_at,omitempty"` // a web address in the reply
}

// A QueuedAttempt is one attempt to make a delivery.
type QueuedAttempt struct {
	Number   int              `json:"number"` // 1 is the first
	Began    time.Time        `json:"began"`
	Took     float64          `json:"took_seconds"`
	Servers  []TriedServer    `json:"servers,omitempty"` // in the order they were tried
	Outcomes []AttemptOutcome `json:"outcomes,omitempty"`
}

// A TriedServer is a server that was tried in an attempt.
type TriedServer struct {
	Host     string  `json:"host,omitempty"`
	Peer     string  `json:"peer,omitempty"`
	TLS      string  `json:"tls,omitempty"`
	Took     float64 `json:"took_seconds"`
	Useless  *Reply  `json:"useless,omitempty"` // why it could not be used; none if it answered
	Cause    string  `json:"cause,omitempty"`
	Dialogue string  `json:"dialogue,omitempty"`
}

// An AttemptOutcome is what became of some recipients in an attempt.
type AttemptOutcome struct {
	To     []appliance.Mailbox `json:"to"`
	Relay  string              `json:"relay,omitempty"`
	Reply  *Reply              `json:"reply"`
	Remote bool                `json:"remote"` // the next hop said so
	Cause  string              `json:"cause,omitempty"`
	Host   string              `json:"host,omitempty"`
	Peer   string              `json:"peer,omitempty"`
	TLS    string              `json:"tls,omitempty"`
	Class  appliance.Class     `json:"class,omitempty"`
}

func wireMessage(e appliance.Entry, lifetime time.Duration) QueuedMessage {
	m := QueuedMessage{
		ID: e.ID, Received: e.Received, From: e.Envelope.From, Size: e.Size, Origin: e.Origin,
		Deliveries: make([]QueuedDelivery, 0, len(e.Deliveries)),
	}
	for i := range e.Deliveries {
		d := wireDelivery(&e.Deliveries[i])
		d.GivesUp = e.Received.Add(lifetime)
		m.Deliveries = append(m.Deliveries, d)
	}
	return m
}

func wireDelivery(e *appliance.EntryDelivery) QueuedDelivery {
	d := QueuedDelivery{
		Destination: e.Delivery.Destination, State: state(e),
		Due: e.Delivery.Due, Attempts: e.Delivery.Attempts,
	}
	for i := range e.Delivery.Recipients {
		r := &e.Delivery.Recipients[i]
		d.Recipients = append(d.Recipients, QueuedRecipient{
			To: r.Mailbox, Status: r.Status.String(), Last: wireReply(&r.Last.Reply), Cause: cmp.Or(causeOf(e.Attempts, i), cause(&r.Last.Reply)),
			Host: r.Last.Host, Peer: r.Last.Peer, TLS: r.Last.TLS, When: r.When, Reason: reasonFor(&r.Last),
		})
	}
	for i := range e.Attempts {
		d.History = append(d.History, wireAttempt(&e.Attempts[i], e.Delivery.Recipients))
	}
	return d
}

// reasonFor is nil for who was served, and before the first attempt.
func reasonFor(r *appliance.Result) *Reason {
	if r.Class == "" {
		return nil
	}
	return &Reason{Class: r.Class, Words: r.Class.Words(), Advice: r.Class.Advice(), MoreAt: r.Reply.MoreAt()}
}

// causeOf is our own finding behind the last result of a recipient.
func causeOf(attempts []appliance.Attempt, recipient int) string {
	for i := len(attempts) - 1; i >= 0; i-- {
		outcomes := attempts[i].Outcomes
		for k := len(outcomes) - 1; k >= 0; k-- { // the last one counts, if a fallback was asked
			o := &outcomes[k]
			if slices.Contains(o.Recipients, recipient) {
				return cause(&o.Result.Reply)
			}
		}
	}
	return ""
}

func cause(r *appliance.Reply) string {
	if r.Err == nil {
		return ""
	}
	return r.Err.Error()
}

func wireAttempt(a *appliance.Attempt, recipients []appliance.RecipientState) QueuedAttempt {
	w := QueuedAttempt{Number: a.Number, Began: a.Began, Took: a.Took.Seconds()}
	for i := range a.Tries {
		t := &a.Tries[i]
		w.Servers = append(w.Servers, TriedServer{
			Host: t.Host, Peer: t.Peer, TLS: t.TLS, Took: t.Took.Seconds(),
			Useless: wireReply(&t.Reply), Cause: cause(&t.Reply), Dialogue: t.Dialogue,
		})
	}
	for i := range a.Outcomes {
		r := &a.Outcomes[i].Result
		o := AttemptOutcome{
			To: make([]appliance.Mailbox, 0, len(a.Outcomes[i].Recipients)), Relay: a.Outcomes[i].Relay,
			Reply: wireReply(&r.Reply), Remote: r.Remote, Cause: cause(&r.Reply),
			Host: r.Host, Peer: r.Peer, TLS: r.TLS, Class: r.Class,
		}
		for _, k := range a.Outcomes[i].Recipients {
			if k < len(recipients) {
				o.To = append(o.To, recipients[k].Mailbox)
			}
		}
		w.Outcomes = append(w.Outcomes, o)
	}
	return w
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
	Older       string              `json:"older,omitempty"` // received longer ago than that: "2d"
	Class       appliance.Class     `json:"class,omitempty"` // of the last attempt of a recipient that waits
	Limit       int                 `json:"limit,omitempty"` // messages; of a listing only
}

// IsZero says whether f selects everything.
func (f Filter) IsZero() bool {
	return len(f.IDs) == 0 && f.Sender == "" && f.Recipient == "" && f.Destination == "" && f.Held == nil &&
		f.Older == "" && f.Class == ""
}

// core is the filter as the store takes it; check has passed it.
func (f Filter) core(now time.Time) appliance.Filter {
	c := appliance.Filter{
		IDs: f.IDs, Sender: f.Sender, Recipient: f.Recipient, Destination: f.Destination,
		Held: f.Held, Class: f.Class, Limit: f.Limit,
	}
	if age, err := appliance.ParseDuration(f.Older); err == nil {
		c.Before = now.Add(-age)
	}
	return c
}

// A ChangeRequest does one thing to every delivery that is selected and not
// being attempted at this moment.
type ChangeRequest struct {
	Filter Filter `json:"filter"`
	Change string `json:"change"`            // "retry", "hold", "release", "drop" or "bounce"
	All    bool   `json:"all,omitempty"`     // needed for drop and bounce without a filter
	DryRun bool   `json:"dry_run,omitempty"` // only count what would be changed
}

// Changed is how many deliveries a [ChangeRequest] changed, or would change.
type Changed struct {
	Deliveries int `json:"deliveries"`
	// The rest is said of a dry run only.
	DryRun     bool `json:"dry_run,omitempty"`
	Messages   int  `json:"messages,omitempty"`   // that these deliveries belong to
	Recipients int  `json:"recipients,omitempty"` // of them, who wait
	Busy       int  `json:"busy,omitempty"`       // deliveries that match and are being attempted: they are left alone
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
