package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/bench/peers"
)

// reference is the system that Waxwing is a replacement of: ratios to it are
// in the summary, beside those to the best peer.
const reference = "postfix"

// report is everything as Markdown.
func (r *run) report() string {
	var b strings.Builder
	b.WriteString(r.machine.markdown(r.Rounds))
	b.WriteString(r.summary())
	for _, t := range r.tables {
		b.WriteString("\n" + t.markdown())
	}
	b.WriteString(r.signatures())
	return b.String()
}

// own are the builds of Waxwing that were measured.
func (r *run) own() []peers.Peer {
	return slices.DeleteFunc(slices.Clone(r.peers), func(p peers.Peer) bool { return !isOwn(p) })
}

// summary is one line for each figure that has a ratio.
func (r *run) summary() string {
	own := r.own()
	if len(own) == 0 || len(own) == len(r.peers) {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n#### Beside the others\n\nWhere less is better, \"↓\", a ratio below 1 is the better one. Ratios are medians of those of each round.\n\n")
	header := []string{"", "best peer", "its figure"}
	for _, p := range own {
		header = append(header, p.Name(), "to "+reference, "to the best")
	}
	b.WriteString(line(header) + "|" + strings.Repeat("---|", len(header)) + "\n")
	for _, t := range r.tables {
		for i, c := range t.columns {
			if best := t.best(i); c.ratio && best != nil {
				b.WriteString(t.summary(i, best, own))
			}
		}
	}
	return b.String()
}

// summary is the line of a column.
func (t *table) summary(i int, best *row, own []peers.Peer) string {
	c := t.columns[i]
	name := t.title + ": " + c.name
	if c.less {
		name += " ↓"
	}
	cells := []string{name, best.peer.Name(), c.format(median(best.column(i)))}
	for _, p := range own {
		of := t.of(p).column(i)
		to := none
		if j := slices.IndexFunc(t.rows, func(r *row) bool { return r.peer.Name() == reference }); j >= 0 {
			to = ratio(of, t.rows[j].column(i))
		}
		cells = append(cells, c.format(median(of)), times(to), times(ratio(of, best.column(i))))
	}
	return line(cells)
}

// signatures compares what a signed message costs with the signature in it.
func (r *run) signatures() string {
	var b strings.Builder
	for _, t := range r.tables {
		cpu := slices.IndexFunc(t.columns, func(c column) bool { return c.name == "CPU ms" })
		if t.stage.only != "rate" || !t.stage.sign || cpu < 0 {
			continue
		}
		for _, p := range r.own() {
			cost := r.machine.goSignature
			if p.Name() == "waxwing-libcrypto" {
				cost = r.machine.opensslSignature
			}
			fmt.Fprintf(&b, "| %s, %s | %.2f |\n", p.Name(), t.title, ratio(t.of(p).column(cpu), cost))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n#### CPU per message ÷ CPU of the one signature in it\n\n" +
		"The signature by itself, with all cores busy, is measured before each round: with Go's crypto/rsa, and for the build with libcrypto by `openssl speed`.\n\n" +
		"| | |\n|---|---|\n" + b.String()
}
