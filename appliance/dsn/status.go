package dsn

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// status is the part that programs read (RFC 3464, section 2).
func (b *builder) status() part {
	var out bytes.Buffer
	b.messageFields(&out)
	for _, r := range b.Recipients {
		out.WriteString("\r\n")
		b.recipientFields(&out, r)
	}
	if b.utf8 {
		// RFC 6533, section 4.
		return part{"message/global-delivery-status", "Delivery report", out.Bytes(), eightBit}
	}
	return part{"message/delivery-status", "Delivery report", out.Bytes(), quoted}
}

func (b *builder) messageFields(out *bytes.Buffer) {
	if id := b.Envelope.EnvelopeID; id != "" {
		// RFC 3464, section 2.2.1: the ENVID= of the sender, decoded.
		b.field(out, "Original-Envelope-Id", id)
	}
	b.field(out, "Reporting-MTA", "dns; "+b.Hostname)
	b.field(out, "Arrival-Date", b.Received.Format(time.RFC1123Z))
}

func (b *builder) recipientFields(out *bytes.Buffer, r Recipient) {
	if o := b.originalRecipient(r.Original); o != "" {
		b.field(out, "Original-Recipient", o)
	}
	b.field(out, "Final-Recipient", b.typedAddress(r.Mailbox))
	b.field(out, "Action", string(b.Action))
	b.field(out, "Status", b.statusOf(r))
	if r.Result.Remote && r.Result.Host != "" {
		b.field(out, "Remote-MTA", "dns; "+r.Result.Host)
	}
	if d := diagnostic(&r.Result.Reply); d != "" {
		// RFC 3464, section 2.3.6: "smtp" is for a reply received in SMTP;
		// what we found out ourselves is none.
		kind := "smtp; "
		if !r.Result.Remote {
			kind = "x-waxwing; "
		}
		b.field(out, "Diagnostic-Code", kind+d)
	}
	if !r.LastAttempt.IsZero() {
		b.field(out, "Last-Attempt-Date", r.LastAttempt.Format(time.RFC1123Z))
	}
	// RFC 3464, section 2.3.9: only for "delayed".
	if b.Action == Delayed && !r.RetryUntil.IsZero() {
		b.field(out, "Will-Retry-Until", r.RetryUntil.Format(time.RFC1123Z))
	}
}

// field writes one field that fits the part, whatever value holds.
func (b *builder) field(out *bytes.Buffer, name, value string) {
	if !b.utf8 {
		value = ascii(value)
	}
	out.Write(appliance.NewField(name, strings.ToValidUTF8(value, "?")).Raw)
}

// typedAddress is the generic form of RFC 3464, section 2.3.2.
func (b *builder) typedAddress(m appliance.Mailbox) string {
	switch {
	case m.IsASCII():
		return "rfc822; " + m.String()
	case b.utf8:
		return "utf-8; " + m.String()
	default:
		return "utf-8; " + embedUnicode(m.String())
	}
}

// originalRecipient is an ORCPT= in the form of RFC 3464, section 2.3.1, or ""
// if there was none.
func (b *builder) originalRecipient(orcpt string) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || !isToken(kind) || addr == "" {
		return ""
	}
	if strings.EqualFold(kind, "utf-8") && !b.utf8 {
		addr = embedUnicode(addr)
	}
	return kind + "; " + addr
}

// embedUnicode writes an address in ASCII, as utf-8-addr-xtext of RFC 6533,
// section 3. An address that is ASCII already may be in that form: it stays.
func embedUnicode(addr string) string {
	if ascii(addr) == addr {
		return addr
	}
	var out strings.Builder
	for _, r := range addr {
		if r <= ' ' || r >= 0x7f || r == '\\' || r == '+' || r == '=' {
			fmt.Fprintf(&out, `\x{%02X}`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return s != ""
}

// statusOf is the enhanced status code of a recipient.
func (b *builder) statusOf(r Recipient) string {
	if r.Status != "" {
		return r.Status
	}
	if r.Result.Reply.Code != 0 {
		return r.Result.Reply.Status()
	}
	switch b.Action {
	case Failed:
		return "5.0.0"
	case Delayed:
		return "4.0.0"
	default:
		return "2.0.0"
	}
}

// maxDiagnostic bounds what is repeated of a reply, in octets. A reply can
// have many lines; the first say what is wrong.
const maxDiagnostic = 1000

// diagnostic is a reply on one line, "" if there was none.
func diagnostic(r *appliance.Reply) string {
	if r.Code == 0 {
		return ""
	}
	text := strings.Join(strings.Fields(r.Text), " ")
	if len(text) > maxDiagnostic {
		text = text[:maxDiagnostic] + " ..."
	}
	if r.Detail == (appliance.Detail{}) {
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, text))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Status(), text))
}

// ascii replaces every character beyond ASCII with "?".
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, s)
}
