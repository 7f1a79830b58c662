package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

// noArgs refuses arguments. The likeliest is the configuration file.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and here is %q; the configuration file is named with --config", c.CommandPath(), args[0])
	}
	return nil
}

// oneID wants the id of a message.
func oneID(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s wants the ID of one message, and here are %d", c.CommandPath(), len(args))
	}
	return nil
}
