package appliance

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// A Session is one client connection. Its listener owns and fills it; all
// others only read it, and only while a call of the pipeline for it lasts.
type Session struct {
	ID         string               // in every log line and in the Received field
	Listener   Addr                 // who accepted the connection
	Client     netip.AddrPort       // the zero value for a unix socket
	Local      netip.AddrPort       // the address the client connected to
	Hostname   string               // what the listener calls itself; "" is the name of the appliance
	Hello      string               // the EHLO argument, sanitised: a claim, not a fact
	Extended   bool                 // EHLO and not HELO
	TLS        *tls.ConnectionState // nil in plain text
	Identity   *Identity            // nil until AUTH has succeeded
	Submission bool                 // users hand in their mail here (RFC 6409): the header is completed
	Trusted    string               // the entry of the listener's trusted list that contains Client, or TrustedAdmin, or ""

	// The message is one of a [Pipeline.Trial]: it is looked at and thrown away.
	// What remembers or counts messages leaves it out.
	Trial bool

	auth []AuthResult // what the AtConnect checks found; part of every transaction
}

// TrustedAdmin is Session.Trusted of a message that was handed in through the
// admin interface. Who can reach that may do everything, also send as anybody.
const TrustedAdmin = "admin"

// User is the authenticated user, or "".
func (s *Session) User() string {
	if s.Identity == nil {
		return ""
	}
	return s.Identity.User
}

// MayRelay says whether this client may send to any recipient: it has
// authenticated, or its network is trusted by name.
func (s *Session) MayRelay() bool { return s.Identity != nil || s.Trusted != "" }

// Protocol is the "with" value of the Received field (RFC 3848; RFC 6531,
// section 4.3 for the UTF8 forms).
func (s *Session) Protocol(utf8 bool) string {
	if !s.Extended {
		return "SMTP"
	}
	p := "ESMTP"
	if utf8 {
		p = "UTF8SMTP"
	}
	if s.TLS != nil {
		p += "S"
	}
	if s.Identity != nil {
		p += "A"
	}
	return p
}

// An Identity is an authenticated user.
type Identity struct {
	User string // the name as the authenticator knows it
	By   Addr   // the authenticator that vouches for it
}

// A Transaction is one message on its way in, from MAIL to the reply to DATA.
// The pipeline makes it; checks read it; modifiers may change Envelope and
// Message.Header, and rewrites the body, with ReplaceBody. It is used by one
// goroutine at a time.
type Transaction struct {
	ID       QueueID // becomes the queue id
	Session  *Session
	Received time.Time
	Envelope Envelope
	Message  Message      // filled when content has arrived
	Auth     []AuthResult // what the checks found so far, in order
	Hold     string       // why it will wait in the queue for a person; "" if it will not
	SignedBy []string     // the domains (d=) the signers signed for, in order

	spool Spool // makes drafts while the body may be replaced
	draft Draft // what Message.Body reads
	loan  Loan  // the memory that envelope and header have

	left *Transaction    // the copy of a call that was left behind with the draft; nil if there is none
	late <-chan struct{} // closed when that call has returned
}

// End gives back what the transaction costs. Whoever began it with
// [Pipeline.Mail] calls End when it is over, whatever came of it.
func (tx *Transaction) End() { tx.loan.Return() }

// An AuthResult is one finding of an authentication method, such as
// spf=pass smtp.mailfrom=example.org (RFC 8601, section 2.2).
type AuthResult struct {
	Method, Value, Reason string
	Props                 []string // "smtp.mailfrom=example.org"
}
