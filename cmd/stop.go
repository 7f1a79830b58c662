package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) stopCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "stop",
		Short: "stop the server in good order and wait until it has ended",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			if _, err := client.Stop(c.Context()); err != nil {
				return err
			}
			return gone(c.Context(), client, timeout)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait; 0 is not at all")
	p.adminFlags(c)
	return c
}

// gone waits until nobody answers any more. The admin socket is the last
// thing that a server closes.
func gone(ctx context.Context, client *admin.Client, timeout time.Duration) error {
	if timeout == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		if _, err := client.Version(ctx); errors.Is(err, admin.ErrUnreachable) {
			return nil
		}
		select {
		case <-time.After(retryTime):
		case <-ctx.Done():
			return fmt.Errorf("the server has not ended within %v: it finishes what it had begun", timeout)
		}
	}
}
