package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Severity says how bad a Diagnostic is.
type Severity string

// The severities. With an error a file does not load.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// A Diagnostic is one thing to say about a configuration file.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`           // what is wrong, in half a line
	Detail   string   `json:"detail,omitempty"`  // what to write instead
	File     string   `json:"file,omitempty"`    // "" if it is about no place in the file
	Line     int      `json:"line,omitempty"`    // 1 is the first
	Column   int      `json:"column,omitempty"`  // in characters, 1 is the first
	Context  string   `json:"context,omitempty"` // the block it is in: pipeline "outgoing"
	Snippet  string   `json:"snippet,omitempty"` // the line, secrets masked
	Mark     [2]int   `json:"mark,omitzero"`     // the part of Snippet to point at, in characters: first, past the last
}

// Position is "mail.hcl:31:7", or "" if d is about no place.
func (d *Diagnostic) Position() string {
	if d.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

// String is the diagnostic on one line.
func (d *Diagnostic) String() string {
	s := string(d.Severity) + ": " + d.Summary
	if p := d.Position(); p != "" {
		s = p + ": " + s
	}
	if d.Detail != "" {
		s += ": " + strings.ReplaceAll(d.Detail, "\n", " ")
	}
	return s
}

// Diagnostics are sorted by their position in the file. As an error they are
// never empty.
type Diagnostics []Diagnostic

// Error returns one line for each diagnostic.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i := range ds {
		lines[i] = ds[i].String()
	}
	return strings.Join(lines, "\n")
}

// HasErrors says whether there is more than warnings.
func (ds Diagnostics) HasErrors() bool { return ds.count(SeverityError) > 0 }

func (ds Diagnostics) count(s Severity) (n int) {
	for i := range ds {
		if ds[i].Severity == s {
			n++
		}
	}
	return n
}

func (ds Diagnostics) sort() {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Write prints the diagnostics for people, with the line of the file and what
// to write instead, and ends with their number.
func (ds Diagnostics) Write(w io.Writer, color bool) error {
	var b strings.Builder
	p := palette{on: color}
	for i := range ds {
		ds[i].write(&b, p)
	}
	fmt.Fprintf(&b, "%s, %s\n", plural(ds.count(SeverityError), "error"), plural(ds.count(SeverityWarning), "warning"))
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Diagnostic) write(b *strings.Builder, p palette) {
	label, code := "Error", red
	if d.Severity == SeverityWarning {
		label, code = "Warning", yellow
	}
	fmt.Fprintf(b, "%s %s\n", p.paint(code, label+":"), p.paint(bold, d.Summary))
	bar := p.paint(code, "│")
	if d.File != "" {
		fmt.Fprintf(b, "  %s\n", p.paint(code, "╷"))
		fmt.Fprintf(b, "  %s on %s line %d, column %d", bar, d.File, d.Line, d.Column)
		if d.Context != "" {
			fmt.Fprintf(b, ", in %s", d.Context)
		}
		fmt.Fprintf(b, ":\n")
		d.writeSnippet(b, p, bar)
	}
	detail := strings.Split(d.Detail, "\n")
	if d.Detail == "" {
		detail = nil
	}
	for _, line := range detail[:max(0, len(detail)-1)] {
		fmt.Fprintf(b, "  %s %s\n", bar, line)
	}
	if end := p.paint(code, "╵"); len(detail) > 0 {
		fmt.Fprintf(b, "  %s %s\n", end, detail[len(detail)-1])
	} else if d.File != "" {
		fmt.Fprintf(b, "  %s\n", end)
	}
	b.WriteByte('\n')
}

func (d *Diagnostic) writeSnippet(b *strings.Builder, p palette, bar string) {
	number := fmt.Sprintf("%d: ", d.Line)
	indent := len(d.Snippet) - len(strings.TrimLeft(d.Snippet, " "))
	indent = max(0, min(indent, d.Mark[0])-2) // a deep block does not push its line off the screen
	text := []rune(d.Snippet)[indent:]
	fmt.Fprintf(b, "  %s   %s%s\n", bar, number, string(text))
	before := strings.Repeat(" ", utf8.RuneCountInString(number)+d.Mark[0]-indent)
	carets := strings.Repeat("^", max(1, d.Mark[1]-d.Mark[0]))
	fmt.Fprintf(b, "  %s   %s%s\n", bar, before, p.paint(bold, carets))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// palette writes colours, if they are wanted.
type palette struct{ on bool }

const (
	bold   = "1"
	red    = "1;31"
	yellow = "1;33"
)

func (p palette) paint(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
