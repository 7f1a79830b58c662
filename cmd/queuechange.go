package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// A queueChange is what is done to deliveries.
type queueChange struct {
	name, short string
	final       bool // it cannot be taken back: it wants a selection, or --yes, and says first what it is about to do
}

// changeCommand is one of the commands that change deliveries.
func (p *program) changeCommand(q queueChange) *cobra.Command {
	var f filterFlags
	var yes, dry bool
	c := &cobra.Command{
		Use:   q.name + " [ID…]",
		Short: q.short,
		Long: "queue " + q.name + ": " + q.short + ". IDs and flags select; all that are given must match. " +
			"What they select are deliveries: the recipients of a message at one destination stay together, also where --recipient names one of them. " +
			"A delivery that is being attempted at this moment is left alone.",
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := f.selection(c, args)
			if err != nil {
				return err
			}
			want := admin.ChangeRequest{Filter: filter, Change: q.name, All: yes || dry, DryRun: dry}
			if q.final && filter.IsZero() && !want.All {
				return usagef("queue %s without a selection concerns the whole queue: select with an ID, --sender, --recipient, --domain, --destination, --older, --class or --held, or confirm with --yes", q.name)
			}
			return p.change(c.Context(), want, q.final)
		},
	}
	f.add(c)
	p.wideFlag(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what it would be done to")
	if q.final {
		c.Flags().BoolVar(&yes, "yes", false, "do it to the whole queue")
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) change(ctx context.Context, want admin.ChangeRequest, show bool) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if (show || want.DryRun) && !p.json {
		if err := p.preview(ctx, client, want); err != nil || want.DryRun {
			return err
		}
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
		return p.nothingChanged(ctx, client, want)
	}
	return nil
}

// nothingChanged says why a change has changed nothing. Who wants another
// attempt of what is being attempted has it.
func (p *program) nothingChanged(ctx context.Context, client *admin.Client, want admin.ChangeRequest) error {
	if want.Change != "retry" {
		return errors.New("nothing in the queue matches that this would change, or it is being attempted at this moment")
	}
	want.DryRun = true
	would, err := client.Change(ctx, want)
	if err != nil {
		return err
	}
	if would.Busy > 0 {
		_, err := fmt.Fprintf(p.out, "%s being attempted at this moment\n", number(would.Busy, "delivery is", "deliveries are"))
		return err
	}
	return errors.New("nothing in the queue matches that this would change: it is gone, or held, and then \"queue release\" lets it go on")
}

// previewed is how many messages are shown before something is done to them.
const previewed = 10

// preview shows what a change is about to be done to.
func (p *program) preview(ctx context.Context, client *admin.Client, want admin.ChangeRequest) error {
	want.DryRun, want.All = true, true
	would, err := client.Change(ctx, want)
	if err != nil {
		return err
	}
	if would.Deliveries > 0 {
		want.Filter.Limit = previewed
		page, err := client.Queue(ctx, want.Filter)
		if err != nil {
			return err
		}
		t := &table{width: p.width(), soft: []int{2, 4}}
		for i := range page.Messages {
			m := &page.Messages[i]
			for _, d := range m.Deliveries {
				if d.State == "active" {
					continue // it is left alone
				}
				waiting, _ := progress(d)
				t.add("  "+string(m.ID), age(time.Now(), m.Received), m.From.Path(), d.State, waiting)
			}
		}
		if page.More {
			t.add("  …")
		}
		if err := t.write(p.out); err != nil {
			return err
		}
	}
	busy := ""
	if would.Busy > 0 {
		busy = fmt.Sprintf("; %d being attempted and left alone", would.Busy)
	}
	_, err = fmt.Fprintf(p.out, "to %s: %s of %s, %s%s\n", want.Change, number(would.Deliveries, "delivery", "deliveries"),
		number(would.Messages, "message", "messages"), number(would.Recipients, "recipient", "recipients"), busy)
	return err
}
