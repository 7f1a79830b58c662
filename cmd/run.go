package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

func (p *program) runCommand() *cobra.Command {
	var budget time.Duration
	c := &cobra.Command{
		Use:   "run",
		Short: "run the server",
		Long: `run loads the configuration, starts everything in it and says in its log what the server does for whom.
It stays in the foreground and logs to standard error: as lines for people on a terminal, as JSON otherwise.

SIGHUP reads the configuration again; if it does not load, nothing changes. SIGTERM and SIGINT end the server:
transactions and deliveries that had begun may finish until --shutdown-timeout is over. Another signal, at least a
second later, ends it at once. No message that was answered 250 is lost either way.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			name, err := p.configFile()
			if err != nil {
				return err
			}
			return p.serve(c.Context(), name, budget)
		},
	}
	c.Flags().DurationVar(&budget, "shutdown-timeout", 30*time.Second, "how long what had begun may take to finish")
	return c
}

// serve runs the server until it is asked to end.
func (p *program) serve(ctx context.Context, name string, budget time.Duration) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s, err := startServer(ctx, serverOptions{
		Name:   name,
		Source: func() ([]byte, error) { return readConfig(name) },
		Config: p.configOptions(),
		Log:    p.err,
	})
	if err != nil {
		return err
	}
	s.Posture().Log(s.log.Logger)
	s.log.Info("ready", zap.String("version", s.version.Version), zap.String("configuration", name), zap.String("admin", s.AdminAddress()))
	s.tell(notifyReady)
	s.attend(ctx, hangup)
	s.tell(notifyStopping)
	s.log.Info("stopping", zap.Duration("within", budget))
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	if err := s.Stop(stopping); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the server did not stop cleanly: %w", err)
	}
	s.log.Info("stopped")
	return nil
}

// attend reloads on each hangup until the server is asked to end.
func (s *server) attend(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			s.tell(notifyReloading())
			_, _ = s.Reload(ctx, false) // the log has all there is to say
			s.tell(notifyReady)
		case <-s.Asked():
			return
		case <-ctx.Done():
			return
		}
	}
}

// logReload says what a reload has changed, and anew who may send where, or
// why it has changed nothing.
func (s *server) logReload(done admin.Reloaded, err error) {
	if err == nil {
		changes := 0
		for _, step := range done.Steps {
			if step.Action != appliance.ActionKeep {
				changes++
			}
		}
		s.log.Info("reloaded", zap.Int("changes", changes), zap.Int("kept", len(done.Steps)-changes), zap.Strings("notes", done.Notes))
		if changes > 0 {
			s.Posture().Log(s.log.Logger)
		}
		return
	}
	ds := diagnosticsOf(err)
	for i := range ds {
		s.log.Error("configuration", zap.String("at", ds[i].Position()), zap.String("error", ds[i].Summary), zap.String("advice", ds[i].Detail))
	}
	if ds == nil {
		s.log.Error("reload", zap.Error(err))
	}
	s.log.Error("the configuration did not change")
}

// tell tells the service manager.
func (s *server) tell(state string) {
	if err := notify(state); err != nil {
		s.log.Warn("the service manager cannot be told", zap.Error(err))
	}
}
