// Package sevenbit is the rewrite that makes 7-bit messages of 8-bit ones, so
// that they can go to servers without 8BITMIME (RFC 6152): rewrite "seven_bit".
//
// A next hop is known only long after a message was signed, and who changes
// the encoding then breaks the signature. So it is done on the way in, before
// the signers, by package recode: text becomes quoted-printable or base64, what
// is no text base64. A raw UTF-8 subject, and raw names beside addresses, become
// encoded words (RFC 2047). Everything else stays what it is, octet for octet.
//
// A message is converted as a whole or not at all: one that would still be
// 8-bit afterwards gains nothing. These are left alone:
//
//   - a message that is 7-bit already;
//   - one that is no MIME message, of which nobody knows what its octets mean;
//   - one that somebody else has signed: DKIM-Signature and ARC-Seal in its header,
//     multipart/signed with 8-bit content in it;
//   - 8-bit header fields that are not known to be text or addresses, and those
//     of messages within the message;
//   - message/global and its like, which are 8-bit by definition;
//   - what package recode refuses for its structure.
//
// What is left alone goes to servers with 8BITMIME as before, and is reported
// with 5.6.3 if a server has none.
//
// The body is read three times at most and written once; memory is bounded by
// the headers of the parts.
package sevenbit

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/recode"
)

func init() {
	appliance.Register(appliance.Registration{
		Kind:    appliance.KindRewrite,
		Name:    "seven_bit",
		Summary: "encodes 8-bit messages for servers that take 7 bits only",
		Example: `rewrite "seven_bit" "mime" {}
`,
		New: func() appliance.Module { return New() },
	})
}

// SevenBit is the block rewrite "seven_bit".
type SevenBit struct{}

// Interface guards.
var _ appliance.Modifier = (*SevenBit)(nil)

// New returns a SevenBit.
func New() *SevenBit { return &SevenBit{} }

// Provision implements appliance.Module.
func (*SevenBit) Provision(*appliance.Context) error { return nil }

// Modify implements appliance.Modifier.
func (*SevenBit) Modify(ctx context.Context, tx *appliance.Transaction) error {
	header := tx.Message.Header.Clone()
	if header.Count("DKIM-Signature") > 0 || header.Count("ARC-Seal") > 0 || !encodeFields(&header) {
		return nil
	}
	high, err := isHigh(tx.Message.Body)
	if err != nil {
		return err
	}
	if high {
		if header.Count("MIME-Version") == 0 || header.Count("Content-Type") == 0 {
			return nil
		}
		_, err := recode.Body(ctx, tx, &header, recode.HighOctets)
		if _, left := errors.AsType[*recode.Refusal](err); left {
			return nil
		}
		if err != nil {
			return err
		}
	}
	tx.Message.Header = header
	tx.Envelope.EightBit = false
	return nil
}

// isHigh says whether the body has octets of more than 7 bits.
func isHigh(body appliance.Body) (bool, error) {
	r, err := body.Open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	var all highs
	_, err = io.Copy(&all, r)
	return all > 0, err
}

// highs counts octets of more than 7 bits.
type highs int64

// Write implements io.Writer.
func (h *highs) Write(p []byte) (int, error) {
	for _, c := range p {
		if c >= 0x80 {
			*h++
		}
	}
	return len(p), nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
