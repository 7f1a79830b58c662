package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

// Main runs the command line of the process and exits. The module types it
// knows are those that are linked into the program.
//
// The first SIGINT or SIGTERM asks the command to end in good order; one that
// comes later kills the process, which loses nothing either.
func Main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(echo, restore) })
	os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// echo is for how long a signal that comes again is the same one: timeout(1),
// sudo and some supervisors send it to the process and then to its group.
const echo = time.Second

// Run runs one command and returns its exit status.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{in: stdin, out: stdout, err: stderr, registry: appliance.Builtin}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return p.report(root.ExecuteContext(ctx))
}

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
)

// program is what all commands share.
type program struct {
	in       io.Reader
	out, err io.Writer
	registry *appliance.Registry
	resolver appliance.Resolver // in place of that of the configuration, for tests

	configFlag string
	adminFlag  string
	json       bool
	wide       bool
	began      bool // the command line was right
}

// exitError ends a command with a status of its own. Without err, all has
// been said.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef is an error in the command line.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// report tells the error and returns the exit status.
func (p *program) report(err error) int {
	if err == nil {
		return exitOK
	}
	status := p.statusOf(err)
	if e, ok := errors.AsType[*exitError](err); ok && e.err == nil {
		return status
	}
	if ds := diagnosticsOf(err); ds != nil {
		_ = ds.Write(p.err, inColour(p.err)) // there is nobody else to tell
	} else {
		p.tell(err)
	}
	if hint := hintFor(status, err); hint != "" {
		fmt.Fprintln(p.err, hint)
	}
	return status
}

func (p *program) tell(err error) {
	fmt.Fprintln(p.err, "waxwing: "+err.Error())
	if e, ok := errors.AsType[*admin.Error](err); ok {
		for _, reason := range e.Reasons {
			fmt.Fprintln(p.err, "  "+reason)
		}
	}
}

// hintFor says what to do about an error.
func hintFor(status int, err error) string {
	switch {
	case status == exitUsage:
		return `"waxwing help" lists the commands, "waxwing COMMAND --help" explains one.`
	case errors.Is(err, fs.ErrPermission) && errors.Is(err, admin.ErrUnreachable):
		return "Ask as the user that runs the server, or as root."
	case errors.Is(err, admin.ErrUnreachable):
		return `Start it with "waxwing run", or say where it is with --config or --admin.`
	case errors.Is(err, syscall.EADDRINUSE) && isTCP(err):
		return `Another program listens there ("ss -ltnp" says which): stop it, or write another port.`
	case errors.Is(err, syscall.EACCES) && isTCP(err):
		return `Ports below 1024 need a permission: AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit,
"setcap cap_net_bind_service=+ep" on the program, or write a higher port.`
	}
	return ""
}

func (p *program) statusOf(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	switch {
	case !p.began:
		return exitUsage
	case errors.Is(err, admin.ErrUnreachable):
		return exitUnreachable
	case diagnosticsOf(err) != nil:
		return exitConfig
	}
	return exitFailed
}

func isTCP(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && strings.HasPrefix(op.Net, "tcp")
}

// diagnosticsOf returns what an error has to say about a configuration, be it
// found here or by the server.
func diagnosticsOf(err error) config.Diagnostics {
	if ds, ok := errors.AsType[config.Diagnostics](err); ok {
		return ds
	}
	if e, ok := errors.AsType[*admin.Error](err); ok && len(e.Diagnostics) > 0 {
		return e.Diagnostics
	}
	return nil
}

// isTerminal says whether w is one.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// inColour says whether what is written to w may be coloured: on a terminal,
// unless NO_COLOR is set to anything (https://no-color.org).
func inColour(w any) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

// group makes a command that only has subcommands.
func (p *program) group(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs a command", c.CommandPath())
		}
		similar := ""
		if all := c.SuggestionsFor(args[0]); len(all) > 0 {
			similar = fmt.Sprintf("; did you mean %q?", all[0])
		}
		return fmt.Errorf("%s has no command %q%s", c.CommandPath(), args[0], similar)
	}
	c.RunE = func(*cobra.Command, []string) error { return nil } // or Args would not be asked
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(commands...)
	return c
}
