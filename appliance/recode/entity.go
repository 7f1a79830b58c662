package recode

import (
	"errors"
	"mime"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance"
)

// A kind is how an entity is read.
type kind int

const (
	isLeaf      kind = iota // content
	isFrozen                // content that must not be changed
	isMultipart             // parts between boundaries
	isMessage               // a header and another entity
)

// maxBoundary is the longest boundary (RFC 2046, section 5.1.1: "no longer than
// 70 characters"). Each line is compared with those of all multiparts around it.
const maxBoundary = 70

// An entity is the message or a part of it (RFC 2045, section 2.4).
type entity struct {
	kind     kind
	text     bool   // of a leaf: text/*
	digest   bool   // of a multipart: its parts are messages unless they say otherwise
	simple   bool   // it is no multipart and no message
	boundary string // of a multipart
	encoding string // Content-Transfer-Encoding as declared, in lower case

	// What the first walk finds out.
	octets, high int64 // of a leaf
	lines        ruler // of a leaf, and of the header of a part
	highHeader   bool
	longHeader   bool

	// What is to be done.
	encode string // the encoding it is going to have, "" for that which it has
	wrap   string // "base64", "quoted-printable": its lines are broken anew
}

// newEntity reads what a header says of its entity. digest says that it is a
// part of a multipart/digest.
func newEntity(h *appliance.Header, digest bool) (*entity, error) {
	if h.Count("Content-Type") > 1 || h.Count("Content-Transfer-Encoding") > 1 {
		return nil, errAmbiguous
	}
	e := &entity{encoding: strings.ToLower(h.Get("Content-Transfer-Encoding")), highHeader: !isASCII(h.Bytes())}
	contentType := h.Get("Content-Type")
	switch {
	case contentType == "" && digest: // RFC 2046, section 5.1.5
		contentType = "message/rfc822"
	case contentType == "":
		contentType = "text/plain"
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		e.kind = isFrozen
		return e, nil
	}
	// The name of a file without quotes, above all: what the part is, and how it
	// is encoded, is beyond doubt. Without a boundary a multipart is frozen.
	e.classify(mediaType, params["boundary"])
	return e, nil
}

func (e *entity) classify(mediaType, boundary string) {
	major, minor, _ := strings.Cut(mediaType, "/")
	e.simple = minor != "" && major != "multipart" && major != "message"
	switch {
	case minor == "": // no type, but package mime lets it pass
		e.kind = isFrozen
	case major == "multipart" && minor != "signed" && minor != "encrypted" && e.identity() && boundary != "" && len(boundary) <= maxBoundary:
		e.kind, e.boundary, e.digest = isMultipart, boundary, minor == "digest"
	case mediaType == "message/rfc822" && e.identity():
		e.kind = isMessage
	case major == "multipart", major == "message", !e.identity():
		e.kind = isFrozen
	default:
		e.text = major == "text"
	}
}

// identity says that the content stands there as it is (RFC 2045, section 6.2).
func (e *entity) identity() bool {
	switch e.encoding {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}

// declare puts the encoding that the entity is going to have into its header.
func (e *entity) declare(h *appliance.Header) {
	if e.encode == "" {
		return
	}
	if f := appliance.NewField("Content-Transfer-Encoding", e.encode); !h.Replace(f) {
		h.Append(f)
	}
}
