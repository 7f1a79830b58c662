package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

func (p *program) dnsCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [DOMAIN…]",
		Short: "compare the records with what the name servers say",
		Long: `dns check asks every name server of each zone itself, past all caches, and compares what it says with the
records that the configuration needs: SPF by whether it lets our addresses pass, DKIM by the key, DMARC by the policy.
Differences are shown like those of diff: - is there, + is wanted.

  ok        it is there, in these words or others
  missing   nothing is there
  other     something else is there
  disagree  the name servers do not say the same; after a change it takes a while
  unknown   the name servers could not be asked

It exits with 1 if a record that is needed is not there; one that is good to have costs nothing.`,
		RunE: func(c *cobra.Command, args []string) error {
			found, err := p.checkRecords(c.Context(), args)
			if err != nil {
				return err
			}
			return p.showComparison(found)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) checkRecords(ctx context.Context, names []string) (found records.Comparison, err error) {
	err = p.desk(ctx, func(ctx context.Context, client *admin.Client) (err error) {
		found, err = client.CheckRecords(ctx, names)
		return err
	}, func(ctx context.Context, d *records.Desk) (err error) {
		found, err = d.Check(ctx, names)
		return err
	})
	return found, err
}

func (p *program) showComparison(found records.Comparison) error {
	if p.json {
		if err := writeJSON(p.out, found); err != nil {
			return err
		}
	} else {
		if err := writeComparison(p.out, found.Found, p.lineWidth()); err != nil {
			return err
		}
		p.tellMissing(found.Missing)
	}
	if !found.OK() {
		return &exitError{status: exitFailed}
	}
	return nil
}

// stateColumn is where the text begins behind a state.
const stateColumn = 12

// writeComparison writes how records stand, those of each domain together.
func writeComparison(w io.Writer, found []records.Difference, width int) error {
	var b strings.Builder
	domain := ""
	for i := range found {
		d := &found[i]
		if d.Domain != domain {
			if domain = d.Domain; i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(domain + "\n")
		}
		differenceLines(&b, d, width)
	}
	b.WriteString("\n" + summaryOf(found) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func differenceLines(b *strings.Builder, d *records.Difference, width int) {
	name := d.Type + " " + d.Name
	if d.At != "" {
		name += ", an alias of " + d.At
	}
	if !d.Needed && !d.OK() {
		name += " (good to have)"
	}
	fmt.Fprintf(b, "  %-*s%s\n", stateColumn-2, d.State, printable(name))
	indent := strings.Repeat(" ", stateColumn)
	if !d.OK() {
		for _, line := range diffOf(d) {
			b.WriteString(indent + printable(line) + "\n")
		}
	}
	for _, line := range wrap(printable(d.Text), width-stateColumn) {
		b.WriteString(indent + line + "\n")
	}
}

// diffOf is what is there and what is wanted, and where. What some servers say
// and others do not has their names behind it.
func diffOf(d *records.Difference) (lines []string) {
	if d.State == records.Disagree {
		for _, s := range d.Servers {
			lines = append(lines, fmt.Sprintf("%s: %s", s.Name, s.State))
			for _, there := range s.There {
				lines = append(lines, "- "+there)
			}
		}
	}
	for _, there := range d.There {
		lines = append(lines, "- "+there)
	}
	if d.Want != "" {
		lines = append(lines, "+ "+d.Want)
	}
	if servers := askedOf(d); d.State != records.Disagree && len(servers) > 0 {
		lines = append(lines, "asked: "+strings.Join(servers, ", "))
	}
	return lines
}

// askedOf are the servers that answered.
func askedOf(d *records.Difference) (names []string) {
	for _, s := range d.Servers {
		if s.State != records.Unknown && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// summaryOf counts.
func summaryOf(found []records.Difference) string {
	var well, unknown, needed, rest int
	for i := range found {
		switch d := &found[i]; {
		case d.OK():
			well++
		case d.State == records.Unknown:
			unknown++
		case d.Needed:
			needed++
		default:
			rest++
		}
	}
	text := fmt.Sprintf("%s, %d as wanted", number(len(found), "record", "records"), well)
	for _, c := range []struct {
		n    int
		what string
	}{{needed, "needed and not there"}, {rest, "good to have and not there"}, {unknown, "not known"}} {
		if c.n > 0 {
			text += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return text
}
