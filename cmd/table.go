package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waxwing-mail/waxwing/appliance"
)

// table is text in columns. A row of one cell is a line of its own, for which
// no column is made wider.
type table struct {
	rows  [][]string
	width int   // of a line, in columns of the terminal; 0 is no limit
	soft  []int // the columns that are shortened in the middle to keep to it
	prose []int // those that are shortened at the end
	least int   // of prose, while what else is shortened need not be; 0 is leastProse
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

const (
	columnGap  = 2
	leastWidth = 8  // of a column that is shortened
	leastProse = 16 // of prose that is worth as much as what else is shortened
)

// write aligns the columns with two spaces between them.
func (t *table) write(w io.Writer) error {
	widths := t.widths()
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			cell = printable(cell)
			if len(row) > 1 {
				cell = t.short(cell, i, widths[i])
			}
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-columns(cell)+columnGap))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths is how wide each column is. What is too wide for a line is taken from
// prose first, then from the widest.
func (t *table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		if len(row) == 1 {
			continue
		}
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(printable(cell)))
		}
	}
	if t.width == 0 {
		return widths
	}
	over := columnGap*(len(widths)-1) - t.width
	for _, w := range widths {
		over += w
	}
	prose := cmp.Or(t.least, leastProse)
	for ; over > 0; over-- {
		i := widestOf(widths, t.prose, prose)
		if i < 0 {
			i = widestOf(widths, slices.Concat(t.soft, t.prose), leastWidth)
		}
		if i < 0 {
			break
		}
		widths[i]--
	}
	return widths
}

// widestOf is the widest of some columns that has more than the least width,
// or -1.
func widestOf(widths, columns []int, least int) int {
	widest := -1
	for _, i := range columns {
		if i < len(widths) && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
			widest = i
		}
	}
	return widest
}

// short is a cell of a column in so many characters.
func (t *table) short(cell string, column, width int) string {
	if slices.Contains(t.prose, column) && columns(cell) > width {
		return clip(cell, width-1) + "…"
	}
	return middle(cell, width)
}

// middle shortens text to a width by what is in the middle of it: addresses
// begin and end with what tells them apart.
func middle(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	head := width / 2
	return clip(text, head) + "…" + clipFront(text, width-head-1)
}

// printable replaces what would move the cursor of a terminal or turn the
// direction of the text: some of what is printed was written by strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if appliance.IsControl(r) || r == utf8.RuneError {
			return '·'
		}
		return r
	}, s)
}

// writeJSON writes a value for machines.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// clock is a time for people, in the zone of the machine.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// number writes n and what it counts.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
