package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxDiagnostics is how many diagnostics one file gets: enough for any file
// that a person wrote.
const maxDiagnostics = 50

// A collector gathers what is found wrong. Snippets are cut in the end, when
// it is known what they must not show.
type collector struct {
	src     *source
	found   []finding
	dropped int // errors beyond maxDiagnostics
	hide    []string
}

type finding struct {
	severity        Severity
	where           span
	context         string
	summary, detail string
}

func (c *collector) add(f finding) {
	if len(c.found) < maxDiagnostics {
		c.found = append(c.found, f)
	} else if f.severity == SeverityError {
		c.dropped++
	}
}

// full says that another error would not be shown: its suggestion need not
// be looked for.
func (c *collector) full() bool { return len(c.found) >= maxDiagnostics }

func (c *collector) failed() bool {
	return c.dropped > 0 || slices.ContainsFunc(c.found, func(f finding) bool { return f.severity == SeverityError })
}

// A place is where something is wrong, and in which block.
type place struct {
	span
	context string
}

func (c *collector) errorf(p place, summary, detail string, args ...any) {
	c.add(finding{SeverityError, p.span, p.context, summary, fmt.Sprintf(detail, args...)})
}

func (c *collector) warnf(p place, summary, detail string, args ...any) {
	c.add(finding{SeverityWarning, p.span, p.context, summary, fmt.Sprintf(detail, args...)})
}

// hcl takes over the diagnostics of the parser or of an evaluation.
func (c *collector) hcl(context string, ds hcl.Diagnostics) {
	for _, d := range ds {
		f := finding{severity: SeverityError, context: context, summary: lowerFirst(d.Summary), detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			f.severity = SeverityWarning
		}
		if d.Subject != nil {
			f.where = spanOf(*d.Subject)
		}
		if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
			if err := extra.FunctionCallError(); err != nil {
				f.summary, f.detail = extra.CalledFunctionName()+"() failed", sentence(err.Error())
			}
		}
		if c.src.unquotedUnit(f.where.from) {
			f.summary, f.detail = "quotes are missing", `A value with a unit stands in quotes, such as "5d" or "25MiB", and so does all text.`
		}
		c.add(f)
	}
}

// conceal keeps a value out of every message.
func (c *collector) conceal(value string) {
	// Shorter ones would tear holes into ordinary words.
	if len(value) < 4 {
		return
	}
	c.hide = append(c.hide, value)
	if q := strconv.Quote(value); q[1:len(q)-1] != value {
		c.hide = append(c.hide, q[1:len(q)-1])
	}
}

func (c *collector) scrub(s string) string {
	for _, v := range c.hide {
		s = strings.ReplaceAll(s, v, mask)
	}
	return clean(s)
}

// diagnostics returns everything found, sorted.
func (c *collector) diagnostics() Diagnostics {
	// A value can be part of another one: the longest goes first.
	slices.SortStableFunc(c.hide, func(a, b string) int { return len(b) - len(a) })
	var all Diagnostics
	for _, f := range c.found {
		d := Diagnostic{Severity: f.severity, Summary: c.scrub(f.summary), Detail: c.scrub(f.detail)}
		if !f.where.isZero() || f.context != "" {
			d.File, d.Line, d.Column = c.src.name, c.src.line(f.where.from), c.src.column(f.where.from)
			d.Context = clean(f.context)
			d.Snippet, d.Mark[0], d.Mark[1] = c.src.snippet(f.where)
		}
		all = append(all, d)
	}
	all.sort()
	if c.dropped > 0 {
		all = append(all, Diagnostic{
			Severity: SeverityError,
			Summary:  fmt.Sprintf("%d more, which are not shown", c.dropped),
		})
	}
	return all
}

func lowerFirst(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && (s[1] < 'A' || s[1] > 'Z') {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// sentence makes the text of an error a sentence. A first word that is a name
// stays as it is.
func sentence(s string) string {
	if s == "" {
		return s
	}
	first, _, _ := strings.Cut(s, " ")
	if strings.Trim(first, "abcdefghijklmnopqrstuvwxyz") == "" {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
