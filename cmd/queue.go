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
)

func (p *program) queueCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "queue",
		Short: "look into the queue and change what is in it",
	},
		p.queueListCommand(), p.queueShowCommand(),
		p.changeCommand(queueChange{name: "retry", short: "attempt deliveries now"}),
		p.changeCommand(queueChange{name: "hold", short: "keep deliveries until they are released"}),
		p.changeCommand(queueChange{name: "release", short: "let held deliveries go on"}),
		p.changeCommand(queueChange{name: "bounce", short: "return deliveries to their senders now", final: true}),
		p.changeCommand(queueChange{name: "drop", short: "remove deliveries without telling anybody", final: true}),
	)
}

// filterFlags are the flags that select deliveries.
type filterFlags struct {
	filter admin.Filter
	ids    []string
	held   bool
}

func (f *filterFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.ids, "id", nil, "messages with these `ids`")
	c.Flags().StringVar(&f.filter.Sender, "sender", "", "`mailbox` or @domain of the sender; <> is the null reverse-path")
	c.Flags().StringVar(&f.filter.Recipient, "recipient", "", "`mailbox` or @domain of a recipient")
	c.Flags().StringVar(&f.filter.Destination, "destination", "", "`relay/next-hop`")
	c.Flags().BoolVar(&f.held, "held", false, "held deliveries only; --held=false is the others")
}

// selection is what the flags and the ids among the arguments say.
func (f *filterFlags) selection(c *cobra.Command, args []string) admin.Filter {
	s := f.filter
	for _, id := range append(f.ids, args...) {
		s.IDs = append(s.IDs, appliance.QueueID(id))
	}
	if c.Flags().Changed("held") {
		s.Held = &f.held
	}
	return s
}

func (p *program) queueListCommand() *cobra.Command {
	var f filterFlags
	c := &cobra.Command{
		Use:   "list [ID…]",
		Short: "list messages in the queue, oldest first",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			page, err := client.Queue(c.Context(), f.selection(c, args))
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, page)
			}
			return p.showQueue(page)
		},
	}
	f.add(c)
	c.Flags().IntVar(&f.filter.Limit, "limit", 100, "at most so many messages")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showQueue(page admin.QueuePage) error {
	if len(page.Messages) == 0 {
		_, err := fmt.Fprintln(p.out, "the queue is empty, or nothing in it matches")
		return err
	}
	t := new(table)
	t.add("ID", "RECEIVED", "SIZE", "FROM", "DESTINATION", "STATE", "RECIPIENTS", "NEXT", "LAST REPLY")
	for _, m := range page.Messages {
		for _, d := range m.Deliveries {
			waiting, last := progress(d)
			t.add(string(m.ID), clock(m.Received), fmt.Sprint(m.Size), m.From.Path(), d.Destination, d.State,
				waiting, next(d), last)
		}
	}
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

func (p *program) queueShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "show a message in the queue and what became of each recipient so far",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			m, err := client.Queued(c.Context(), appliance.QueueID(args[0]))
			if err != nil {
				return err
			}
			if p.json {
				return writeJSON(p.out, m)
			}
			return p.showMessage(m)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showMessage(m admin.QueuedMessage) error {
	t := new(table)
	t.add("id", string(m.ID))
	t.add("received", clock(m.Received)+", "+ago(time.Since(m.Received)))
	t.add("from", m.From.Path())
	t.add("size", fmt.Sprint(m.Size))
	t.add("pipeline", m.Origin.Pipeline)
	optional(t, "listener", m.Origin.Listener)
	optional(t, "user", m.Origin.User)
	optional(t, "client", m.Origin.Client)
	optional(t, "signed by", strings.Join(m.Origin.SignedBy, ", "))
	for _, d := range m.Deliveries {
		t.add("")
		t.add("destination", d.Destination)
		t.add("state", fmt.Sprintf("%s, %s so far", d.State, number(d.Attempts, "attempt", "attempts")))
		if d.State == "waiting" {
			t.add("next", clock(d.Due)+", "+ahead(time.Until(d.Due)))
		}
		for _, r := range d.Recipients {
			t.add("recipient", r.To.Path()+" "+r.Status)
			optional(t, "  reply", lastOf(r))
			optional(t, "  cause", r.Cause)
			optional(t, "  host", strings.TrimSpace(r.Host+" "+r.Peer))
			optional(t, "  tls", r.TLS)
		}
	}
	return t.write(p.out)
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

func optional(t *table, name, value string) {
	if value != "" {
		t.add(name, value)
	}
}

func lastOf(r admin.QueuedRecipient) string {
	if r.Last == nil {
		return ""
	}
	return clock(r.When) + " " + r.Last.String()
}

// A queueChange is what is done to deliveries.
type queueChange struct {
	name, short string
	final       bool // it cannot be taken back: it wants a selection, or --yes
}

// changeCommand is one of the commands that change deliveries.
func (p *program) changeCommand(q queueChange) *cobra.Command {
	var f filterFlags
	var yes bool
	c := &cobra.Command{
		Use:   q.name + " [ID…]",
		Short: q.short,
		Long: "queue " + q.name + ": " + q.short + ". IDs and flags select; all that are given must match. " +
			"A delivery that is being attempted at this moment is left alone.",
		RunE: func(c *cobra.Command, args []string) error {
			want := admin.ChangeRequest{Filter: f.selection(c, args), Change: q.name, All: yes}
			if q.final && want.Filter.IsZero() && !yes {
				return usagef("queue %s without a selection concerns the whole queue: select with an ID, --sender, --recipient or --destination, or confirm with --yes", q.name)
			}
			return p.change(c.Context(), want)
		},
	}
	f.add(c)
	if q.final {
		c.Flags().BoolVar(&yes, "yes", false, "do it to the whole queue")
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) change(ctx context.Context, want admin.ChangeRequest) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	done, err := client.Change(ctx, want)
	if err != nil {
		return err
	}
	if p.json {
		return writeJSON(p.out, done)
	}
	fmt.Fprintf(p.out, "%s: %s\n", want.Change, number(done.Deliveries, "delivery", "deliveries"))
	if done.Deliveries == 0 && !want.Filter.IsZero() {
		return errors.New("nothing in the queue matches, or it is being attempted at this moment")
	}
	return nil
}
