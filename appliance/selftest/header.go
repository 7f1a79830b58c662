package selftest

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// headerItems are about the header fields.
func (j *judge) headerItems(ctx context.Context) []Item {
	items := []Item{j.author(), j.date(), j.messageID(), j.recipients(), j.subject()}
	items = append(items, j.repeated()...)
	j.form = stateOf(items)
	if !isASCII(j.Message.Header.Bytes()) && !j.Envelope.SMTPUTF8 {
		items = append(items, poor("header text", 5, "a header field has letters that are not ASCII as they are, without SMTPUTF8: some servers refuse it, others show rubbish",
			"let the program encode them (RFC 2047): =?utf-8?q?…?="))
	}
	return append(items, j.senderDomain(ctx))
}

// author looks at the From field. DMARC has nothing to go by without one
// domain, and large receivers refuse the message.
func (j *judge) author() Item {
	const name = "From"
	h := &j.Message.Header
	if n := h.Count(name); n != 1 {
		return bad(name, 30, fmt.Sprintf("there are %d From fields: nobody can tell whose message it is (RFC 5322, section 3.6)", n), "write one From field")
	}
	authors, err := h.From()
	switch {
	case err != nil:
		return bad(name, 30, fmt.Sprintf("the From field cannot be read: %v", err), `write it as From: "Name" <name@example.com>`)
	case len(authors) > 1:
		return bad(name, 20, fmt.Sprintf("the From field has %d addresses: receivers that apply DMARC refuse that", len(authors)), "write one address, and the others into Reply-To")
	}
	if a, err := mail.ParseAddress(h.Get(name)); err == nil && strings.Contains(a.Name, "@") && !strings.Contains(strings.ToLower(a.Name), strings.ToLower(authors[0].String())) {
		return poor(name, 5, fmt.Sprintf("the name %q beside %s looks like another address, as in mail that deceives", a.Name, authors[0]), "write a name without @")
	}
	return good(name, "one author: %s", authors[0])
}

// How far the Date field may be from now.
const (
	mayBeOld   = 24 * time.Hour
	mayBeAhead = time.Hour
)

func (j *judge) date() Item {
	const name = "Date"
	h := &j.Message.Header
	if n := h.Count(name); n != 1 {
		return bad(name, 10, fmt.Sprintf("there are %d Date fields, one is needed (RFC 5322, section 3.6)", n), "write one Date field, or hand the message in where users do: the server adds it")
	}
	at, err := mail.ParseDate(h.Get(name))
	if err != nil {
		return bad(name, 10, fmt.Sprintf("the Date field cannot be read: %.60q", h.Get(name)), "write it as "+j.Now.Format(time.RFC1123Z))
	}
	switch ago := j.Now.Sub(at); {
	case ago > mayBeOld:
		return poor(name, 5, fmt.Sprintf("the message says that it is %s old", appliance.FormatDuration(ago.Round(time.Hour))), "write the time at which it is sent; look at the clock of the program")
	case -ago > mayBeAhead:
		return poor(name, 5, fmt.Sprintf("the message says that it comes from the future, by %s", appliance.FormatDuration((-ago).Round(time.Minute))), "write the time at which it is sent, with the right time zone; look at the clock of the program")
	}
	return good(name, "near now")
}

func (j *judge) messageID() Item {
	const name = "Message-ID"
	h := &j.Message.Header
	if h.Count(name) != 1 {
		return poor(name, 5, fmt.Sprintf("there are %d Message-ID fields, one is needed", h.Count(name)), "write one, or hand the message in where users do: the server adds it")
	}
	id := h.Get(name)
	inner, closed := strings.CutSuffix(strings.TrimPrefix(id, "<"), ">")
	_, domain, ok := strings.Cut(inner, "@")
	if !closed || !ok || !strings.HasPrefix(id, "<") || strings.ContainsAny(inner, " \t<>") || domain == "" {
		return poor(name, 5, fmt.Sprintf("%.80q is not of the form <something@domain> (RFC 5322, section 3.6.4)", id), "write it so, or leave it to the server")
	}
	if !strings.Contains(domain, ".") && !strings.HasPrefix(domain, "[") {
		return poor(name, 3, fmt.Sprintf("the part behind @ in %.80q is no domain: filters know that from infected machines", id), "let the program use the domain of the sender, or leave the field to the server")
	}
	return good(name, "%s", id)
}

func (j *judge) recipients() Item {
	h := &j.Message.Header
	for _, name := range []string{"To", "Cc"} {
		for _, v := range h.Values(name) {
			if strings.TrimSpace(v) == "" {
				continue
			}
			if _, err := mail.ParseAddressList(v); err != nil && !strings.Contains(v, ":") { // a group has a colon, and may be empty
				return poor(name, 3, fmt.Sprintf("the %s field cannot be read: %.60q", name, v), `write it as To: "Name" <name@example.org>`)
			}
			return good("To", "the message says whom it is to")
		}
	}
	return poor("To", 3, "the message does not say whom it is to: there is no To and no Cc field", "write the recipient into To")
}

func (j *judge) subject() Item {
	const name = "Subject"
	s := strings.TrimSpace(j.Message.Header.Get(name))
	switch {
	case s == "":
		return poor(name, 3, "there is no subject", "write one")
	case strings.ToUpper(s) == s && strings.ToLower(s) != s && len(s) > 10:
		return poor(name, 2, "the subject is in capitals only, as in advertisements", "write it in small letters")
	}
	return good(name, "there is one")
}

// repeated finds fields that may be there only once. RFC 5322, section 3.6;
// Gmail refuses a message that repeats one.
func (j *judge) repeated() (items []Item) {
	for _, name := range []string{"Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "References", "Subject", "MIME-Version", "Content-Type"} {
		if n := j.Message.Header.Count(name); n > 1 {
			items = append(items, bad(name, 20, fmt.Sprintf("there are %d %s fields; only one may be there (RFC 5322, section 3.6), and large receivers refuse the message", n, name), "write one"))
		}
	}
	return items
}

// senderDomain looks whether a bounce could come back. Many receivers refuse a
// sender whose domain takes no mail.
func (j *judge) senderDomain(ctx context.Context) Item {
	const name = "envelope sender"
	from := j.Envelope.From
	if from.IsNull() {
		return unknown(name, "the message has none: it is a report, as <> says")
	}
	fix := fmt.Sprintf("publish an MX record for %s, or use an envelope sender that takes bounces", from.Domain)
	mx, err := j.Resolver.LookupMX(ctx, from.Domain+".")
	switch {
	case err == nil && len(mx) == 1 && mx[0].Host == ".":
		return bad(name, 20, fmt.Sprintf("%s says with a null MX that it takes no mail (RFC 7505): receivers refuse it as a sender", from.Domain), fix)
	case len(mx) > 0:
		return good(name, "%s takes mail: bounces can come back", from.Domain)
	case err != nil && !isNotFound(err):
		return unknown(name, "whether %s takes mail is not known: %v", from.Domain, err)
	}
	// RFC 5321, section 5.1: without MX records the address is the exchanger.
	all, err := j.Resolver.LookupNetIP(ctx, "ip", from.Domain+".")
	switch {
	case len(all) > 0:
		return poor(name, 3, fmt.Sprintf("%s has no MX record, only an address: some receivers distrust it", from.Domain), fix)
	case err != nil && !isNotFound(err):
		return unknown(name, "whether %s takes mail is not known: %v", from.Domain, err)
	}
	return bad(name, 20, fmt.Sprintf("%s has no MX record and no address: bounces cannot come back, and many receivers refuse the sender", from.Domain), fix)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
