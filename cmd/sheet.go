package cmd

import (
	"io"
	"strings"
	"time"
)

// A sheet is names and texts for people, one below the other and wrapped at
// the width of an old terminal. A long
// word, such as a web address, stays whole:
//
//	from         <ann@example.com>
//	recipient    <bob@example.org> waiting
//	  reply      450 4.2.0 Greylisted, please come back in five minutes or
//	             later
type sheet struct {
	b        strings.Builder
	now      time.Time
	dialogue bool
}

const (
	sheetWidth  = 80
	sheetColumn = 13 // where texts begin
)

// gap is an empty line.
func (s *sheet) gap() { s.b.WriteString("\n") }

// add writes a name, indented, and its text; nothing if there is no text.
func (s *sheet) add(indent int, name, text string) {
	if text == "" {
		return
	}
	head := strings.Repeat(" ", indent) + printable(name)
	column := sheetColumn
	if name == "" {
		column = indent
	}
	head += strings.Repeat(" ", max(column-columns(head), 0))
	for i, line := range wrap(printable(text), sheetWidth-column) {
		if i > 0 {
			head = strings.Repeat(" ", column)
			if name == "" {
				head += "  " // it goes on
			}
		}
		s.b.WriteString(head + line + "\n")
	}
}

func (s *sheet) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, s.b.String())
	return err
}
