package appliance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/libdns/libdns"
)

// The roles. Each is as small as the pipeline allows. Every method that can
// block takes a context; every method may be called from many goroutines at
// once, after Start and until Stop.

// A Listener brings mail in. It speaks a protocol to clients and drives a
// [Pipeline]: one [Session] for each connection, one [Transaction] for each
// message.
type Listener interface {
	Module
	Starter
	// Attach gives the pipeline that mail goes to. It is called before Start
	// and again on a reload: transactions that begin afterwards use the new
	// pipeline, those in progress finish on the old.
	Attach(p *Pipeline)
	// Addrs says where it really listens, once started.
	Addrs() []net.Addr
}

// A Retirer is a Listener whose sessions go on for a while after a reload has
// replaced it: clients that are about to send notice nothing. Retire takes no
// more connections and returns when the last session has ended by itself, or
// when ctx ends. Stop follows.
type Retirer interface{ Retire(ctx context.Context) }

// A NetworkTruster is a Listener that lets some networks send without AUTH.
// TrustedNetworks is called after Validate; it is pure.
type NetworkTruster interface {
	TrustedNetworks() []netip.Prefix
}

// ErrCredentials means that the credentials are wrong. Any other error from
// an Authenticator means that it could not find out, and the client is told
// to try again later (RFC 4954, section 6: 535 against 454).
var ErrCredentials = errors.New("invalid credentials")

// An Authenticator decides who a client is. It takes the same time for a user
// it does not know as for a wrong password. ctx ends after limits.check_timeout;
// one that does not return then could not find out. s is a copy.
type Authenticator interface {
	Module
	Authenticate(ctx context.Context, s *Session, user string, password Secret) (Identity, error)
}

// An ExternalAuthenticator is an Authenticator that knows clients by what they
// have proved outside of SASL, which is the certificate of their TLS handshake
// (mechanism EXTERNAL: RFC 4422, appendix A). It takes no passwords: its
// Authenticate is never called. Listeners ask clients for a certificate when
// their pipeline has one, and verify nothing of it themselves.
type ExternalAuthenticator interface {
	Authenticator
	// AuthenticateExternal says who the client is; user is whom it asks to be,
	// or "". The error is ErrCredentials if its certificate is none of ours, if
	// it has shown none, or if it may not be that user.
	AuthenticateExternal(ctx context.Context, s *Session, user string) (Identity, error)
}

// A Check looks at a transaction and may object. It changes nothing.
type Check interface {
	Module
	// Stages says when to call Inspect. It is asked once, after Provision.
	Stages() Stage
	// Inspect is called in configured order, never twice at a time for one
	// transaction. At AtConnect only tx.Session is filled. An error is not a
	// verdict: it means that the check could not be made, and defers. ctx ends
	// after limits.check_timeout; of a check that does not return then, the
	// client is answered 451, and what it says later is ignored. tx is a copy.
	Inspect(ctx context.Context, at Stage, tx *Transaction) (Verdict, error)
}

// A Stage is a set of moments in the life of a transaction.
type Stage uint8

// The moments at which a Check can look.
const (
	AtConnect   Stage = 1 << iota // Session known, greeting not yet sent
	AtSender                      // MAIL FROM
	AtRecipient                   // RCPT TO; Envelope.Recipients ends with the new one
	AtContent                     // header and body complete
)

// A Verdict is what a Check found. The zero Verdict is "no objection".
type Verdict struct {
	Refuse *Reply       // 4yz to defer, 5yz to reject; nil to let it pass
	Hold   string       // why a message is to wait in the queue for a person, fit for its sender; "" lets it go
	Auth   []AuthResult // for Authentication-Results (RFC 8601)
}

// A Modifier changes the header or the envelope of a transaction that every
// check has let pass. A rewrite may also replace the body, with
// [Transaction.ReplaceBody], which breaks whatever signatures there are.
// Signers are modifiers that run last and append to tx.SignedBy. An error
// that carries a Reply is that reply; any other defers the message: a signer
// that is responsible for a message and cannot sign it must return one. ctx ends
// after limits.check_timeout; of a modifier that does not return then, the client
// is answered 451, and what it does later is ignored.
type Modifier interface {
	Module
	Modify(ctx context.Context, tx *Transaction) error
}

// A Claimer is a Modifier that makes some recipients ours: mail for them is
// taken from anyone. Claims is pure and fast. Whoever claims any domain claims
// postmaster at Context.Hostname too, in any case: mail for <postmaster>
// without a domain comes as that, and must be taken (RFC 5321, section 4.5.1).
type Claimer interface {
	Claims(to Mailbox) bool
}

