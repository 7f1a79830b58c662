package config

import (
	"bytes"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// A source is the text of the file. Places in it are byte offsets, because
// those stay true when a block on one line is spread (see spread).
type source struct {
	name  string // as in messages: the base name
	text  []byte
	lines []int  // offset of each line
	masks []span // what a snippet must not show; see mask.go
}

// A span is a part of the source, in bytes. The zero span is no place.
type span struct{ from, to int }

func (s span) isZero() bool { return s == span{} }

func spanOf(r hcl.Range) span { return span{r.Start.Byte, r.End.Byte} }

func newSource(path string, text []byte) *source {
	s := &source{name: filepath.Base(path), text: text, lines: []int{0}}
	for i, b := range text {
		if b == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// line returns the number of the line that holds the offset; 1 is the first.
func (s *source) line(offset int) int {
	return sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > offset })
}

// column counts characters; 1 is the first.
func (s *source) column(offset int) int {
	start := s.lines[s.line(offset)-1]
	return utf8.RuneCount(s.text[start:min(offset, len(s.text))]) + 1
}

// lineSpan is the line that holds the offset, without its line end.
func (s *source) lineSpan(offset int) span {
	start := s.lines[s.line(offset)-1]
	end := len(s.text)
	if i := bytes.IndexByte(s.text[start:], '\n'); i >= 0 {
		end = start + i
	}
	if end > start && s.text[end-1] == '\r' {
		end--
	}
	return span{start, end}
}

// The widest snippet, and how much of it may stand before the mark.
const (
	maxSnippet = 160
	maxLead    = 80
)

// mask is what a snippet shows in the place of a value.
const mask = "(hidden)"

// snippet returns the line of a place, masked and fit for a terminal, and the
// part of it to mark, in characters.
func (s *source) snippet(p span) (text string, from, to int) {
	line := s.lineSpan(p.from)
	var b strings.Builder
	width := 0
	write := func(r rune) {
		b.WriteRune(printable(r))
		width++
	}
	from, to = -1, -1
	for i := line.from; i < line.to; {
		r, size := utf8.DecodeRune(s.text[i:line.to])
		masked, ok := s.masked(i)
		if ok {
			size = min(masked.to, line.to) - i
		}
		if from < 0 && i+size > p.from {
			from = width
		}
		if !ok {
			write(r)
		} else {
			for _, r := range mask {
				write(r)
			}
		}
		i += size
		if i <= p.to {
			to = width
		} else if to < width && i-size < p.to {
			to = width
		}
	}
	if from < 0 { // past the end of the line
		from = width
	}
	return window(b.String(), from, max(to, from+1))
}

// masked returns the mask that holds the offset.
func (s *source) masked(offset int) (span, bool) {
	i := sort.Search(len(s.masks), func(i int) bool { return s.masks[i].to > offset })
	if i < len(s.masks) && s.masks[i].from <= offset {
		return s.masks[i], true
	}
	return span{}, false
}

// setMasks sorts and joins the masks.
func (s *source) setMasks(all []span) {
	slices.SortFunc(all, func(a, b span) int { return a.from - b.from })
	s.masks = s.masks[:0]
	for _, m := range all {
		last := len(s.masks) - 1
		if last >= 0 && m.from <= s.masks[last].to {
			s.masks[last].to = max(s.masks[last].to, m.to)
			continue
		}
		s.masks = append(s.masks, m)
	}
}

// window cuts a long line around its mark.
func window(line string, from, to int) (string, int, int) {
	runes := []rune(line)
	if len(runes) <= maxSnippet {
		return line, from, to
	}
	start := max(0, from-maxLead)
	end := min(len(runes), start+maxSnippet)
	cut := string(runes[start:end])
	if end < len(runes) {
		cut += "…"
	}
	if start > 0 {
		cut = "…" + cut
		start--
	}
	return cut, from - start, min(to-start, maxSnippet+1)
}

// printable replaces what could move the cursor or turn the text around.
func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case r == utf8.RuneError || !unicode.IsPrint(r):
		return '�'
	}
	return r
}

// clean is printable for a text of several lines.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return printable(r)
	}, s)
}

// unquotedUnit says whether a number ends and a word begins at an offset, as
// in 5d: the parser takes it for two values.
func (s *source) unquotedUnit(at int) bool {
	if at < 1 || at >= len(s.text) {
		return false
	}
	before, after := s.text[at-1], s.text[at]|0x20
	return '0' <= before && before <= '9' && 'a' <= after && after <= 'z'
}
