package disk

import (
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A messageRecord is what does not change about a message. The recipients are
// those of its deliveries.
type messageRecord struct {
	received time.Time
	origin   appliance.Origin
	envelope appliance.Envelope
	header   []byte
	body     bodyRef
	parts    int
}

// A bodyRef says where the body is: in the b/ record, or in a file.
type bodyRef struct {
	inFile bool
	size   int64
	sum    uint32 // CRC-32C of a body in a file
}

func (m *messageRecord) encode(key []byte) []byte {
	e := newEncoder(len(m.header) + 512)
	e.time(m.received)
	e.text(m.origin.Pipeline)
	e.text(m.origin.Listener)
	e.text(m.origin.Session)
	e.text(m.origin.User)
	e.text(m.origin.Client)
	e.uint(uint64(len(m.origin.SignedBy)))
	for _, domain := range m.origin.SignedBy {
		e.text(domain)
	}
	env := &m.envelope
	e.mailbox(env.From)
	e.int(env.Size)
	e.flags(env.SMTPUTF8, env.EightBit, env.RequireTLS, m.body.inFile)
	e.text(env.Return)
	e.text(env.EnvelopeID)
	e.uint(uint64(m.parts))
	e.uint(uint64(m.body.size))
	e.uint(uint64(m.body.sum))
	e.bytes(m.header)
	return seal(key, e.b)
}

// decodeMessage copies nothing but texts: header aliases record.
func decodeMessage(key, record []byte) (m messageRecord, err error) {
	payload, err := unseal(key, record)
	if err != nil {
		return m, err
	}
	d := decoder{b: payload}
	m.received = d.time()
	m.origin.Pipeline = d.text()
	m.origin.Listener = d.text()
	m.origin.Session = d.text()
	m.origin.User = d.text()
	m.origin.Client = d.text()
	for n := d.count(); n > 0 && d.err == nil; n-- {
		m.origin.SignedBy = append(m.origin.SignedBy, d.text())
	}
	env := &m.envelope
	env.From = d.mailbox()
	env.Size = d.int()
	d.flags(&env.SMTPUTF8, &env.EightBit, &env.RequireTLS, &m.body.inFile)
	env.Return = d.text()
	env.EnvelopeID = d.text()
	m.parts = int(d.uint())
	m.body.size = int64(d.uint())
	m.body.sum = uint32(d.uint())
	m.header = d.bytes()
	return m, d.end()
}

// A deliveryRecord is a delivery and what is needed to remove it without
// reading its message.
type deliveryRecord struct {
	appliance.Delivery
	rewritten bool   // set more than once: SingleDelete must not be used
	inFile    bool   // the body of the message is a file
	parts     int    // deliveries the message began with
	attempts  []byte // what it remembers of them, as [encodeAttempts] wrote it
}

func (r *deliveryRecord) encode(key []byte) []byte {
	e := newEncoder(64 + 192*len(r.Recipients) + len(r.attempts))
	e.flags(r.rewritten, r.inFile, r.Held, r.Warned, r.Expire)
	e.uint(uint64(r.parts))
	e.text(r.Destination)
	e.time(r.Due)
	e.uint(uint64(r.Attempts))
	e.uint(uint64(len(r.Recipients)))
	for i := range r.Recipients {
		e.recipient(&r.Recipients[i])
	}
	e.bytes(r.attempts)
	return seal(key, e.b)
}

// decodeDelivery copies nothing but texts: attempts aliases record.
func decodeDelivery(key, record []byte) (r deliveryRecord, err error) {
	payload, err := unseal(key, record)
	if err != nil {
		return r, err
	}
	d := decoder{b: payload}
	d.flags(&r.rewritten, &r.inFile, &r.Held, &r.Warned, &r.Expire)
	r.parts = int(d.uint())
	r.Destination = d.text()
	r.Due = d.time()
	r.Attempts = int(d.uint())
	for n := d.count(); n > 0 && d.err == nil; n-- {
		r.Recipients = append(r.Recipients, d.recipient())
		if record[0] >= 2 {
			r.Recipients[len(r.Recipients)-1].Last.Class = d.class()
		}
	}
	if record[0] >= 2 {
		r.attempts = d.bytes()
	}
	return r, d.end()
}

// recipient leaves out Reply.Err: the cause is with the attempt.
func (e *encoder) recipient(r *appliance.RecipientState) {
	e.mailbox(r.Mailbox)
	e.text(r.Original)
	e.uint(uint64(r.Notify))
	e.uint(uint64(r.Status))
	e.time(r.When)
	e.int(int64(r.Last.Reply.Code))
	e.int(int64(r.Last.Reply.Detail.Subject))
	e.int(int64(r.Last.Reply.Detail.Detail))
	e.text(r.Last.Reply.Text)
	e.flags(r.Last.Remote)
	e.text(r.Last.Host)
	e.text(r.Last.Peer)
	e.text(r.Last.TLS)
	e.text(string(r.Last.Class))
}

// class is one of those that there are, for which no memory is needed, or "".
func (d *decoder) class() appliance.Class {
	name := d.bytes()
	for _, c := range appliance.Classes() {
		if string(c) == string(name) {
			return c
		}
	}
	return ""
}

func (d *decoder) recipient() (r appliance.RecipientState) {
	r.Mailbox = d.mailbox()
	r.Original = d.text()
	r.Notify = appliance.Notify(d.uint())
	r.Status = appliance.Status(d.uint())
	if r.Status > appliance.Dropped {
		d.fail("status")
	}
	r.When = d.time()
	r.Last.Reply.Code = int(d.int())
	r.Last.Reply.Detail.Subject = int(d.int())
	r.Last.Reply.Detail.Detail = int(d.int())
	r.Last.Reply.Text = d.text()
	d.flags(&r.Last.Remote)
	r.Last.Host = d.text()
	r.Last.Peer = d.text()
	r.Last.TLS = d.text()
	return r
}