// A Relay makes one attempt to hand a message to its next hop.
type Relay interface {
	Module
	// NextHop names the destination of a recipient: what is queued for the
	// same next hop is scheduled, limited and delivered together. It is pure.
	NextHop(to Mailbox) string
	// Deliver returns one Result for each of env.Recipients, in their order.
	// All of them have the same NextHop. There is no other error: a refused
	// connection is as many Results.
	Deliver(ctx context.Context, env Envelope, msg *Message) []Result
}

// A FallbackRelay is a Relay that can name another one for recipients that it
// could not serve itself.
type FallbackRelay interface {
	Relay
	// Instead names the relay that a recipient is handed to in the same attempt,
	// whose number is counted from 1, after a result that is not positive; its
	// Class is set. What that relay says is the result then. ok is false if r
	// itself is. It is pure.
	Instead(attempt int, r *Result) (relay Ref[Relay], ok bool)
}

// A Result is the fate of one recipient in one attempt: delivered on 2yz, to
// be tried again on 4yz, to be bounced on 5yz.
type Result struct {
	Reply  Reply
	Remote bool   // Reply is what the next hop said, not our own finding
	Host   string // the next hop's name (RFC 3464, section 2.3.5), "" if none was reached
	Peer   string // its address and port, "" if none was reached
	TLS    string // "TLS 1.3, verified", "" in plain text
	// Class is what the reply is about. A relay leaves it empty: the queue
	// finds it by the rules of [QueueSettings].
	Class Class
	// Midway says that the next hop was lost after it had begun to answer for
	// this message: it is there, and other messages may fare better. Like
	// Notifies it matters for the attempt alone.
	Midway bool
	// Notifies says that the next hop offers DSN and was told NOTIFY=: whether
	// its recipients are reported as delivered is up to it (RFC 3461, section
	// 5.2.1). It matters for the attempt alone and is not stored.
	Notifies bool
	// Final says that the next hop has put the message into the mailbox, as one
	// that speaks LMTP does: no server after it will report anything. It too is
	// for the attempt alone.
	Final bool
}

// Results returns n times the same result.
func Results(n int, r Result) []Result {
	all := make([]Result, n)
	for i := range all {
		all[i] = r
	}
	return all
}

// A Resolver answers DNS questions. *net.Resolver is one.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

var _ Resolver = (*net.Resolver)(nil)

// A DNSProvider changes the records of the zones that a DNS operator serves:
// those that prove to a certificate authority that a name is ours, and those
// that a [DNSPublisher] wants. It speaks the interfaces of libdns, which is
// nothing but these interfaces and the records they are about, so that a
// provider made for other programs needs no more than Provision to be one
// here. A zone is written with its final dot, names are relative to it. Some
// providers can do more: libdns.RecordGetter and libdns.RecordSetter are
// found by assertion.
type DNSProvider interface {
	Module
	libdns.RecordAppender
	libdns.RecordDeleter
}

// A HealthReporter is a module that can stop being of use while it runs, such
// as a store whose disk failed. Healthy returns what is wrong, or nil; it is
// fast and may be called at any time after Start.
type HealthReporter interface{ Healthy() error }

// A DNSPublisher is a module that needs records in the DNS, such as a signer
// its public keys. It may be asked after Start.
type DNSPublisher interface{ DNSRecords() []DNSRecord }

// A DNSRecord is a record to publish. Value is in presentation format without
// quotes, however long; who prints a TXT record splits it into strings of at
// most 255 octets (RFC 1035, section 3.3.14).
type DNSRecord struct {
	Name  string `json:"name"` // fully qualified, without the final dot
	Type  string `json:"type"` // "TXT"
	Value string `json:"value"`
	// What it is for, in words: "the key that signs", "the next key, which signs
	// when all name servers show it".
	Note string `json:"note,omitempty"`
}

// A Capturer is a relay that keeps what it is handed for people to look at,
// as "waxwing capture" and the admin API show it.
type Capturer interface {
	// Captured lists the messages it holds, newest first.
	Captured(ctx context.Context) ([]Captured, error)
	// Open returns one of them as it would have gone out. The error is
	// fs.ErrNotExist if there is none with the id.
	Open(ctx context.Context, id string) (io.ReadCloser, error)
}

// A Captured is a message that a [Capturer] keeps.
type Captured struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	From    Mailbox   `json:"from"`
	To      []Mailbox `json:"to"`
	Subject string    `json:"subject,omitempty"`
	Size    int64     `json:"size"`
}
