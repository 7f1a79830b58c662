package appliance

import (
	"errors"
	"testing"
	"time"
)

const complete = "From: a@example.org\r\nDate: Thu, 20 Aug 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"

// TestCompleteSubmission is H3, H4 and H8: what a submitted header becomes.
func TestCompleteSubmission(t *testing.T) {
	received := time.Date(2026, 8, 20, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	for _, c := range []struct {
		name, header string
		from         Mailbox
		utf8         bool
		want         string
		err          *Reply
	}{
		{name: "complete", header: complete, want: complete},
		{name: "nothing", header: "", from: Mailbox{"u x", "example.org"},
			want: "From: <\"u x\"@example.org>\r\nDate: Thu, 20 Aug 2026 12:00:00 +0200\r\nMessage-ID: <id@mail.example.org>\r\n"},
		{name: "no author at all", header: "Subject: x\r\n", err: ErrNoAuthor},
		{name: "two From", header: complete + "From: b@example.org\r\n", err: ErrNoAuthor},
		{name: "From nobody can read", header: "From: a@b@c\r\n", from: Mailbox{"a", "b"}, err: ErrNoAuthor},
		{name: "group in From", header: "From: g: a@example.org;\r\n", err: ErrNoAuthor},
		{name: "Bcc", header: "Bcc: x@example.org\r\n" + complete + "BCC : y@example.org\r\nResent-Bcc: z@example.org\r\nCc: c@example.org\r\n",
			want: complete + "Cc: c@example.org\r\n"},
		{name: "two Subjects are the user's own", header: complete + "Subject: 1\r\nSubject: 2\r\n", want: complete + "Subject: 1\r\nSubject: 2\r\n"},
		{name: "resent", header: "Resent-From: r@example.org\r\n" + complete, want: "Resent-From: r@example.org\r\n" + complete},
		{name: "two authors, no Sender", header: "From: a@b, c@d\r\n" + complete[len("From: a@example.org\r\n"):], err: ErrNoSender},
		{name: "two authors and a Sender", header: "Sender: a@b\r\nFrom: a@b, c@d\r\n" + complete[len("From: a@example.org\r\n"):],
			want: "Sender: a@b\r\nFrom: a@b, c@d\r\n" + complete[len("From: a@example.org\r\n"):]},
		{name: "two Senders", header: complete + "Sender: a@b\r\nSender: a@b\r\n", err: ErrNoSender},
		{name: "Sender of two", header: complete + "Sender: a@b, c@d\r\n", err: ErrNoSender},
		{name: "8-bit Subject", header: complete + "Subject: Gr\xfc\xdfe\r\n", want: complete + "Subject: Gr\xfc\xdfe\r\n"},
		{name: "address not ASCII", header: "From: jörg@example.org\r\n", err: ErrUTF8From},
		{name: "address not ASCII, with SMTPUTF8", utf8: true, header: "From: jörg@example.org\r\n" + complete[len("From: a@example.org\r\n"):],
			want: "From: jörg@example.org\r\n" + complete[len("From: a@example.org\r\n"):]},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := ParseHeader([]byte(c.header))
			if err != nil {
				t.Fatal(err)
			}
			tx := &Transaction{ID: "id", Received: received, Envelope: Envelope{From: c.from, SMTPUTF8: c.utf8}, Message: Message{Header: h}}
			err = completeSubmission(tx, "mail.example.org")
			if c.err != nil {
				if r := ReplyTo(err); err == nil || r.String() != c.err.String() || !r.Permanent() {
					t.Fatalf("got %v, want %v", err, c.err)
				}
				return
			}
			if got := string(tx.Message.Header.Bytes()); err != nil || got != c.want {
				t.Errorf("got %v\n%s\nwant\n%s", errors.Unwrap(err), got, c.want)
			}
		})
	}
}
