package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) eventsCommand() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:   "events",
		Short: "show what happens to mail, as it happens",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			events, err := client.Events(c.Context(), appliance.QueueID(id))
			if err != nil {
				return err
			}
			for e, err := range events {
				if c.Context().Err() != nil {
					return nil // Ctrl-C is how one stops looking
				}
				if err != nil {
					return err
				}
				if err := p.showEvent(e); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&id, "id", "", "of one message only")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// showEvent writes one line.
func (p *program) showEvent(e admin.Event) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(e)
	}
	id := cmp.Or(e.ID, "-") // an event before MAIL has none
	_, err := fmt.Fprintf(p.out, "%s %s %s\n", clock(e.Time), id, printable(describe(e)))
	return err
}

// describe is an event in words.
func describe(e admin.Event) string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	if e.Kind == appliance.EventAccepted {
		fmt.Fprintf(&b, " from %s, %s, %d octets", e.From.Path(), number(e.Recipients, "recipient", "recipients"), e.Size)
	}
	part := func(word, value string) {
		if value != "" {
			b.WriteString(" " + word + " " + value)
		}
	}
	if e.To != nil {
		part("for", e.To.Path())
	}
	part("user", e.User)
	part("client", e.Client)
	part("at", e.Host)
	if e.Reply != nil {
		b.WriteString(": " + e.Reply.String())
	}
	if e.Cause != "" {
		b.WriteString(" (" + e.Cause + ")")
	}
	switch {
	case e.Next.IsZero():
	case e.Kind == appliance.EventBanned:
		b.WriteString("; until " + clock(e.Next))
	default:
		b.WriteString("; next attempt " + clock(e.Next))
	}
	return b.String()
}
