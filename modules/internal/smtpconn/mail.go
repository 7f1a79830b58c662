package smtpconn

import (
	"fmt"
	"io"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A mail is a message that has been looked at: it may leave, and it is known
// what it needs of a server.
type mail struct {
	env         appliance.Envelope
	msg         *appliance.Message
	size        int64
	octets      int64 // that were read of it; like size, if the body tells the truth
	unended     bool  // its last line has no CRLF
	highHeader  bool  // the header has 8-bit octets
	highContent bool  // the header or the body has them
}

// prepare reads the whole message once. The error is a *appliance.Reply:
// permanent if the message can never leave, temporary if it cannot be read.
func prepare(env appliance.Envelope, msg *appliance.Message) (*mail, error) {
	m := &mail{env: env, msg: msg, size: msg.Size()}
	var c checker
	if _, err := msg.Header.WriteTo(&c); err != nil {
		return nil, unsendable(err)
	}
	m.highHeader = c.high
	body, err := msg.Body.Open()
	if err != nil {
		return nil, unreadable(err)
	}
	defer body.Close()
	if _, err := io.Copy(&c, body); c.err != nil {
		return nil, unsendable(c.err)
	} else if err != nil {
		return nil, unreadable(err)
	}
	if err := c.end(); err != nil {
		return nil, unsendable(err)
	}
	m.highContent, m.octets, m.unended = c.high, c.n, c.line > 0
	return m, nil
}

func unsendable(err error) *appliance.Reply {
	return appliance.Replyf(550, 6, 0, "The message cannot be sent by SMTP: it has %s", err).With(err)
}

func unreadable(err error) *appliance.Reply {
	return appliance.NewReply(451, 3, 0, "The message could not be read from the queue").With(err)
}

// refuse says why the message cannot go to a server with these extensions at
// all, or nil. assured says that nobody can read it on the way there, and that
// the server will see to the rest of its way.
func (m *mail) refuse(host string, e *extensions, assured bool) *appliance.Reply {
	switch {
	case e.size > 0 && m.size > e.size:
		// RFC 1870, section 6.1 has the same reply for the server.
		return appliance.Replyf(552, 3, 4, "The message has %d octets, %s takes at most %d", m.size, host, e.size)
	case m.highContent && !e.eightBit:
		// RFC 6152, section 3: without conversion, "a permanent error".
		return appliance.Replyf(554, 6, 3, "The message has 8-bit content and %s does not support 8BITMIME", host)
	case m.env.SMTPUTF8 && m.highHeader && !e.utf8:
		return appliance.Replyf(554, 6, 9, "The message has an international header and %s does not support SMTPUTF8", host)
	case !m.env.From.IsASCII() && !e.utf8:
		// RFC 6531, section 3.5.
		return appliance.Replyf(553, 6, 7, "The sender address is international and %s does not support SMTPUTF8", host)
	case m.env.RequireTLS && !assured:
		// RFC 8689, sections 4.2.1 and 5.
		return appliance.Replyf(550, 7, 30, "The sender requires TLS all the way and %s does not support REQUIRETLS", host)
	}
	return nil
}

// refuseRecipient is refuse for one recipient.
func (m *mail) refuseRecipient(i int, host string, e *extensions) *appliance.Reply {
	if !m.env.Recipients[i].Mailbox.IsASCII() && !e.utf8 {
		return appliance.Replyf(553, 6, 7, "The address is international and %s does not support SMTPUTF8", host)
	}
	return nil
}

// mailCommand is MAIL with what the server understands of the envelope.
func (m *mail) mailCommand(e *extensions, todo []int) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:" + m.env.From.Path())
	if e.sizes {
		fmt.Fprintf(&b, " SIZE=%d", m.size)
	}
	if e.eightBit && m.highContent {
		b.WriteString(" BODY=8BITMIME")
	}
	if e.utf8 && m.needsUTF8(todo) {
		b.WriteString(" SMTPUTF8")
	}
	if m.env.RequireTLS && e.requireTLS {
		b.WriteString(" REQUIRETLS")
	}
	if !e.dsn {
		return b.String()
	}
	if m.env.Return != "" {
		b.WriteString(" RET=" + m.env.Return)
	}
	// RFC 3461, section 4.4: at most 100 octets.
	if id := xtext(m.env.EnvelopeID); id != "" && len(id) <= 100 {
		b.WriteString(" ENVID=" + id)
	}
	return b.String()
}

func (m *mail) needsUTF8(todo []int) bool {
	// The header of a part in the body can be international too.
	if m.env.SMTPUTF8 && m.highContent || !m.env.From.IsASCII() {
		return true
	}
	for _, i := range todo {
		if !m.env.Recipients[i].Mailbox.IsASCII() {
			return true
		}
	}
	return false
}

// rcptCommand is RCPT with what the server understands of the recipient.
func (m *mail) rcptCommand(e *extensions, i int) string {
	to := m.env.Recipients[i]
	s := "RCPT TO:" + to.Mailbox.Path()
	if !e.dsn {
		return s
	}
	if n := notify(to.Notify); n != "" {
		s += " NOTIFY=" + n
	}
	return s + orcpt(to.Original)
}

// notify writes the set of RFC 3461, section 4.1.
func notify(n appliance.Notify) string {
	if n&appliance.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, v := range []struct {
		bit  appliance.Notify
		word string
	}{
		{appliance.NotifySuccess, "SUCCESS"},
		{appliance.NotifyFailure, "FAILURE"},
		{appliance.NotifyDelay, "DELAY"},
	} {
		if n&v.bit != 0 {
			words = append(words, v.word)
		}
	}
	return strings.Join(words, ",")
}

// orcpt writes ORCPT=addr-type;xtext (RFC 3461, section 4.2: at most 500
// octets), or nothing.
func orcpt(original string) string {
	kind, address, ok := strings.Cut(original, ";")
	if !ok || !isAtom(kind) || address == "" {
		return ""
	}
	s := " ORCPT=" + kind + ";" + xtext(address)
	if len(s) > 500 {
		return ""
	}
	return s
}

func isAtom(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\".[]=+`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// xtext encodes s so that nothing in it can end a command (RFC 3461, section
// 4). What is not ASCII takes the form of RFC 6533, section 3.
func xtext(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 0x80:
			fmt.Fprintf(&b, `\x{%X}`, r)
		case r <= ' ' || r == 0x7f || r == '+' || r == '=' || r == '\\':
			fmt.Fprintf(&b, "+%02X", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
