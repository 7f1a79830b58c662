package recode

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// Mend rids a message of lines of more than 998 octets. Many programs make them,
// HTML in one line above all, and mean no harm. The error is a 550 5.6.0 that
// says what to do if the message cannot be mended: long lines in the header, and
// messages that somebody else has signed, besides what [Body] refuses.
//
// A message without MIME fields is made a MIME message: of text, in UTF-8 if it
// is that.
func Mend(ctx context.Context, tx *appliance.Transaction) error {
	err := mend(ctx, tx)
	if r, ok := errors.AsType[*Refusal](err); ok {
		return appliance.Replyf(550, 6, 0, "The message contains a line longer than 998 octets (RFC 5322, section 2.1.1), and it cannot be mended here: %s; "+
			"the program that made it has to break its lines, or encode the text with quoted-printable or base64", r.Why).With(err)
	}
	return err
}

func mend(ctx context.Context, tx *appliance.Transaction) error {
	header := tx.Message.Header.Clone()
	var r ruler
	if r.measure(header.Bytes()); r.long {
		return errPlace
	}
	if header.Count("DKIM-Signature") > 0 || header.Count("ARC-Seal") > 0 {
		return errSigned
	}
	if header.Count("MIME-Version") == 0 {
		header.Append(appliance.NewField("MIME-Version", "1.0"))
	}
	if header.Count("Content-Type") == 0 {
		name, err := charset(tx.Message.Body)
		if err != nil {
			return err
		}
		header.Append(appliance.NewField("Content-Type", "text/plain; charset="+name))
	}
	changed, err := Body(ctx, tx, &header, LongLines)
	if changed {
		tx.Message.Header = header
	}
	return err
}

// charset finds out in what character set a text without MIME fields is: RFC
// 1428, section 3 has a name for what nobody knows.
func charset(body appliance.Body) (string, error) {
	in, err := body.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	name := "us-ascii"
	for r := bufio.NewReader(in); ; {
		c, size, err := r.ReadRune()
		switch {
		case errors.Is(err, io.EOF):
			return name, nil
		case err != nil:
			return "", err
		case c == utf8.RuneError && size == 1:
			return "unknown-8bit", nil
		case c >= utf8.RuneSelf:
			name = "utf-8"
		}
	}
}

// A ruler measures lines, in pieces of any size.
type ruler struct {
	length int // octets of the line so far
	long   bool
}

func (r *ruler) measure(b []byte) {
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		r.length += len(bytes.TrimSuffix(line, []byte("\r")))
		r.long = r.long || r.length > maxText
		if ended {
			r.length = 0
		}
		b = rest
	}
}
