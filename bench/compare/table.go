package compare

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// A table is what was found of one work.
type table struct {
	*work
	stage *stage
	rows  []*row
}

// A row is what was found of one peer.
type row struct {
	peer    peers.Peer
	rounds  [][]float64 // a value for each column, or none
	skipped string      // why it was not measured
	failed  error
}

func (t *table) of(p peers.Peer) *row {
	i := slices.IndexFunc(t.rows, func(r *row) bool { return r.peer.Name() == p.Name() })
	return t.rows[i]
}

// column is what was found in one column, round by round.
func (r *row) column(i int) []float64 {
	var list []float64
	for _, values := range r.rounds {
		list = append(list, values[i])
	}
	return list
}

// first is the row that ratios are printed to, nil if that peer was not
// measured.
func (t *table) first() *row {
	for _, r := range t.rows {
		if r.peer != (direct{}) {
			return r
		}
	}
	return nil
}

// best is the row of the best peer that is not Waxwing; nil if there is none.
func (t *table) best(column int) *row {
	var best *row
	for _, r := range t.rows {
		v := median(r.column(column))
		if r.peer == (direct{}) || isOwn(r.peer) || isNone(v) {
			continue
		}
		if best == nil || (v < median(best.column(column))) == t.columns[column].less {
			best = r
		}
	}
	return best
}

// format writes a number as it is read: 12,345 or 0.17.
func (c column) format(v float64) string {
	if isNone(v) {
		return "–"
	}
	text := strconv.FormatFloat(v, 'f', c.digits, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// cell is the median, and how far the rounds are apart.
func (c column) cell(list []float64) string {
	list = measured(list)
	text := c.format(median(list))
	if len(list) < 2 {
		return text
	}
	return fmt.Sprintf("%s (%s–%s)", text, c.format(slices.Min(list)), c.format(slices.Max(list)))
}

// times writes a ratio.
func times(v float64) string {
	switch {
	case isNone(v):
		return "–"
	case v >= 10:
		return fmt.Sprintf("%.0f×", v)
	case v >= 1:
		return fmt.Sprintf("%.1f×", v)
	}
	return fmt.Sprintf("%.2f×", v)
}

// markdown is the table. Ratios are printed of its first column only.
func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	first, best := t.first(), t.best(t.main())
	if best == first {
		best = nil
	}
	header := []string{""}
	for i, c := range t.columns {
		header = append(header, c.name)
		if i == t.main() && len(t.rows) > 1 {
			header = append(header, "to "+first.peer.Name())
			if best != nil {
				header = append(header, "to "+best.peer.Name())
			}
		}
	}
	b.WriteString(line(header))
	b.WriteString("|" + strings.Repeat("---|", len(header)) + "\n")
	for _, r := range t.rows {
		if r.skipped == "" {
			b.WriteString(line(t.cells(r, first, best)))
		}
	}
	b.WriteString(t.remarks())
	return b.String()
}

// main is the column that ratios are printed of.
func (t *table) main() int {
	return max(0, slices.IndexFunc(t.columns, func(c column) bool { return c.ratio }))
}

func (t *table) cells(r, first, best *row) []string {
	cells := []string{r.peer.Name()}
	for i, c := range t.columns {
		cells = append(cells, c.cell(r.column(i)))
		if i == t.main() && len(t.rows) > 1 {
			cells = append(cells, times(ratio(r.column(i), first.column(i))))
			if best != nil {
				cells = append(cells, times(ratio(r.column(i), best.column(i))))
			}
		}
	}
	return cells
}

// remarks say what is missing in the table.
func (t *table) remarks() string {
	var b strings.Builder
	for _, r := range t.rows {
		switch {
		case r.failed != nil:
			fmt.Fprintf(&b, "\n%s failed: %s\n", r.peer.Name(), strings.ReplaceAll(r.failed.Error(), "\n", "; "))
		case r.skipped != "" && !t.stage.own:
			fmt.Fprintf(&b, "\n%s %s.\n", r.peer.Name(), r.skipped)
		case !t.stage.login && peers.NeedsOf(r.peer).Login:
			fmt.Fprintf(&b, "\n%s takes no mail without STARTTLS and AUTH, and is measured with them.\n", r.peer.Name())
		}
	}
	return b.String()
}

func line(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
