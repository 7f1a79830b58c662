package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) queueSitesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sites",
		Short: "list the servers that mail goes to, with their limits and how they do",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return ask(c.Context(), p, (*admin.Client).Sites, p.showSites)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	p.wideFlag(c)
	return c
}

func (p *program) suspendCommand() *cobra.Command {
	var want admin.SuspendRequest
	c := &cobra.Command{
		Use:   "suspend [NAME]",
		Short: "let the mail for a domain, or for the servers of many, wait",
		Long: "queue suspend: let mail wait until it is resumed, or for a time. NAME is a domain that relay mx delivers to, " +
			"as example.org – what of its mail goes elsewhere by the routes is told, and goes on –, " +
			"a destination, as internet/example.org, or a site of \"waxwing queue sites\", as internet/google or google. " +
			"What waits is not attempted and does not grow too old; what is being attempted goes on. " +
			"Without NAME it lists what is suspended.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && (want.For != "" || want.Reason != ""):
				return usagef("queue suspend: name what is to wait, such as example.org")
			case len(args) == 0:
				return ask(c.Context(), p, (*admin.Client).Suspensions, p.showSuspensions)
			}
			want.Name = args[0]
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.SuspensionPage, error) {
				return client.Suspend(ctx, want)
			}, p.showSuspensions)
		},
	}
	c.Flags().StringVar(&want.For, "for", "", "for a `duration`, as 2h or 1d; without it until resumed")
	c.Flags().StringVar(&want.Reason, "reason", "", "why, for whoever looks later")
	p.wideFlag(c)
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) resumeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "resume NAME",
		Short: "end a suspension: the mail is attempted as it becomes due",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.SuspensionPage, error) {
				return client.Resume(ctx, args[0])
			}, p.showSuspensions)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// ask asks the server, by a method of its client, and shows the answer.
func ask[T any](ctx context.Context, p *program, question func(*admin.Client, context.Context) (T, error), show func(T) error) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	page, err := question(client, ctx)
	if err != nil {
		return err
	}
	if p.json {
		return writeJSON(p.out, page)
	}
	return show(page)
}

func (p *program) showSites(page admin.SitePage) error {
	if len(page.Sites) == 0 {
		_, err := fmt.Fprintln(p.out, "no site has mail")
		return err
	}
	return sitesTable(page, p.width(), time.Now()).write(p.out)
}

// sitesTable is a line for each site: all there is to say where there is no
// limit, and otherwise without what can be spared.
func sitesTable(page admin.SitePage, width int, now time.Time) *table {
	t := &table{width: width, soft: []int{0}, prose: []int{4}}
	if width == 0 {
		t.add("SITE", "DESTINATIONS", "IN FLIGHT", "LIMIT", "RATE", "STATE", "BECAUSE")
	} else {
		t.add("SITE", "ACTIVE", "RATE", "STATE", "BECAUSE")
	}
	for i := range page.Sites {
		s := &page.Sites[i]
		if width == 0 {
			t.add(s.Name, fmt.Sprint(s.Destinations), fmt.Sprint(s.InFlight), fmt.Sprintf("%d of %d", s.Limit, s.Connections),
				orDash(s.Rate), siteState(s, now), s.Because)
		} else {
			t.add(s.Name, fmt.Sprintf("%d of %d", s.InFlight, s.Limit), orDash(s.Rate), siteState(s, now), s.Because)
		}
	}
	return t
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

const siteWell = "well"

// siteState is the one word, or two, that matter most.
func siteState(s *appliance.SiteState, now time.Time) string {
	switch {
	case s.Suspended:
		return "suspended"
	case !s.Down.IsZero():
		return "left alone " + shortly(now, s.Down)
	case s.Pause != "":
		return "slowed, pause " + s.Pause
	case s.Waits:
		return "at its limit"
	}
	return siteWell
}

func (p *program) showSuspensions(page admin.SuspensionPage) error {
	if len(page.Suspensions) == 0 {
		_, err := fmt.Fprintln(p.out, "nothing is suspended")
		return err
	}
	t := &table{width: p.width(), soft: []int{0}, prose: []int{3}}
	t.add("SUSPENDED", "SINCE", "UNTIL", "REASON")
	for _, s := range page.Suspensions {
		until := "resumed"
		if !s.Until.IsZero() {
			until = clock(s.Until)
		}
		t.add(s.Name, clock(s.Since), until, s.Reason)
	}
	if err := t.write(p.out); err != nil {
		return err
	}
	for _, note := range page.Notes {
		fmt.Fprintln(p.out, "note: "+printable(note))
	}
	return nil
}

// noteSuspensions says below a list that some mail waits because a person
// wants it.
func (p *program) noteSuspensions(ctx context.Context, client *admin.Client) error {
	page, err := client.Suspensions(ctx)
	if err != nil || len(page.Suspensions) == 0 {
		return err
	}
	_, err = fmt.Fprintf(p.out, "suspended: %s\n", suspended(page.Suspensions, time.Now()))
	return err
}

// suspended writes what is suspended in a line: a person who wonders why mail
// waits should not have to know where to look.
func suspended(all []appliance.Suspension, now time.Time) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
		if !s.Until.IsZero() {
			names[i] += ", which ends " + ahead(s.Until.Sub(now))
		}
	}
	return strings.Join(names, "; ")
}
