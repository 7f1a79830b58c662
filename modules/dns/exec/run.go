package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	osexec "os/exec"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/modules/dns/internal/provider"
)

// The limits of one run.
const (
	maxStderr = 16 << 10        // octets that are kept
	grace     = 2 * time.Second // for what still holds standard error when the program has ended
)

// run runs the program once. Whatever it started in its process group has
// ended, or been killed, when run returns.
func (p *Exec) run(ctx context.Context, action string, environment []string, r provider.Record) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var stderr bounded
	cmd := osexec.CommandContext(ctx, p.program, slices.Concat(p.Command[1:], []string{action, r.FQDN, r.Data})...)
	cmd.Args[0] = p.Command[0]
	cmd.Env, cmd.Dir, cmd.Stderr, cmd.WaitDelay = environment, "/", &stderr, grace
	ownGroup(cmd)
	begin := time.Now()
	err := cmd.Run()
	killGroup(cmd)
	if errors.Is(err, osexec.ErrWaitDelay) {
		err = errors.New("it left a process behind that kept standard error open, and was killed")
	}
	said := p.strike(&stderr)
	p.log.Debug("ran the program that changes records", zap.String("action", action), zap.String("name", r.FQDN),
		zap.Duration("took", time.Since(begin)), zap.Error(err))
	if said != "" {
		p.log.Info("what the program that changes records said", zap.String("action", action), zap.String("name", r.FQDN), zap.String("stderr", said))
	}
	return p.explain(ctx, err, said)
}

// explain makes the error of a run, with the first line the program said.
func (p *Exec) explain(ctx context.Context, err error, said string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("killed: %w", context.Cause(ctx))
	}
	if line := provider.Said(said); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// strike takes the values of the variables out of what the program said, and
// what could not stand in a log.
func (p *Exec) strike(said *bounded) string {
	return strings.TrimSpace(strings.ToValidUTF8(provider.Strike(said.String(), said.full(), p.secrets...), "?"))
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ buf bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), maxStderr-b.buf.Len())])
	return len(p), nil
}

func (b *bounded) String() string { return b.buf.String() }

// full says that something may be missing at the end.
func (b *bounded) full() bool { return b.buf.Len() == maxStderr }
