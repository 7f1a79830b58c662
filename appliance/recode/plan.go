package recode

import "github.com/waxwing-mail/waxwing/appliance"

// A planner finds out what is to be done, in a first walk.
type planner struct {
	entities []*entity
	outside  struct { // what is in no part
		high bool
		ruler
	}
}

const (
	// maxEntities and maxDepth bound what a structure may cost.
	maxEntities = 1000
	maxDepth    = 100
)

func (p *planner) begin(e *entity, _ *appliance.Header, raw []byte) error {
	if len(p.entities) == maxEntities {
		return errTooMuch
	}
	var r ruler
	r.measure(raw)
	e.longHeader = r.long
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
	e.lines.measure(b)
	return nil
}

func (p *planner) end(*entity) error { return nil }

// between is for what is in no part. There is no way to encode it.
func (p *planner) between(b []byte) error {
	p.outside.high = p.outside.high || !isASCII(b)
	p.outside.measure(b)
	return nil
}

// decide says for each entity what is to be done, and whether that is anything.
func (p *planner) decide(aim Aim) (needed bool, err error) {
	if aim == HighOctets && p.outside.high || aim == LongLines && p.outside.long {
		return false, errPlace
	}
	for _, e := range p.entities {
		if aim == HighOctets {
			err = e.reduce()
		} else {
			err = e.shorten()
		}
		if err != nil {
			return false, err
		}
		needed = needed || e.encode != "" || e.wrap != ""
	}
	return needed, nil
}

// reduce plans 7 bits.
func (e *entity) reduce() error {
	switch {
	case e.highHeader:
		return errPlace
	case e.high > 0 && e.kind != isLeaf:
		return errFrozen
	case e.high > 0:
		e.encode = e.encoder()
	case e.kind != isMultipart && e.kind != isMessage:
	case e.encoding == "8bit", e.encoding == "binary":
		e.encode = "7bit" // RFC 2045, section 6.4: what it is made of is
	}
	return nil
}

// shorten plans lines that everybody takes.
func (e *entity) shorten() error {
	switch {
	case e.longHeader:
		return errPlace
	case !e.lines.long:
	case e.kind == isLeaf:
		e.encode = e.encoder()
	case e.simple && (e.encoding == "base64" || e.encoding == "quoted-printable"):
		e.wrap = e.encoding
	default:
		return errFrozen
	}
	return nil
}

// encoder is the encoding that a leaf gets if it needs one.
func (e *entity) encoder() string {
	if e.text && e.high <= e.octets/4 { // beyond, base64 is smaller
		return "quoted-printable"
	}
	return "base64"
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
