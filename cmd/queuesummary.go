package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) queueSummaryCommand() *cobra.Command {
	var f filterFlags
	var by string
	c := &cobra.Command{
		Use:   "summary [ID…]",
		Short: "count what is in the queue, by destination or by what it waits for",
		RunE: func(c *cobra.Command, args []string) error {
			want, err := f.selection(c, args)
			if err != nil {
				return err
			}
			client, err := p.client()
			if err != nil {
				return err
			}
			sum, err := client.Summary(c.Context(), want, by)
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, sum)
			}
			return p.showSummary(sum)
		},
	}
	f.add(c)
	c.Flags().StringVar(&by, "by", admin.SummaryKeys[0], "what to count by: "+strings.Join(admin.SummaryKeys, ", "))
	p.adminFlags(c)
	p.jsonFlag(c)
	p.wideFlag(c)
	return c
}

func (p *program) showSummary(sum admin.QueueSummary) error {
	if len(sum.Groups) == 0 {
		_, err := fmt.Fprintln(p.out, "the queue is empty, or nothing in it matches")
		return err
	}
	t := summaryTable(sum, p.width(), time.Now())
	if err := t.write(p.out); err != nil {
		return err
	}
	return p.count(sum.QueueCount)
}

// summaryTable is a line for each group: all there is to say where there is no
// limit, and otherwise without what can be spared. The keys have what room there
// is: shortened, those of many destinations look the same.
func summaryTable(sum admin.QueueSummary, width int, now time.Time) *table {
	t := &table{width: width, soft: []int{0}}
	row := wholeGroup
	if width == 0 {
		t.add(strings.ToUpper(sum.By), "RECIPIENTS", "MESSAGES", "SIZE", "ACTIVE", "HELD", "OLDEST", "NEXT", "LAST")
	} else {
		held := sum.Held > 0
		row = func(g *admin.QueueGroup) []string { return shortGroup(g, held, now) }
		heading := []string{strings.ToUpper(sum.By), "WAITING", "SIZE", "ACTIVE", "HELD", "OLDEST", "NEXT", "LAST"}
		if !held {
			heading = slices.Delete(heading, heldColumn, heldColumn+1)
		}
		t.prose, t.least = []int{len(heading) - 1}, leastLast
		t.add(heading...)
	}
	for i := range sum.Groups {
		t.add(row(&sum.Groups[i])...)
	}
	if sum.More > 0 {
		t.add(fmt.Sprintf("and %d more", sum.More))
	}
	return t
}

const (
	heldColumn = 4  // of a short table, which leaves it out if nothing is held
	leastLast  = 12 // characters of what was heard, which begins with its class
)

func wholeGroup(g *admin.QueueGroup) []string {
	return []string{
		g.Key, fmt.Sprint(g.Recipients), fmt.Sprint(g.Messages), octets(g.Octets), fmt.Sprint(g.Active), fmt.Sprint(g.Held),
		clock(g.Oldest), clock(g.Next), lastHeard(g),
	}
}

func shortGroup(g *admin.QueueGroup, held bool, now time.Time) []string {
	row := []string{
		g.Key, fmt.Sprint(g.Recipients), octets(g.Octets), fmt.Sprint(g.Active), fmt.Sprint(g.Held),
		age(now, g.Oldest), shortly(now, g.Next), lastHeard(g),
	}
	if !held {
		row = slices.Delete(row, heldColumn, heldColumn+1)
	}
	return row
}

func lastHeard(g *admin.QueueGroup) string {
	switch {
	case g.Last == nil:
		return "-"
	case g.Class != "":
		return string(g.Class) + ": " + g.Last.String()
	}
	return g.Last.String()
}

// countQueue says how many there are.
func (p *program) countQueue(ctx context.Context, client *admin.Client, f admin.Filter) error {
	sum, err := client.Summary(ctx, f, admin.SummaryKeys[0])
	if err != nil {
		return err
	}
	if p.json {
		return writeJSON(p.out, sum.QueueCount)
	}
	return p.count(sum.QueueCount)
}

func (p *program) count(c admin.QueueCount) error {
	_, err := fmt.Fprintf(p.out, "%s, %s, %s waiting, %s\n", number(c.Messages, "message", "messages"),
		number(c.Deliveries, "delivery", "deliveries"), number(c.Recipients, "recipient", "recipients"), octets(c.Octets))
	return err
}

// octets writes a size for people: with one decimal and without an exact value.
func octets(n int64) string {
	if n < 1<<10 {
		return appliance.Size(n).String()
	}
	f, unit := float64(n)/(1<<10), "KiB"
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if f < 1<<10 {
			break
		}
		f, unit = f/(1<<10), u
	}
	return fmt.Sprintf("%.1f%s", f, unit)
}
