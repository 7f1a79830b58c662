package cmd

import (
	"context"
	"errors"
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
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			err = ready(c.Context(), client, wait)
			if p.json {
				return p.showReadiness(err)
			}
			if err == nil {
				_, err = fmt.Fprintln(p.out, "ready")
			}
			return err
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait until it can")
	p.adminFlags(c)
	p.jsonFlag(c)
	return c
}

// readiness is the answer of "waxwing health --json".
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
}

// showReadiness writes what the server said; err is what it is if no server
// said anything.
func (p *program) showReadiness(err error) error {
	r := readiness{Ready: err == nil, Reasons: []string{}}
	if e, ok := errors.AsType[*admin.Error](err); ok && len(e.Reasons) > 0 {
		r.Reasons = e.Reasons
	} else if err != nil {
		return err
	}
	if err := writeJSON(p.out, r); err != nil || r.Ready {
		return err
	}
	return &exitError{status: exitFailed}
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
