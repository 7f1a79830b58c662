package appliance

import "time"

// An Event says once what happened to mail. The final log line per recipient
// and the counters are readers of events, never second tellings; all use the
// same ids. Fields that do not apply are zero.
type Event struct {
	Kind        EventKind
	Time        time.Time
	ID          QueueID
	Session     string
	Pipeline    string
	Listener    string
	Relay       string // name of the relay
	Destination string // in the queue: "relay/next hop"
	User        string
	Client      string // IP address
	From        Mailbox
	To          Mailbox // zero for what concerns a whole message
	Recipients  int
	Size        int64
	SignedBy    []string
	Reply       *Reply        // given to the client, or by the next hop
	Attempt     int           // 1 is the first
	Next        time.Time     // when the next attempt is due
	Age         time.Duration // since the message was received
	Host        string        // next hop
	Peer        string
	TLS         string
	Class       Class // what a reply of a next hop is about
}

// EventKind is what happened.
type EventKind string

// The events. A message is accepted, and then each of its recipients ends
// delivered, bounced or dropped, exactly once.
const (
	EventAccepted   EventKind = "accepted"    // answered 250 after it became durable
	EventHeld       EventKind = "held"        // accepted, and waits in the queue for a person
	EventUnaligned  EventKind = "unaligned"   // about to be accepted, though DMARC will fail; Reply says why
	EventRefused    EventKind = "refused"     // a connection, or a command of a transaction, was answered 4yz or 5yz
	EventAuthFailed EventKind = "auth_failed" // AUTH was answered 4yz or 5yz
	EventBanned     EventKind = "banned"      // a network may not connect until Next; Client is its name
	EventDelivered  EventKind = "delivered"   // the next hop took responsibility
	EventDeferred   EventKind = "deferred"    // an attempt failed, another will follow
	EventBounced    EventKind = "bounced"     // no attempt will follow
	EventDropped    EventKind = "dropped"     // removed by a person
	EventReported   EventKind = "reported"    // a DSN was queued; ID is its own
)

// Final says whether a recipient is done with.
func (k EventKind) Final() bool {
	return k == EventDelivered || k == EventBounced || k == EventDropped
}

// An EventSink takes events. Emit returns at once; it may be called from many
// goroutines.
type EventSink interface{ Emit(e Event) }

// eventSinks hands each event to all its members in turn.
type eventSinks []EventSink

// Emit implements EventSink.
func (s eventSinks) Emit(e Event) {
	for _, sink := range s {
		sink.Emit(e)
	}
}

// instanceEvents hands each event to the modules that are EventSinks themselves,
// in the order of the graph: those of the configuration that runs, or is about to.
type instanceEvents struct{ a *Appliance }

// Emit implements EventSink.
func (s instanceEvents) Emit(e Event) {
	for _, n := range s.a.Graph().Nodes {
		if sink, ok := n.Module.(EventSink); ok {
			sink.Emit(e)
		}
	}
}

// EventFunc is a function that is an EventSink.
type EventFunc func(Event)

// Emit implements EventSink.
func (f EventFunc) Emit(e Event) { f(e) }
