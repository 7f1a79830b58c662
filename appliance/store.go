package appliance

import (
	"context"
	"io"
	"iter"
	"time"
)

// A Store keeps everything that must outlive the process: the queue and the
// small facts of other modules. It is opened by Start and closed by Stop.
//
// What the queue engine relies on, and appliancetest.RunStore proves:
//
//	Commit  nil means that every message survives a power cut; all or none
//	Lease   a delivery is with one holder at a time, until it is settled or
//	        its lease runs out; a crash or Stop releases every lease
//	Settle  all outcomes and the reports they caused in one durable step
//
// An error of a Store is our own fault and temporary (451), except that
// [ErrFull] is a 452. A store may also be a [HealthReporter].
type Store interface {
	Module
	Starter
	// Draft makes room for one body. It is released by Commit or Abort.
	Draft(ctx context.Context) (Draft, error)
	// Commit takes responsibility for messages whose Draft is its own. An id
	// is committed once. After an error it may be that the messages survive a
	// power cut nevertheless, as when an fsync fails half-way.
	Commit(ctx context.Context, msgs ...Accepted) error
	// Destinations lists every destination with waiting, unleased deliveries,
	// and when the first of them is due. The order is not defined.
	Destinations(ctx context.Context) iter.Seq2[DestinationDue, error]
	// Lease returns due deliveries of one destination, oldest due first. It
	// does not wait: none due is an empty list. It may return fewer than are
	// due, to bound memory: only an empty list means that none is.
	Lease(ctx context.Context, want LeaseRequest) ([]Leased, error)
	// Settle ends leases. What a delivery remembers of its attempts grows by
	// Outcome.Attempt ([Remember]) and is forgotten when it is finished.
	// An outcome whose delivery is not there any more,
	// because a person dropped it or because it was settled before, is
	// ignored together with its reports. A recipient that is final in the
	// store stays final ([Outcome.Reconcile]).
	Settle(ctx context.Context, outcomes ...Outcome) error
	// Query lists messages, oldest first, for people: those with a delivery
	// that f selects, and of their deliveries those that it selects. A
	// delivery that is finished is not there any more. Deliveries come with
	// their attempts if f.Attempts asks for them.
	Query(ctx context.Context, f Filter) iter.Seq2[Entry, error]
	// Change does one thing to every matching delivery that is not leased and
	// that it is for ([Change.Concerns]), and returns how many it changed.
	Change(ctx context.Context, f Filter, c Change) (int, error)
	Values() Values
}

// A RoomReporter is a [Store] or a [Spool] that can say before a message comes
// whether there is room for one of so many octets, 0 if that is not known: nil,
// or [ErrFull].
type RoomReporter interface {
	Room(ctx context.Context, size int64) error
}

// ErrFull means that the store has no room: below the reserve of disk space,
// or the device said so.
var ErrFull = NewReply(452, 3, 1, "Insufficient system storage, please try again later")

// A Draft is a body on its way into the store. Writes append. After the last
// write it is read through Body; a Draft named by a committed Accepted belongs
// to the store. Abort releases everything and is harmless after Commit.
type Draft interface {
	io.Writer
	Body() (Body, error)
	Abort() error
}

// An Accepted is a message that Waxwing takes responsibility for (RFC 5321,
// section 6.1), as the pipeline hands it to the store.
type Accepted struct {
	ID         QueueID
	Received   time.Time
	Origin     Origin
	Envelope   Envelope // its Recipients are those of Deliveries, in order
	Header     Header
	Draft      Draft // the body
	Size       int64 // of header and body in octets, 0 if not known: a hint for whose turn it is
	Deliveries []Delivery
}

// Origin says where a message came from: it is what routes, reports and the
// log know about it for the rest of its life.
type Origin struct {
	Pipeline string   `json:"pipeline"`            // name of the pipeline whose routes and signers apply
	Listener string   `json:"listener,omitempty"`  // name of the listener, "" for a report of our own
	Session  string   `json:"session,omitempty"`   // id of the session
	User     string   `json:"user,omitempty"`      // authenticated user
	Client   string   `json:"client,omitempty"`    // IP address of the client
	SignedBy []string `json:"signed_by,omitempty"` // domains (d=) it is signed for
}

