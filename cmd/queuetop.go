package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) queueTopCommand() *cobra.Command {
	var interval time.Duration
	c := &cobra.Command{
		Use:   "top",
		Short: "watch the destinations of the queue: what waits, what is under way, what goes wrong",
		Long: `top shows the destinations of the queue, and shows them again every few seconds. Keys sort: w by what waits,
a by what is being attempted, r by the rate of attempts, o by age; q quits. Without a terminal it prints once.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if interval < time.Second {
				return usagef("--interval must be at least 1s: each look counts the whole queue")
			}
			client, err := p.client()
			if err != nil {
				return err
			}
			in, terminal := p.in.(*os.File)
			if !terminal || !isTerminal(p.out) || !term.IsTerminal(int(in.Fd())) {
				return p.topOnce(c.Context(), client)
			}
			return p.top(c.Context(), client, in, interval)
		},
	}
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "how long to wait between two looks; at least ten times what one takes")
	p.adminFlags(c)
	p.wideFlag(c)
	return c
}

func (p *program) topOnce(ctx context.Context, client *admin.Client) error {
	v := newTopView()
	if err := v.look(ctx, client, time.Now()); err != nil {
		return err
	}
	_, err := io.WriteString(p.out, v.render(p.width(), 0, time.Now()))
	return err
}

// What is said to a terminal (ECMA-48 and the private modes of xterm).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	clearScreen = "\x1b[H\x1b[2J"
)

// lookShare is how many times as long as a look the pause after it is: each
// reads the whole queue, and 100,000 messages take the server half a second,
// which is the time of its mail.
const lookShare = 10

// top draws until q is pressed or ctx ends, and leaves the terminal as it was.
func (p *program) top(ctx context.Context, client *admin.Client, in *os.File, interval time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	v := newTopView()
	var watcher sync.WaitGroup
	watcher.Go(func() { v.watch(ctx, client) })
	defer watcher.Wait()
	defer cancel()

	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), old) }()
	fmt.Fprint(p.out, enterScreen)
	defer fmt.Fprint(p.out, leaveScreen)
	for ctx.Err() == nil {
		begin := time.Now()
		if err := v.look(ctx, client, time.Now()); err != nil && ctx.Err() == nil {
			return err
		}
		for next := time.Now().Add(max(interval, lookShare*time.Since(begin))); ctx.Err() == nil && time.Now().Before(next); {
			width, height, err := term.GetSize(int(in.Fd()))
			if err != nil {
				return err
			}
			if p.wide {
				width = 0
			}
			// In raw mode a line feed does not go back to the left.
			screen := strings.ReplaceAll(v.render(width, height, time.Now()), "\n", "\r\n")
			fmt.Fprint(p.out, clearScreen+strings.TrimSuffix(screen, "\r\n"))
			key, err := readKey(ctx, in, next)
			if err != nil || !v.press(key) {
				return err
			}
		}
	}
	return nil
}

// keyWait is how soon the end of a context is noticed while nobody types.
const keyWait = 200 * time.Millisecond

// readKey waits for a key until a time, and returns 0 if none came.
func readKey(ctx context.Context, in *os.File, until time.Time) (byte, error) {
	fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		left := min(time.Until(until), keyWait)
		if left <= 0 {
			return 0, nil
		}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return 0, err
		}
		if n > 0 {
			var b [1]byte
			if _, err := in.Read(b[:]); err != nil {
				return 0, err
			}
			return b[0], nil
		}
	}
	return 0, nil
}

// watch counts the attempts that end, by destination, until ctx ends. Without
// it there are no rates, and the rest is shown all the same.
func (v *topView) watch(ctx context.Context, client *admin.Client) {
	events, err := client.Events(ctx, "")
	if err != nil {
		return
	}
	for e, err := range events {
		if err != nil {
			return
		}
		switch e.Kind {
		case appliance.EventDelivered, appliance.EventDeferred, appliance.EventBounced:
			v.count(e.Destination)
		}
	}
}
