package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// report writes a self-test for people, as a check-up is written: the message,
// each group with its items and what they cost, and at the end, where the eye
// is, what it comes to.
func (v *checkupView) report(r *selftest.Report) string {
	m := &r.Message
	v.named("message", fmt.Sprintf("%s to %s: %s", m.From.Path(), paths(m.To), orNone(decoded(m.Subject))))
	v.named("author", orNone(decoded(m.Author)))
	v.named("signed for", orNone(strings.Join(m.SignedBy, ", ")))
	for _, g := range r.Groups {
		v.b.WriteString("\n" + printable(g.Name) + "\n")
		for i := range g.Items {
			f := g.Items[i].Finding
			if lost := g.Items[i].Lost; lost > 0 {
				f.Name += fmt.Sprintf(" (-%d)", lost)
			}
			v.finding(&f, 2)
		}
	}
	if r.Requirements != nil {
		v.b.WriteString("\nwhat Gmail and Yahoo ask for\n")
	}
	for _, q := range r.Requirements {
		name := q.Name
		if q.Many {
			name += ", if you send much"
		}
		v.lines(fmt.Sprintf("  %-*s", nameWidth-2, q.State), strings.Repeat(" ", nameWidth), name)
	}
	v.b.WriteString("\n")
	score := fmt.Sprintf("%d of 100", r.Score)
	if slices.ContainsFunc(r.Requirements, func(q selftest.Requirement) bool { return q.State == selftest.NotKnown }) {
		score += ", as far as is known"
	}
	v.named("score", score)
	v.named("verdict", r.Verdict)
	return v.b.String()
}

// nameWidth is how wide the names of the first and the last lines are.
const nameWidth = 12

func (v *checkupView) named(name, text string) {
	v.lines(fmt.Sprintf("%-*s", nameWidth, name), strings.Repeat(" ", nameWidth), text)
}
