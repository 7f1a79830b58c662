package cmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// maxHeader is the largest header that is looked into, in octets; the server
// has a limit of its own.
const maxHeader = 1 << 20

// message is what to send: standard input as it is, or a new message. It
// fills in sender and recipients that only the header names.
func (j *sendJob) message() (io.Reader, error) {
	if j.composed {
		return j.compose()
	}
	in := bufio.NewReaderSize(j.in, 64<<10)
	header, err := appliance.ReadHeader(in, maxHeader)
	if err != nil {
		return nil, err
	}
	if header.Len() == 0 {
		j.in = in
		return j.compose()
	}
	if err := j.address(&header); err != nil {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(header.Bytes()), separator(in), in), nil
}

// separator is the empty line between header and body, if in does not begin
// with it.
func separator(in *bufio.Reader) io.Reader {
	next, _ := in.Peek(1) // an error comes back when the body is read
	if len(next) == 0 || next[0] == '\r' || next[0] == '\n' {
		return strings.NewReader("")
	}
	return strings.NewReader("\r\n")
}

// address takes sender and recipients from a header.
func (j *sendJob) address(h *appliance.Header) error {
	if j.from == "" {
		authors, err := h.From()
		if err != nil {
			return fmt.Errorf("the From field does not say who sends this: %w", err)
		}
		j.from = authors[0].String()
	}
	if !j.extract {
		return nil
	}
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, value := range h.Values(name) {
			if strings.TrimSpace(value) == "" {
				continue
			}
			list, err := mail.ParseAddressList(value)
			if err != nil {
				return fmt.Errorf("the %s field cannot be read: %w", name, err)
			}
			for _, a := range list {
				j.to = append(j.to, a.Address)
			}
		}
	}
	return nil
}

// compose makes a new message. What is not ASCII is encoded (RFC 2045, RFC
// 2047); Date and Message-ID are added by the server.
func (j *sendJob) compose() (io.Reader, error) {
	body := []byte(j.body)
	if !j.hasBody {
		var err error
		if body, err = io.ReadAll(j.in); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	var h appliance.Header
	if j.from != "<>" && j.from != "" {
		h.Append(appliance.NewField("From", bracketed(j.from)))
	}
	var to []string
	for _, m := range j.to {
		to = append(to, bracketed(m))
	}
	h.Append(appliance.NewField("To", strings.Join(to, ", ")))
	h.Append(appliance.NewField("Subject", mime.QEncoding.Encode("utf-8", j.subject)))
	for _, text := range j.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok || !fieldName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, usagef("--header %q is no field: write it as \"Name: value\", on one line", text)
		}
		h.Append(appliance.NewField(name, strings.TrimSpace(value)))
	}
	if j.from == "<>" && h.Count("From") == 0 {
		// RFC 5322, section 3.6: a message has a From field, whatever its envelope says.
		return nil, usagef("<> is nobody who could stand in the From field of the message: name somebody with --header \"From: postmaster@example.com\"")
	}
	h.Append(appliance.NewField("MIME-Version", "1.0"))
	h.Append(appliance.NewField("Content-Type", "text/plain; charset=utf-8"))
	h.Append(appliance.NewField("Content-Transfer-Encoding", "quoted-printable"))
	b.Write(h.Bytes())
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	return &b, w.Close()
}

func bracketed(mailbox string) string { return "<" + strings.Trim(mailbox, "<>") + ">" }

// fieldName says whether name can be that of a field (RFC 5322, section 2.2).
func fieldName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}
