package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) bansCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "bans",
		Short: "see who is banned for guessing passwords, and forgive them",
	}, p.bansListCommand(), p.bansClearCommand())
}

func (p *program) bansListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list the networks that are banned, and the accounts that are under attack",
		Long: `bans list shows the networks whose connections are answered 421, for failed log-ins or for errors without end, and the
accounts at which so many passwords were guessed that clients from networks that are new to them are heard one at a time.
The block logins of the configuration says after how many failures that is.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return ask(c.Context(), p, (*admin.Client).Bans, p.showBans)
		},
	}
	p.adminFlags(c)
	p.jsonFlag(c)
	p.wideFlag(c)
	return c
}

func (p *program) bansClearCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "clear [NAME]",
		Short: "forget what is held against a network or an account",
		Long: `bans clear: NAME is an address, a network or a user name, as "waxwing bans list" has it. What has been counted
of it so far is forgotten too. To have an address never banned, write it into never_ban of the block logins.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == all {
				return usagef("bans clear: name a network or a user, or write --all")
			}
			want := admin.ClearRequest{All: all}
			if !all {
				want.Name = args[0]
			}
			return ask(c.Context(), p, func(client *admin.Client, ctx context.Context) (admin.Cleared, error) {
				return client.ClearBans(ctx, want)
			}, p.showCleared)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all networks and accounts")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showBans(page admin.BanPage) error {
	if len(page.Bans) == 0 {
		_, err := fmt.Fprintln(p.out, "nobody is banned")
		return err
	}
	t := &table{width: p.width(), soft: []int{1}, prose: []int{4}}
	t.add("KIND", "NAME", "FAILURES", "ENDS", "REASON")
	now := time.Now()
	for _, b := range page.Bans {
		t.add(b.Kind, b.Name, fmt.Sprint(b.Failures), when(b.Until, now), b.Reason)
	}
	return t.write(p.out)
}

func (p *program) showCleared(done admin.Cleared) error {
	text := "nothing was held against it that is listed; what had been counted is forgotten"
	if done.Cleared > 0 {
		text = number(done.Cleared, "entry", "entries") + " cleared"
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}
