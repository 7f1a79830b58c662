package dkim

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
)

// lineLength is how long a line of a signature should be at most, in octets
// (RFC 5322, section 2.1.1). One tag of more than that, such as a long domain,
// has a line of its own.
const lineLength = 76

// A folded is a header field that is written from words, and folded between
// them.
type folded struct {
	text   []byte
	column int
}

// word appends a word after white space.
func (f *folded) word(parts ...string) {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	if f.column+n > lineLength {
		f.text, f.column = append(f.text, "\r\n"...), 0
	}
	f.text = append(f.text, ' ')
	for _, p := range parts {
		f.text = append(f.text, p...)
	}
	f.column += n
}

// join appends a part of a list, with white space in front of it only where
// the line is full.
func (f *folded) join(part string) {
	if f.column+len(part) > lineLength {
		f.text, f.column = append(f.text, "\r\n "...), 1
	}
	f.text = append(f.text, part...)
	f.column += len(part)
}

// signature makes the DKIM-Signature field (RFC 6376, section 3.5) of a
// message of which list and the hash of the body are known.
func (d *DKIM) signature(k signingKey, list *fieldList, body []byte, now time.Time) (appliance.Field, error) {
	const name = "DKIM-Signature"
	f := &folded{text: make([]byte, 0, 1024), column: len(name) + 1}
	f.text = append(f.text, name+":"...)
	f.word("v=1;")
	f.word("a=", k.key.signatureAlgorithm(), ";")
	f.word("c=relaxed/relaxed;")
	f.word("d=", k.domain, ";")
	f.word("s=", k.selector, ";")
	f.word("t=", strconv.FormatInt(now.Unix(), 10), ";")
	if d.Expire > 0 {
		f.word("x=", strconv.FormatInt(now.Add(d.Expire).Unix(), 10), ";")
	}
	f.word("bh=", base64.StdEncoding.EncodeToString(body), ";")
	last := len(list.names) - 1
	f.word("h=")
	for _, n := range list.names[:last] {
		f.join(n + ":")
	}
	f.join(list.names[last] + ";")
	f.word("b=")
	signature, err := k.key.sign(digest(list, f.text))
	if err != nil {
		return appliance.Field{}, err
	}
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(signature)), 4) {
		f.join(string(chunk))
	}
	return appliance.Field{Name: name, Raw: append(f.text, "\r\n"...)}, nil
}

// digest is what is signed: the fields of list, then the signature's own field
// as far as it is written, with b= empty and without the line end (RFC 6376,
// section 3.7).
func digest(list *fieldList, field []byte) []byte {
	own := appendRelaxed(make([]byte, 0, len(field)+2), field)
	h := sha256.New()
	h.Write(list.relaxed)
	h.Write(own[:len(own)-2])
	return h.Sum(nil)
}
