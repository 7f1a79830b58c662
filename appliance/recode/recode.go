// Package recode gives the content of a message another transfer encoding (RFC
// 2045, section 6), for what cannot travel as it is: octets of more than 7 bits,
// where a server takes 7 bits only, and lines of more than 998 octets, which no
// server has to take (RFC 5321, section 4.5.3.1.6).
//
// It is done on the way in, before the signers: who changes the encoding of a
// signed message breaks the signature. Text becomes quoted-printable, or base64
// if there is little ASCII in it, and what is no text becomes base64. Long lines
// of what is base64 or quoted-printable already are broken where the encoding
// says that it means nothing. Everything else stays what it is, octet for octet,
// and whoever decodes the parts finds what was in them before.
//
// A message is converted as a whole or not at all. The error is a [*Refusal] if
// it must stay as it is:
//
//   - what is in the way is in a part that nobody may change, such as
//     multipart/signed, or in the header of one, or between the parts;
//   - a structure that could be read in two ways: boundaries that begin with one
//     another, headers that do not end, more than 1,000 parts, or 100 levels.
//
// An encoded line never begins as a boundary does unless it did so before: what
// was one part stays one, so that what a check has seen is what is sent.
//
// The body is read twice and written once, in pieces of at most 16 KiB; memory is
// bounded by the headers of the parts.
package recode

import (
	"context"
	"io"

	"github.com/waxwing-mail/waxwing/appliance"
)

// An Aim is what no part of a body is to have afterwards.
type Aim int

const (
	HighOctets Aim = iota // octets of more than 7 bits
	LongLines             // lines of more than 998 octets, without CRLF
)

// maxText is the longest line of a message (RFC 5322, section 2.1.1).
const maxText = 998

// A Refusal is why a message stays as it is.
type Refusal struct{ Why string }

func (r *Refusal) Error() string { return "not converted: " + r.Why }

// The refusals.
var (
	errAmbiguous = &Refusal{"the structure of the message is not beyond doubt"}
	errTooMuch   = &Refusal{"the message has too many parts"}
	errPlace     = &Refusal{"it is in a header, or in no part"}
	errFrozen    = &Refusal{"it is in a part that must not be changed, such as multipart/signed, or one whose type or encoding is not well-formed"}
	errSigned    = &Refusal{"somebody has signed the message already"}
)

// Body gives tx a body without what aim names, and says so in header, which is
// that of the message or will be. It is for rewrites. If it returns false, body
// and header are as they were: there was nothing to do, or an error.
func Body(ctx context.Context, tx *appliance.Transaction, header *appliance.Header, aim Aim) (changed bool, err error) {
	body := tx.Message.Body
	p := new(planner)
	if err := walk(body, header, p); err != nil {
		return false, err
	}
	if changed, err = p.decide(aim); !changed || err != nil {
		return false, err
	}
	if err := tx.ReplaceBody(ctx, func(w io.Writer) error {
		return walk(body, header, &writer{out: w, plan: p.entities})
	}); err != nil {
		return false, err
	}
	p.entities[0].declare(header)
	return true, nil
}
