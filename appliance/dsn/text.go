package dsn

import (
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

func (b *builder) subject() string {
	switch b.Action {
	case Delayed:
		return "Your message is late and will be tried again"
	case Relayed:
		return "Your message has been passed on"
	case Delivered:
		return "Your message has been delivered"
	default:
		return "Your message could not be delivered"
	}
}

// text is the part for people: what happened, to whom, and what to do.
func (b *builder) text() part {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\r\n", args...) }

	line("This is the mail server %s.", b.Hostname)
	line("")
	line("%s", b.intro())
	for _, r := range b.Recipients {
		line("")
		line("  %s", oneLine(r.Mailbox.Path()))
		for _, s := range b.explain(r) {
			line("    %s", s)
		}
	}
	line("")
	line("Your message:")
	if s := subjectOf(b.Message); s != "" {
		line("  Subject:  %s", s)
	}
	line("  Received: %s", b.Received.Format(time.RFC1123Z))
	line("  Queue id: %s", b.Message.ID)
	if b.Action == Failed || b.Action == Delayed {
		line("")
		line("If you ask somebody for help, send this whole report along: the parts")
		line("that follow tell them what they need to know.")
	}
	content := []byte(out.String())
	charset := "us-ascii"
	if !isPlain(content) {
		charset = "utf-8"
	}
	return part{"text/plain; charset=" + charset, "Notification", content, quoted}
}

func (b *builder) intro() string {
	switch b.Action {
	case Delayed:
		return "Your message has not yet been delivered to the following recipients.\r\n" +
			"There is nothing you need to do: it will be tried again."
	case Relayed:
		return "You asked for a report of delivery. Your message has been passed on for\r\n" +
			"the following recipients, to a mail server that does not send such\r\n" +
			"reports: whether it reaches them will not be reported."
	case Delivered:
		return "You asked for a report of delivery. Your message is in the mailboxes of\r\n" +
			"the following recipients."
	default:
		return "Your message could not be delivered to the following recipients, and\r\n" +
			"it will not be tried again."
	}
}

// explain says in lines what happened to one recipient and what helps.
func (b *builder) explain(r Recipient) []string {
	var all []string
	if d := diagnostic(&r.Result.Reply); d != "" {
		who := "This server found:"
		if b.Action == Relayed || b.Action == Delivered {
			who = "The answer was:"
		}
		if r.Result.Remote {
			who = "The receiving mail server " + orUnnamed(r.Result.Host) + "answered:"
		}
		all = append(all, who)
		all = append(all, wrap("  "+oneLine(d))...)
	}
	if b.Action == Delayed && !r.RetryUntil.IsZero() {
		all = append(all, "It will be tried until "+r.RetryUntil.Format(time.RFC1123Z)+".")
	}
	if b.Action == Failed {
		all = append(all, wrap(b.advice(r))...)
	}
	return all
}

func orUnnamed(host string) string {
	if host == "" {
		return ""
	}
	return oneLine(host) + " "
}

// advice says what a sender can do about a failure (RFC 3463, section 3).
func (b *builder) advice(r Recipient) string {
	_, code, _ := strings.Cut(b.statusOf(r), ".")
	subject, _, _ := strings.Cut(code, ".")
	switch {
	case code == "4.7":
		return fmt.Sprintf("It was tried for %s, which is as long as this server keeps mail. "+
			"Ask the recipient in another way, or send it again later.", span(b.Time.Sub(b.Received)))
	case code == "1.7", code == "1.8":
		return "The receiving mail server does not accept the address that the message was sent from. Ask your administrator."
	case code == "4.6":
		return "The message went round in a loop. Tell the administrator of the recipient's mail server."
	case code == "2.2":
		return "The mailbox is full. Ask the recipient in another way to make room, then send it again."
	case code == "2.3", code == "3.4":
		return "The message is too large for the recipient. Make it smaller, or share the attachment in another way."
	case code == "6.3":
		return "The receiving mail server takes 7-bit text only. Have the program that made the message encode its text " +
			"and attachments with quoted-printable or base64, then send it again."
	case code == "6.7", code == "6.9":
		return "The receiving mail server takes ASCII addresses and header fields only. " +
			"Write to another address of the recipient, from an address in ASCII."
	case subject == "1":
		return "Check the address for a typing error, then send the message again to the right one."
	case subject == "7":
		return "The message was refused for reasons of policy or security. Ask your administrator to look at the answer above."
	default:
		return "Ask your administrator, or the recipient in another way."
	}
}

// span writes a time for people, in its largest whole unit: "5 days".
func span(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / u.length; {
		case n == 1:
			return "one " + u.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "less than a minute"
}

// wrap breaks a text at spaces into lines of at most 68 characters where
// possible. Further lines have the indent of the first.
func wrap(text string) []string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	var all []string
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > 68 {
			all = append(all, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	return append(all, line)
}

// maxSubject bounds what is repeated of the subject, in characters.
const maxSubject = 100

func subjectOf(m *appliance.Message) string {
	raw := m.Header.Get("Subject")
	if len(raw) > 10*maxSubject {
		raw = raw[:10*maxSubject]
	}
	s, err := new(mime.WordDecoder).DecodeHeader(raw)
	if err != nil {
		s = raw
	}
	s = oneLine(s)
	if rs := []rune(s); len(rs) > maxSubject {
		s = string(rs[:maxSubject]) + " ..."
	}
	return s
}

// oneLine keeps what a stranger wrote on one line of valid UTF-8, without
// control characters and without those that change the direction of writing.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if appliance.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?"))
}
