package recode

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	// maxPiece is how much of a line is looked at at once, in octets. A boundary
	// and a line of a header are not longer.
	maxPiece = 16 << 10
	// maxHeader bounds the header of a part, in octets.
	maxHeader = 64 << 10
)

// A visitor is told what a walk comes across, in the order of the body. All
// octets together are the body again.
type visitor interface {
	// begin is an entity and its header, with the empty line; raw is nil for
	// the message itself, whose header is not part of the body.
	begin(e *entity, h *appliance.Header, raw []byte) error
	// content is a piece of a leaf or of something frozen, which end ends.
	content(e *entity, b []byte) error
	end(e *entity) error
	// between is the rest: boundaries, and what stands before the first and
	// after the last.
	between(b []byte) error
}

// A walker reads a body once.
type walker struct {
	visitor
	open  []*entity // the multiparts around the current line
	cur   *entity   // the leaf that the current line is in
	head  []byte    // the header that the current line is in
	where place
	eol   []byte // the end of the last line, which a boundary would take for its own
	part  bool   // the current line has begun in an earlier piece
}

type place int

const (
	inNothing place = iota // between parts
	inHeader
	inLeaf
)

// walk takes v through a body. The error is errAmbiguous if its structure is not
// beyond doubt.
func walk(body appliance.Body, top *appliance.Header, v visitor) error {
	in, err := body.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	e, err := newEntity(top, false)
	if err != nil {
		return err
	}
	w := &walker{visitor: v}
	if err := w.begin(e, top, nil); err != nil {
		return err
	}
	r := bufio.NewReaderSize(in, maxPiece)
	if first, _ := r.Peek(2); string(first) != "\r\n" {
		return errAmbiguous
	}
	if err := w.between([]byte("\r\n")); err != nil {
		return err
	}
	_, _ = r.Discard(2)
	if err := w.enter(e); err != nil {
		return err
	}
	return w.lines(r)
}

func (w *walker) lines(r *bufio.Reader) error {
	for {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if raw[len(raw)-1] == '\r' { // the LF may be next
				raw = raw[:len(raw)-1]
				_ = r.UnreadByte()
			}
			if err := w.piece(raw); err != nil {
				return err
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(raw) > 0 {
			if err := w.line(raw); err != nil {
				return err
			}
		}
		if err != nil {
			return w.finish()
		}
	}
}

// piece is a piece of a line, and more of it follows.
func (w *walker) piece(raw []byte) error {
	if w.where == inHeader {
		return errPlace
	}
	if !w.part {
		level, _, err := w.boundary(raw)
		if err != nil {
			return err
		}
		if level >= 0 {
			return errAmbiguous // a boundary and very much white space
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.part = true
	return w.pass(raw)
}

// flush hands on the end of the last line, which was no boundary's.
func (w *walker) flush() error {
	err := w.pass(w.eol)
	w.eol = w.eol[:0]
	return err
}

// finish is the end of the body. What is not closed ends with it.
func (w *walker) finish() error {
	if w.where == inHeader {
		return errAmbiguous
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.leave()
}

func (w *walker) line(raw []byte) error {
	text := bytes.TrimSuffix(raw, []byte("\r\n"))
	if w.part {
		w.part = false
		return w.text(text, raw[len(text):])
	}
	level, last, err := w.boundary(text)
	if err != nil {
		return err
	}
	if level >= 0 {
		return w.cross(level, last, raw)
	}
	if w.where == inHeader {
		return w.header(raw)
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.text(text, raw[len(text):])
}

// text is a line that is neither a header nor a boundary, or the rest of one.
func (w *walker) text(text, eol []byte) error {
	w.eol = append(w.eol[:0], eol...)
	return w.pass(text)
}

// pass hands on what is neither a header nor a boundary.
func (w *walker) pass(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case w.where == inLeaf:
		return w.content(w.cur, b)
	}
	return w.between(b)
}

// boundary says which of the open multiparts a line is a boundary of, -1 if of
// none, and whether it is the last. RFC 2046, section 5.1.1 wants a line that
// merely begins as one to be one; programs differ in that, and in whose boundary
// it is if two multiparts have such ones, so that such a message is left alone.
func (w *walker) boundary(text []byte) (level int, last bool, err error) {
	rest, ok := bytes.CutPrefix(text, []byte("--"))
	if !ok {
		return -1, false, nil
	}
	line := bytes.TrimRight(rest, " \t")
	level = -1
	for i, e := range w.open {
		n := len(e.boundary)
		if len(line) < n || string(line[:n]) != e.boundary {
			continue
		}
		end := string(line[n:])
		if level >= 0 || end != "" && end != "--" {
			return -1, false, errAmbiguous
		}
		level, last = i, end != ""
	}
	return level, last, nil
}

// cross ends whatever is open within a multipart, and begins its next part.
func (w *walker) cross(level int, last bool, raw []byte) error {
	if w.where == inHeader {
		return errAmbiguous
	}
	if err := w.leave(); err != nil {
		return err
	}
	if err := w.between(append(w.eol, raw...)); err != nil {
		return err
	}
	w.eol = w.eol[:0]
	w.open = w.open[:level+1]
	if last {
		w.open = w.open[:level]
		return nil
	}
	w.where, w.head = inHeader, w.head[:0]
	return nil
}

// leave ends the leaf that the walk is in.
func (w *walker) leave() error {
	e := w.cur
	w.where, w.cur = inNothing, nil
	if e == nil {
		return nil
	}
	return w.end(e)
}

// header collects the header of a part.
func (w *walker) header(raw []byte) error {
	w.head = append(w.head, raw...)
	if len(w.head) > maxHeader {
		return errTooMuch
	}
	if string(raw) != "\r\n" {
		return nil
	}
	h, err := appliance.ParseHeader(w.head[:len(w.head)-2])
	if err != nil || h.Len()+2 != len(w.head) {
		return errAmbiguous
	}
	digest := len(w.open) > 0 && w.open[len(w.open)-1].digest
	e, err := newEntity(&h, digest)
	if err != nil {
		return err
	}
	if err := w.begin(e, &h, w.head); err != nil {
		return err
	}
	return w.enter(e)
}

// enter goes into an entity after its header.
func (w *walker) enter(e *entity) error {
	if len(w.open) >= maxDepth {
		return errTooMuch
	}
	switch e.kind {
	case isMultipart:
		w.where = inNothing
		w.open = append(w.open, e)
	case isMessage:
		w.where, w.head = inHeader, w.head[:0]
	default:
		w.where, w.cur = inLeaf, e
	}
	return nil
}
