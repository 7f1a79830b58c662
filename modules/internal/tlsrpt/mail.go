package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// mediaType of a report (RFC 8460, section 6.4).
const mediaType = "application/tlsrpt+gzip"

// fieldDomain is in the header of every report. What is known of the delivery
// of reports is not reported in its turn.
const fieldDomain = "TLS-Report-Domain"

// IsReport says whether a message is a report of TLS.
func IsReport(h *appliance.Header) bool { return h.Count(fieldDomain) > 0 }

// A letter is a report as a message.
type letter struct {
	*report
	to    appliance.Mailbox
	now   time.Time
	bytes []byte // compressed
}

// envelope: the reverse-path is null, as that of other reports of ours: no
// person reads what comes back, and there is none who could mend it.
func (l *letter) envelope() appliance.Envelope {
	return appliance.Envelope{
		Recipients: []appliance.Recipient{{Mailbox: l.to, Notify: appliance.NotifyNever}},
		SMTPUTF8:   !l.to.IsASCII(),
	}
}

// header is that of RFC 8460, section 5.3.
func (l *letter) header() appliance.Header {
	var h appliance.Header
	add := func(name, value string) { h.Append(appliance.NewField(name, value)) }
	add("Date", l.now.Format(time.RFC1123Z))
	add("From", "<"+l.Contact+">")
	add("To", l.to.Path())
	add("Subject", fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", l.Domain, l.Submitter, l.id()))
	add("Message-ID", "<"+l.id()+">")
	add(fieldDomain, l.Domain)
	add("TLS-Report-Submitter", l.Submitter)
	// RFC 8689, section 3: the report comes through in spite of the failure that
	// it tells of.
	add("TLS-Required", "No")
	add("Auto-Submitted", "auto-generated") // RFC 3834, section 5
	add("MIME-Version", "1.0")
	add("Content-Type", fmt.Sprintf(`multipart/report; report-type="tlsrpt"; boundary="%s"`, l.boundary()))
	return h
}

func (l *letter) boundary() string {
	return fmt.Sprintf("=_tlsrpt_%d_%s", l.Day.Unix(), token(l.Instance))
}

// body is the two parts, with the empty line that ends the header.
func (l *letter) body() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n", l.boundary())
	fmt.Fprintf(&out, "This is a report of TLS with the mail servers of\r\n%s on %s (UTC),\r\nin the form of RFC 8460, from %s.\r\n",
		l.Domain, l.Day.Format(time.DateOnly), l.Submitter)
	fmt.Fprintf(&out, "\r\n--%s\r\nContent-Type: %s; name=\"%s\"\r\n", l.boundary(), mediaType, l.filename())
	fmt.Fprintf(&out, "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", l.filename())
	out.WriteString(wrapped(l.bytes))
	fmt.Fprintf(&out, "\r\n--%s--\r\n", l.boundary())
	return out.Bytes()
}

// wrapped is base64 in lines of 76 (RFC 2045, section 6.8).
func wrapped(b []byte) string {
	const width = 76
	var out strings.Builder
	text := base64.StdEncoding.EncodeToString(b)
	for len(text) > 0 {
		n := min(width, len(text))
		out.WriteString(text[:n])
		out.WriteString("\r\n")
		text = text[n:]
	}
	return out.String()
}