// A Delivery is the part of a message that goes to one destination: the unit
// of scheduling. The recipients of one Delivery are attempted together.
type Delivery struct {
	Destination string // "relay/next hop": made by [Pipeline], a hint for grouping
	Recipients  []RecipientState
	Due         time.Time // not before
	Attempts    int       // attempts made so far
	Warned      bool      // a delay notice has been sent
	Held        bool      // waits for a person; never due
	Expire      bool      // bounce at the next turn, without another attempt
}

// A RecipientState is a recipient and what has become of it so far.
type RecipientState struct {
	Recipient
	Status Status
	Last   Result    // of the last attempt; zero before the first
	When   time.Time // of the last attempt
}

// Status is the state of a recipient.
type Status uint8

// The states. Waiting is the only one that is not final.
const (
	Waiting   Status = iota
	Delivered        // the next hop has taken responsibility
	Failed           // bounced: a report was sent or was not due
	Dropped          // removed by a person
)

func (s Status) String() string {
	return [...]string{"waiting", "delivered", "failed", "dropped"}[s]
}

// A DeliveryKey names a delivery in its store.
type DeliveryKey struct {
	ID   QueueID
	Part int // index in Accepted.Deliveries
}

// DestinationDue is a destination and the time its first delivery is due.
type DestinationDue struct {
	Destination string
	Due         time.Time
}

// A LeaseRequest asks for deliveries of one destination.
type LeaseRequest struct {
	Destination string
	Now         time.Time // what is due at this time
	Until       time.Time // when the lease runs out
	Max         int       // at most so many
	// Keys asks for these alone, of those that are due, in this order: a new
	// message has a turn although others have waited for longer. None is any.
	Keys []DeliveryKey
}

// A Leased is a delivery that its holder, and nobody else, works on.
type Leased struct {
	Key      DeliveryKey
	Delivery Delivery
	Received time.Time
	Origin   Origin
	Envelope Envelope // without Recipients
	Message  Message
}

// An Outcome says what became of leased work. If no recipient is Waiting any
// more the delivery is finished, and with its last delivery the message is
// removed. Otherwise Delivery is stored as it stands and becomes due again at
// Delivery.Due: with Attempts unchanged it has merely been put back.
type Outcome struct {
	Key      DeliveryKey
	Delivery Delivery
	Attempt  *Attempt   // to be remembered if somebody still waits, or nil
	Reports  []Accepted // stored in the same durable step
}

// Done says whether no recipient waits any more.
func (d *Delivery) Done() bool {
	for i := range d.Recipients {
		if d.Recipients[i].Status == Waiting {
			return false
		}
	}
	return true
}

// A Filter selects deliveries; every field that is set must match.
type Filter struct {
	IDs         []QueueID
	Sender      string // reverse-path, or "@domain"; "<>" for the null reverse-path
	Recipient   string // mailbox, or "@domain"
	Destination string
	Held        *bool
	Before      time.Time // received before that; zero is any time
	Class       Class     // of the last attempt of a recipient that waits
	Limit       int       // at most so many messages; 0 is all

	Attempts bool // selects nothing, but asks Query for EntryDelivery.Attempts
}

// An Entry is a message in the queue, for people.
type Entry struct {
	ID         QueueID
	Received   time.Time
	Origin     Origin
	Envelope   Envelope // without Recipients
	Size       int64
	Deliveries []EntryDelivery
}

// An EntryDelivery is a delivery with what only its store knows.
type EntryDelivery struct {
	Key      DeliveryKey
	Leased   bool
	Delivery Delivery
	Attempts []Attempt // oldest first; only if asked for
}

// A Change is what a person can do to queued deliveries.
type Change int

// The changes.
const (
	ChangeRetry   Change = iota // due now, unless held
	ChangeHold                  // never due until released
	ChangeRelease               // due now, no longer held, if it was
	ChangeDrop                  // remove, without a report
	ChangeBounce                // due now, and to be bounced without an attempt
)
