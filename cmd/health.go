package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// askTime is how long a question to the server may take.
const askTime = 30 * time.Second

// retryTime is how often a command that waits asks again.
const retryTime = 200 * time.Millisecond

func (p *program) healthCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "health",
		Short: "say whether the server can accept, sign and store mail",
		Long: `health exits with 0 when the server can accept, sign and store mail, with 1 and the reasons when it
cannot, and with 4 when no server answers. It is what HEALTHCHECK of a container calls.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			if err := ready(c.Context(), client, wait); err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.out, "ready")
			return err
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait until it can")
	p.adminFlags(c)
	return c
}

// ready asks until the server is ready or wait is over.
func ready(ctx context.Context, client *admin.Client, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(wait, askTime))
	defer cancel()
	deadline := time.Now().Add(wait)
	for {
		err := client.Ready(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(retryTime):
		case <-ctx.Done():
			return err
		}
	}
}
