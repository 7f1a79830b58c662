package appliance

import (
	"strings"
	"time"
)

// completeSubmission does what a message submission agent does to the header
// of a message that a user hands in, before it is signed (RFC 6409, section
// 8): it adds a missing Date, Message-ID and From, and removes Bcc. A message
// whose author cannot be told is refused.
func completeSubmission(tx *Transaction, hostname string) error {
	h := &tx.Message.Header
	// RFC 5322, section 3.6.3: one way to implement Bcc is to remove it.
	h.Remove(func(f Field) bool { return strings.EqualFold(f.Name, "Bcc") })
	if h.Count("From") == 0 && !tx.Envelope.From.IsNull() {
		h.Append(NewField("From", tx.Envelope.From.Path()))
	}
	if _, err := h.From(); err != nil {
		return NewReply(550, 6, 0, "The From field must stand in the header once and hold valid addresses").With(err)
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
