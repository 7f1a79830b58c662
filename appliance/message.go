package appliance

import (
	"bytes"
	"io"
	"slices"
)

// A QueueID names a message for the rest of its life: in the 250 reply, in
// the log, in the queue, in reports. [NewQueueID] makes them.
type QueueID string

// IsValid says whether id can be a queue id: 1 to 64 lower-case letters and
// digits. Only such ids become keys and file names.
func (id QueueID) IsValid() bool {
	for _, c := range []byte(id) {
		if ('a' > c || c > 'z') && ('0' > c || c > '9') {
			return false
		}
	}
	return 0 < len(id) && len(id) <= 64
}

// An Envelope is what SMTP says about a message: where a report goes and
// where the message goes. Who is handed one may keep it but not change it.
type Envelope struct {
	From       Mailbox // the reverse-path; the zero Mailbox is the null reverse-path, <>
	Recipients []Recipient
	Size       int64  // SIZE=, a claim; 0 if there was none (RFC 1870)
	SMTPUTF8   bool   // RFC 6531
	EightBit   bool   // BODY=8BITMIME or BINARYMIME, RFC 6152
	RequireTLS bool   // RFC 8689
	Return     string // RET=, "FULL", "HDRS" or "" (RFC 3461, section 4.3)
	EnvelopeID string // ENVID=, decoded (RFC 3461, section 4.4)
}

// For returns the envelope of the same message for some of its recipients.
func (e Envelope) For(rs ...Recipient) Envelope {
	e.Recipients = slices.Clone(rs)
	return e
}

// A Recipient is one RCPT TO and what came with it.
type Recipient struct {
	Mailbox  Mailbox // where it goes now
	Original string  // ORCPT=, decoded, as "rfc822;user@example.org"; "" if there was none (RFC 3461, section 4.2)
	Notify   Notify  // NOTIFY= (RFC 3461, section 4.1)
}

// Notify is the set of events the sender wants a DSN for. Zero means that
// nothing was said: failure and delay (RFC 3461, section 4.1).
type Notify uint8

// The values of NOTIFY=.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Wants says whether a DSN is due for the given event.
func (n Notify) Wants(event Notify) bool {
	if n == 0 {
		return event == NotifyFailure || event == NotifyDelay
	}
	return n&NotifyNever == 0 && n&event != 0
}

// A Message is a header, held in memory and bounded by limits.max_header, and
// a body, which need not be.
type Message struct {
	ID     QueueID
	Header Header
	Body   Body
}

// Size is the length of the message on the wire in octets, before dot-stuffing.
func (m *Message) Size() int64 { return int64(m.Header.Len()) + m.Body.Size() }

// WriteTo writes the message as it goes on the wire, before dot-stuffing.
func (m *Message) WriteTo(w io.Writer) (n int64, err error) {
	n, err = m.Header.WriteTo(w)
	if err != nil {
		return n, err
	}
	r, err := m.Body.Open()
	if err != nil {
		return n, err
	}
	defer r.Close()
	k, err := io.Copy(w, r)
	return n + k, err
}

// A Body is everything after the header fields, starting with the empty line
// that ends the header; it is empty when a message has no such line. It does
// not change. It may be opened many times, also at once, until its owner
// releases it.
type Body interface {
	Open() (io.ReadCloser, error)
	Size() int64
}

// BytesBody is a Body in memory.
type BytesBody []byte

// Open implements Body.
func (b BytesBody) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Size implements Body.
func (b BytesBody) Size() int64 { return int64(len(b)) }
