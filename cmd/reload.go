package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// reloadTime bounds a reload: making keys and reading large tables included.
const reloadTime = 5 * time.Minute

func (p *program) reloadCommand() *cobra.Command {
	var plan bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "have the server read its configuration again",
		Long: `reload has the server read its configuration file again. What did not change keeps running, with its
connections; what changed is started beside the old and replaces it. If the file does not load, or something new
does not start, nothing changes.

--plan says what would happen, and does nothing. SIGHUP does the same as reload.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), reloadTime)
			defer cancel()
			done, err := client.Reload(ctx, plan)
			if err != nil {
				return err
			}
			return p.showReload(done, plan)
		},
	}
	c.Flags().BoolVar(&plan, "plan", false, "only say what would change")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

func (p *program) showReload(done admin.Reloaded, plan bool) error {
	if p.json {
		return writeJSON(p.out, done)
	}
	if len(done.Warnings) > 0 {
		if err := done.Warnings.Write(p.err, inColour(p.err)); err != nil {
			return err
		}
	}
	t := new(table)
	changed := 0
	for _, s := range done.Steps {
		if s.Action == appliance.ActionKeep {
			continue
		}
		changed++
		t.add(string(s.Action), s.Addr, s.Type, s.Reason)
	}
	if err := t.write(p.out); err != nil {
		return err
	}
	for _, note := range done.Notes {
		fmt.Fprintln(p.out, "note: "+note)
	}
	_, err := fmt.Fprintf(p.out, "%s, %d kept%s\n", number(changed, "change", "changes"), len(done.Steps)-changed,
		map[bool]string{true: "; this is only the plan"}[plan])
	return err
}
