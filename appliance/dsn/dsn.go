// Package dsn writes delivery status notifications: what the sender of a
// message is told about recipients that could not be reached, or not yet.
//
// A report is a multipart/report (RFC 6522) of three parts: words for people,
// a message/delivery-status for programs (RFC 3464), and the header of the
// original message, or all of it if the sender asked for that with RET=FULL
// and it is small (RFC 3461, section 4.3).
//
// A [Digest] is what a sender is told of whom so many messages have failed that
// a report for each would be a flood.
//
// The package is pure: an envelope and its results go in, a message comes out,
// and the same input gives the same octets. It has no failure of its own: if
// the body of the original cannot be read, its header is returned alone.
//
// What strangers wrote ends up in a report: addresses, ENVID=, ORCPT=, the
// replies of other servers, the header of the original. Each goes through one
// encoder on its way, so that none of it can add a field, a line or a part:
// control characters become "?", fields are folded, and whatever is not 7-bit
// text with lines of at most 998 octets is sent as quoted-printable, or as 8bit
// where that is declared.
//
// A reverse-path that is not ASCII is answered in the form of RFC 6533: with
// SMTPUTF8, message/global-delivery-status and message/global-headers. Any
// other report is 7-bit, and writes such addresses as RFC 6533, section 3,
// encodes them.
package dsn

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A Report is everything that a notification says. All recipients are those
// of one message, and share one fate.
type Report struct {
	Action    Action
	Hostname  string // the reporting MTA
	Domain    string // domain of the From field, which is to be signed; "" is Hostname
	MessageID string // left part of the Message-ID: unique, letters and digits
	Time      time.Time

	Envelope   appliance.Envelope // of the original; its reverse-path gets the report
	Message    *appliance.Message // the original
	Received   time.Time          // when it came in
	Recipients []Recipient
}

// A Recipient is one group of fields of the delivery-status part.
type Recipient struct {
	appliance.Recipient
	Status      string           // "4.4.7"; "" is that of Result
	Result      appliance.Result // of the last attempt; zero if there was none
	LastAttempt time.Time        // zero if there was none
	RetryUntil  time.Time        // for Delayed: when we shall give up
}

// An Action is the fate of recipients (RFC 3464, section 2.3.3).
type Action string

// The actions that a server without mailboxes of its own has to report.
// Relayed is for a next hop that cannot send the report of success that was
// asked for, Delivered for one that is the server of the mailbox itself.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Relayed   Action = "relayed"
	Delivered Action = "delivered"
)

// Wanted says whether the sender is to be told of an event that concerns one
// recipient. There is never a report about a report (RFC 5321, section 4.5.5:
// a message with a null reverse-path is not answered).
func Wanted(env *appliance.Envelope, to *appliance.Recipient, event appliance.Notify) bool {
	return !env.From.IsNull() && to.Notify.Wants(event)
}

// Build writes the report as [appliance.Pipeline.Report] takes it. It panics
// if the reverse-path of the original is null, or if no recipient is given: a
// caller that gets there would make a mail loop.
func Build(r Report) (appliance.Envelope, appliance.Header, []byte) {
	if r.Envelope.From.IsNull() || len(r.Recipients) == 0 {
		panic("dsn: a report to nobody, or about nobody")
	}
	b := builder{Report: r, utf8: !r.Envelope.From.IsASCII()}
	body := b.body()
	env := appliance.Envelope{
		// RFC 3461, section 6.1: the reverse-path is null, NOTIFY= may be
		// NEVER and nothing else, and there is no RET=.
		Recipients: []appliance.Recipient{{Mailbox: r.Envelope.From, Notify: appliance.NotifyNever}},
		SMTPUTF8:   b.utf8,
		EightBit:   b.eightBit,
		// RFC 8689, section 5: the report of a message that requires TLS
		// requires it too.
		RequireTLS: r.Envelope.RequireTLS,
	}
	return env, b.header(), body
}

type builder struct {
	Report
	utf8     bool // the report itself needs SMTPUTF8
	eightBit bool // a part is declared 8bit
}

func (b *builder) boundary() string { return "=_" + b.MessageID }

func (b *builder) domain() string { return cmp.Or(b.Domain, b.Hostname) }

func (b *builder) header() appliance.Header {
	var h appliance.Header
	add := func(name, value string) { h.Append(appliance.NewField(name, value)) }
	add("Date", b.Time.Format(time.RFC1123Z))
	add("From", fmt.Sprintf("Mail Delivery System <MAILER-DAEMON@%s>", b.domain()))
	add("To", b.Envelope.From.Path())
	add("Subject", b.subject())
	add("Message-ID", fmt.Sprintf("<%s@%s>", b.MessageID, b.domain()))
	if id := b.originalID(); id != "" {
		add("In-Reply-To", id)
		add("References", id)
	}
	// RFC 3834, section 5.
	add("Auto-Submitted", "auto-replied")
	add("MIME-Version", "1.0")
	add("Content-Type", fmt.Sprintf(`multipart/report; report-type=delivery-status; boundary="%s"`, b.boundary()))
	return h
}

// originalID is the Message-ID of the original if it is one token that can
// stand in a field of ours.
func (b *builder) originalID() string {
	id := b.Message.Header.Get("Message-ID")
	if len(id) > 250 || !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, ">") {
		return ""
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return id
}

// body is the multipart, with the empty line that ends the header.
func (b *builder) body() []byte {
	var out bytes.Buffer
	out.WriteString("\r\nThis is a report of a mail server, in the form of RFC 3464.\r\n")
	for _, p := range []part{b.text(), b.status(), b.original()} {
		fmt.Fprintf(&out, "\r\n--%s\r\n", b.boundary())
		b.write(&out, p)
	}
	fmt.Fprintf(&out, "\r\n--%s--\r\n", b.boundary())
	return out.Bytes()
}
