package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/doctor"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
)

// doctorTime bounds a check-up and the way there: the server takes two minutes
// at most.
const doctorTime = 150 * time.Second

func (p *program) doctorCommand() *cobra.Command {
	var offline, verbose bool
	c := &cobra.Command{
		Use:   "doctor [NAME…]",
		Short: "look at everything that decides whether mail arrives, and say how to mend it",
		Long: `doctor makes a check-up: this machine, the way out of it, the listeners, the names of its addresses, and for
each domain that mail is sent from what the DNS says; then blocklists and certificates. Each finding is ok, warn or
fail, with what there is and what to do about it. The running server looks, since mail leaves from there; without one
the command looks at what can be known from the configuration, and says so.

It asks the DNS, the servers of the deliverability block, and port 25 of three large receivers or the smarthosts; it
sends no mail and changes nothing. With --offline it asks nobody but this machine.

A domain, or a part of a name, keeps what is about it: "waxwing doctor example.com", "waxwing doctor spf". It exits
with 1 if something has failed; warnings are none.`,
		RunE: func(c *cobra.Command, words []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), doctorTime)
			defer cancel()
			report, err := p.checkup(ctx, words, offline)
			if err != nil {
				return err
			}
			return p.showReport(&report, verbose)
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "ask nobody outside of this machine")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "how it came to that, also where all is well")
	p.adminFlags(c)
	p.wideFlag(c)
	p.jsonFlag(c)
	return c
}

// checkup asks the running server, or looks itself if there is none.
func (p *program) checkup(ctx context.Context, words []string, offline bool) (report doctor.Report, err error) {
	client, err := p.client()
	if err != nil {
		return report, err
	}
	report, err = client.Doctor(ctx, words, offline)
	if !errors.Is(err, admin.ErrUnreachable) || p.adminFlag != "" {
		return report, err
	}
	file, err := p.loaded()
	if err != nil {
		return report, err
	}
	house := appliance.New(file.Graph, appliance.Options{NewResolver: resolver.New})
	var unnamed error
	err = house.Inspect(func() {
		subject := doctor.SubjectOf(house, false)
		subject.Offline = offline
		report, unnamed = subject.Report(ctx, words)
	})
	if err != nil {
		return report, file.Diagnose(err)
	}
	return report, unnamed
}

func (p *program) showReport(r *doctor.Report, verbose bool) error {
	var err error
	if p.json {
		err = writeJSON(p.out, r)
	} else {
		v := checkupView{width: p.width(), colour: inColour(p.out), verbose: verbose}
		_, err = fmt.Fprint(p.out, v.render(r))
	}
	if err == nil && r.Status == appliance.FoundFail {
		return &exitError{status: exitFailed}
	}
	return err
}

// A checkupView writes a check-up for people.
type checkupView struct {
	width   int // in columns; 0 is no limit
	colour  bool
	verbose bool
	b       strings.Builder
}

// The colours of standings (ECMA-48, section 8.3.117).
var standingColours = map[appliance.Standing]int{
	appliance.FoundOK: 32, appliance.FoundWarn: 33, appliance.FoundFail: colourRed, appliance.FoundSkipped: 90,
}

const (
	standingWidth = 7 // of the longest, "skipped"
	leastText     = 40
)

func (v *checkupView) render(r *doctor.Report) string {
	for _, note := range r.Notes {
		v.write("", note)
	}
	for i := range r.Groups {
		if v.b.Len() > 0 {
			v.b.WriteString("\n")
		}
		v.b.WriteString(printable(r.Groups[i].Name) + "\n")
		for j := range r.Groups[i].Parts {
			v.finding(&r.Groups[i].Parts[j], 2)
		}
	}
	n := r.Count()
	fmt.Fprintf(&v.b, "\n%s: %d ok, %s, %d failed, %d skipped\n", printable(r.Hostname), n[appliance.FoundOK],
		number(n[appliance.FoundWarn], "warning", "warnings"), n[appliance.FoundFail], n[appliance.FoundSkipped])
	return v.b.String()
}

// finding writes what was found of one thing, and of its parts.
func (v *checkupView) finding(f *appliance.Finding, indent int) {
	pad := strings.Repeat(" ", indent)
	word := fmt.Sprintf("%-*s", standingWidth, f.Status)
	if code := standingColours[f.Status]; v.colour && code != 0 {
		word = fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, word)
	}
	text := f.Name
	if f.Text != "" {
		text += ": " + f.Text
	}
	rest := strings.Repeat(" ", indent+standingWidth+1)
	v.lines(pad+word+" ", rest, text)
	if f.Fix != "" {
		v.lines(rest+"→ ", rest+"  ", f.Fix)
	}
	if v.verbose || f.Status == appliance.FoundWarn || f.Status == appliance.FoundFail {
		for _, d := range f.Details {
			v.lines(rest+"· ", rest+"  ", d)
		}
	}
	for i := range f.Parts {
		if !v.verbose && doctor.SumsUp(f) {
			break
		}
		v.finding(&f.Parts[i], indent+2)
	}
}

func (v *checkupView) write(indent, text string) { v.lines(indent, indent, text) }

// lines writes a text, wrapped. What follows a line feed in it is to be copied,
// and stays whole. What stands before the first line is as wide as what stands
// before the others.
func (v *checkupView) lines(first, others, text string) {
	prose, copied, _ := strings.Cut(text, "\n")
	all := []string{prose}
	if v.width > 0 {
		all = wrap(printable(prose), max(v.width-columns(others), leastText))
	}
	if copied != "" {
		all = append(all, strings.Split(copied, "\n")...)
	}
	for i, line := range all {
		if i > 0 {
			first = others
		}
		v.b.WriteString(first + printable(line) + "\n")
	}
}
