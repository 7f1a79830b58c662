package appliance

import (
	"strings"
	"time"
)

// Refusals of a message that a user hands in.
var (
	ErrNoAuthor = NewReply(550, 6, 0, "The From field must stand in the header once and hold valid addresses")
	ErrNoSender = NewReply(550, 6, 0, "A message with several addresses in From needs one Sender field with one address")
	ErrUTF8From = NewReply(550, 6, 7, "The address in From is not ASCII; send the message with SMTPUTF8")
)

// completeSubmission does what a message submission agent does to the header
// of a message that a user hands in, before it is signed (RFC 6409, section
// 8): it adds a missing From, Date and Message-ID, and removes Bcc. A message
// whose author cannot be told is refused.
//
// Unencoded 8-bit text elsewhere in the header needs SMTPUTF8 too (RFC 6532,
// section 3), but much software sends it without, and it arrives: it is left
// as it is.
func completeSubmission(tx *Transaction, hostname string) error {
	h := &tx.Message.Header
	// RFC 5322, sections 3.6.3 and 3.6.6: one way to implement Bcc is to remove it.
	h.Remove(func(f Field) bool {
		return strings.EqualFold(f.Name, "Bcc") || strings.EqualFold(f.Name, "Resent-Bcc")
	})
	if h.Count("From") == 0 && !tx.Envelope.From.IsNull() {
		h.Append(NewField("From", tx.Envelope.From.Path()))
	}
	if err := authored(h, tx.Envelope.SMTPUTF8); err != nil {
		return err
	}
	// RFC 6409, section 8.2.
	if h.Count("Date") == 0 {
		h.Append(NewField("Date", tx.Received.Format(time.RFC1123Z)))
	}
	// RFC 6409, section 8.3.
	if h.Count("Message-ID") == 0 {
		h.Append(NewField("Message-ID", "<"+string(tx.ID)+"@"+hostname+">"))
	}
	return nil
}

// authored says what is wrong with the fields that name the author.
func authored(h *Header, utf8 bool) error {
	from, err := h.From()
	if err != nil {
		return ErrNoAuthor.With(err)
	}
	for _, m := range from {
		if !m.IsASCII() && !utf8 {
			return ErrUTF8From
		}
	}
	// RFC 5322, section 3.6.2: if From holds more than one mailbox, Sender
	// MUST appear. It occurs once and holds one mailbox.
	if len(from) == 1 && h.Count("Sender") == 0 {
		return nil
	}
	if sender, err := h.mailboxes("Sender"); err != nil || len(sender) != 1 {
		return ErrNoSender.With(err)
	}
	return nil
}
