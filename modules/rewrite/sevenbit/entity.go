package sevenbit

import (
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

// An entity is the message or a part of it (RFC 2045, section 2.4).
type entity struct {
	kind     kind
	text     bool   // of a leaf: text/*
	digest   bool   // of a multipart: its parts are messages unless they say otherwise
	boundary string // of a multipart
	encoding string // Content-Transfer-Encoding as declared, in lower case

	// What the first walk finds out.
	octets, high int64 // of a leaf
	highHeader   bool
	encode       string // "quoted-printable", "base64", or "" for no change
}

// newEntity reads what a header says of its entity. digest says that it is a
// part of a multipart/digest.
func newEntity(h *appliance.Header, digest bool) (*entity, error) {
	if h.Count("Content-Type") > 1 || h.Count("Content-Transfer-Encoding") > 1 {
		return nil, errLeave
	}
	e := &entity{encoding: strings.ToLower(h.Get("Content-Transfer-Encoding")), highHeader: !isASCII(string(h.Bytes()))}
	contentType := h.Get("Content-Type")
	switch {
	case contentType == "" && digest: // RFC 2046, section 5.1.5
		contentType = "message/rfc822"
	case contentType == "":
		contentType = "text/plain"
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		e.kind = isFrozen
		return e, nil
	}
	e.classify(mediaType, params["boundary"])
	return e, nil
}

func (e *entity) classify(mediaType, boundary string) {
	major, minor, _ := strings.Cut(mediaType, "/")
	switch {
	case minor == "": // no type, but package mime lets it pass
		e.kind = isFrozen
	case major == "multipart" && minor != "signed" && minor != "encrypted" && e.identity() && boundary != "":
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
	encoding := e.encode
	if e.kind == isMultipart || e.kind == isMessage {
		if e.encoding != "8bit" && e.encoding != "binary" {
			return
		}
		encoding = "7bit" // RFC 2045, section 6.4: what it is made of is
	}
	if encoding == "" {
		return
	}
	if f := appliance.NewField("Content-Transfer-Encoding", encoding); !h.Replace(f) {
		h.Append(f)
	}
}

// A planner finds out what is to be done, in a first walk.
type planner struct{ entities []*entity }

const (
	// maxEntities and maxDepth bound what a structure may cost.
	maxEntities = 1000
	maxDepth    = 100
)

func (p *planner) begin(e *entity, _ *appliance.Header, _ []byte) error {
	if len(p.entities) == maxEntities {
		return errLeave
	}
	p.entities = append(p.entities, e)
	return nil
}

func (p *planner) content(e *entity, b []byte) error {
	e.octets += int64(len(b))
	for _, c := range b {
		if c >= 0x80 {
			e.high++
		}
	}
	return nil
}

func (p *planner) end(*entity) error { return nil }

// between is for what is in no part. There is no way to encode it.
func (p *planner) between(b []byte) error {
	if !isASCII(string(b)) {
		return errLeave
	}
	return nil
}

// decide sets the encodings. The error is errLeave if 8-bit octets would
// remain.
func (p *planner) decide() error {
	for _, e := range p.entities {
		switch {
		case e.highHeader, e.high > 0 && e.kind != isLeaf:
			return errLeave
		case e.high == 0:
		case e.text && e.high <= e.octets/4: // beyond, base64 is smaller
			e.encode = "quoted-printable"
		default:
			e.encode = "base64"
		}
	}
	return nil
}
