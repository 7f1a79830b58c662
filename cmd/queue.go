package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) queueCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "queue",
		Short: "look into the queue and change what is in it",
	},
		p.queueListCommand(), p.queueSummaryCommand(), p.queueTopCommand(), p.queueShowCommand(), p.queueSitesCommand(),
		p.changeCommand(queueChange{name: "retry", short: "attempt deliveries now"}),
		p.changeCommand(queueChange{name: "hold", short: "keep deliveries until they are released"}),
		p.changeCommand(queueChange{name: "release", short: "let held deliveries go on"}),
		p.changeCommand(queueChange{name: "bounce", short: "return deliveries to their senders now", final: true}),
		p.changeCommand(queueChange{name: "drop", short: "remove deliveries without telling anybody", final: true}),
		p.suspendCommand(), p.resumeCommand(),
	)
}

// filterFlags are the flags that select deliveries.
type filterFlags struct {
	filter admin.Filter
	ids    []string
	domain string
	class  string
	held   bool
}

func (f *filterFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.ids, "id", nil, "messages with these `ids`")
	c.Flags().StringVar(&f.filter.Sender, "sender", "", "`mailbox` or @domain of the sender; <> is the null reverse-path")
	c.Flags().StringVar(&f.filter.Recipient, "recipient", "", "`mailbox` or @domain of a recipient")
	c.Flags().StringVar(&f.domain, "domain", "", "`domain` of a recipient")
	c.Flags().StringVar(&f.filter.Destination, "destination", "", "`relay/next-hop`")
	c.Flags().StringVar(&f.filter.Older, "older", "", "received longer ago than a `duration`, as 2d or 12h")
	c.Flags().StringVar(&f.class, "class", "", "`class` of the last failure: greylist, reputation …")
	c.Flags().BoolVar(&f.held, "held", false, "held deliveries only; --held=false is the others")
}

// selection is what the flags and the ids among the arguments say.
func (f *filterFlags) selection(c *cobra.Command, args []string) (admin.Filter, error) {
	s := f.filter
	if err := notEmpty(c, args); err != nil {
		return s, err
	}
	for _, id := range append(f.ids, args...) {
		s.IDs = append(s.IDs, queueID(id))
	}
	if c.Flags().Changed("held") {
		s.Held = &f.held
	}
	s.Class = appliance.Class(strings.ToLower(f.class))
	switch {
	case f.domain == "":
	case s.Recipient != "":
		return s, usagef("--domain and --recipient both say who gets the mail: write one of them")
	case strings.Contains(f.domain[1:], "@"):
		return s, usagef("--domain is %q; write a domain, or the mailbox as --recipient", f.domain)
	default:
		s.Recipient = "@" + strings.TrimPrefix(f.domain, "@")
	}
	return s, nil
}

// notEmpty refuses what is written and says nothing: a variable of a script
// that is empty must not select the whole queue.
func notEmpty(c *cobra.Command, args []string) error {
	if slices.Contains(args, "") {
		return usagef("%s: an ID is empty", c.CommandPath())
	}
	for _, name := range selecting {
		f := c.Flags().Lookup(name)
		if text := f.Value.String(); f.Changed && (text == "" || text == "[]") {
			return usagef("%s: --%s is empty", c.CommandPath(), name)
		}
	}
	return nil
}

// selecting are the flags of which an empty one would select everything.
var selecting = []string{"id", "sender", "recipient", "domain", "destination", "older", "class"}

// queueID is an id as a person may have typed it: ids are in lower case.
func queueID(text string) appliance.QueueID { return appliance.QueueID(strings.ToLower(text)) }

func (p *program) queueListCommand() *cobra.Command {
	var f filterFlags
	var count bool
	c := &cobra.Command{
		Use:   "list [ID…]",
		Short: "list messages in the queue, oldest first",
		RunE: func(c *cobra.Command, args []string) error {
			want, err := f.selection(c, args)
			if err != nil {
				return err
			}
			if c.Flags().Changed("limit") && f.filter.Limit < 1 {
				return usagef("--limit must be at least 1")
			}
			client, err := p.client()
			if err != nil {
				return err
			}
			if count {
				return p.countQueue(c.Context(), client, want)
			}
			page, err := client.Queue(c.Context(), want)
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, page)
			}
			return errors.Join(p.showQueue(page), p.noteSuspensions(c.Context(), client))
		},
	}
	f.add(c)
	c.Flags().IntVar(&f.filter.Limit, "limit", 100, "at most so many messages")
	c.Flags().BoolVar(&count, "count", false, "only say how many there are")
	p.adminFlags(c)
	p.jsonFlag(c)
	p.wideFlag(c)
	return c
}

func (p *program) showQueue(page admin.QueuePage) error {
	if len(page.Messages) == 0 {
		_, err := fmt.Fprintln(p.out, "the queue is empty, or nothing in it matches")
		return err
	}
	t := queueTable(page, p.width(), time.Now())
	if err := t.write(p.out); err != nil {
		return err
	}
	more := ""
	if page.More {
		more = " shown, there are more: raise --limit or select"
	}
	_, err := fmt.Fprintf(p.out, "%s%s\n", number(len(page.Messages), "message", "messages"), more)
	return err
}

// queueTable is a line for each delivery: all there is to say where there is no
// limit, and otherwise what people look for.
func queueTable(page admin.QueuePage, width int, now time.Time) *table {
	t := &table{width: width, soft: []int{2, 3}, prose: []int{5}}
	if width == 0 {
		t.add("ID", "RECEIVED", "SIZE", "FROM", "DESTINATION", "STATE", "RECIPIENTS", "NEXT", "LAST REPLY")
	} else {
		t.add("ID", "AGE", "FROM", "RECIPIENTS", "NEXT", "LAST REPLY")
	}
	for _, m := range page.Messages {
		for _, d := range m.Deliveries {
			waiting, last := progress(d)
			if width == 0 {
				t.add(string(m.ID), clock(m.Received), fmt.Sprint(m.Size), m.From.Path(), d.Destination, d.State, waiting, next(d), last)
			} else {
				t.add(string(m.ID), age(now, m.Received), m.From.Path(), waiting, soonest(d, now), last)
			}
		}
	}
	return t
}

// soonest is when a delivery is attempted, or why it is not.
func soonest(d admin.QueuedDelivery, now time.Time) string {
	if d.State != "waiting" {
		return d.State
	}
	return shortly(now, d.Due)
}

// progress is who still waits, and the last thing heard.
func progress(d admin.QueuedDelivery) (waiting, last string) {
	n := 0
	for _, r := range d.Recipients {
		if r.Status != appliance.Waiting.String() {
			continue
		}
		if n++; n == 1 {
			waiting = r.To.Path()
		}
		if r.Last != nil {
			last = r.Last.String()
		}
		if r.Reason != nil {
			last = string(r.Reason.Class) + ": " + last
		}
	}
	if n > 1 {
		waiting += fmt.Sprintf(" and %d more", n-1)
	}
	return waiting, last
}

func next(d admin.QueuedDelivery) string {
	if d.State != "waiting" {
		return "-"
	}
	return clock(d.Due)
}

// shortly is how far ahead a time is, in as few characters as age.
func shortly(now, t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(now):
		return "now"
	}
	return age(t, now)
}

// ahead and ago write how far away a time is, to the second.
func ahead(d time.Duration) string {
	if d = d.Round(time.Second); d <= 0 {
		return "now"
	}
	return "in " + appliance.FormatDuration(d)
}

func ago(d time.Duration) string {
	return appliance.FormatDuration(max(0, d.Round(time.Second))) + " ago"
}
