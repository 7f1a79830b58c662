package cmd

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/alignment"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/appliance/doctor"
	"github.com/waxwing-mail/waxwing/appliance/logins"
	"github.com/waxwing-mail/waxwing/appliance/queue"
	"github.com/waxwing-mail/waxwing/appliance/resolver"
)

// serverOptions is what a server is made from.
type serverOptions struct {
	Name   string                 // of the configuration, for messages
	Source func() ([]byte, error) // reads it, at the start and for each reload
	Config config.Options
	Log    io.Writer
	Events []appliance.EventSink // further readers of events
}

// A server is an appliance and what people and programs see of it: the log,
// the admin server, the metrics server, and reloads.
type server struct {
	opts   serverOptions
	log    *logger
	events *admin.Events

	mu        sync.Mutex // one reload at a time, none after stop; guards the endpoints until then
	appliance *appliance.Appliance
	admin     *endpoint
	metrics   *endpoint
	watch     *doctor.Watch
	stopped   bool

	version  admin.Version
	asked    chan struct{} // closed when a request asked the server to stop
	ask      sync.Once
	retiring sync.WaitGroup // endpoints that a reload replaced
}

// startServer loads the configuration and starts everything in it. The error
// is of the type config.Diagnostics if the file, or a module on its way to
// running, is to blame.
func startServer(ctx context.Context, o serverOptions) (*server, error) {
	src, err := o.Source()
	if err != nil {
		return nil, err
	}
	file, err := config.Load(o.Name, src, o.Config, nil)
	if err != nil {
		return nil, err
	}
	boundHeap()
	s := &server{opts: o, events: new(admin.Events), version: runningVersion(), asked: make(chan struct{})}
	s.log = newLogger(o.Log, file.Graph.Settings.Log)
	s.appliance = appliance.New(file.Graph, appliance.Options{
		Log: s.log.Logger, NewEngine: queue.New, NewResolver: resolver.New, NewAligner: alignment.New,
		NewLogins: logins.New,
		Memory:    knowMemory(os.DirFS("/"), s.log.Logger),
		Events:    append([]appliance.EventSink{s.events}, o.Events...),
	})
	s.warn(file.Warnings)
	if err := s.appliance.Start(ctx); err != nil {
		status := exitFailed
		if _, unusable := errors.AsType[*appliance.ProvisionError](err); unusable {
			status = exitConfig
		}
		return nil, &exitError{status, errors.Join(file.Diagnose(err), err)}
	}
	// After the store: whoever has its lock may replace a stale socket. The
	// first request may be a reload, which has to wait.
	s.mu.Lock()
	if s.admin, s.metrics, err = s.endpoints(file.Graph.Settings, nil, nil); err == nil {
		s.watch = s.startWatch()
	}
	s.mu.Unlock()
	if err != nil {
		return nil, &exitError{exitFailed, errors.Join(err, s.appliance.Stop(ctx))}
	}
	return s, nil
}

// startWatch begins to watch what the DNS says.
func (s *server) startWatch() *doctor.Watch {
	return doctor.StartWatch(doctor.WatchOptions{
		Subject: func() *doctor.Subject { return doctor.SubjectOf(s.appliance, true) },
		Values:  appliance.ValuesAt(s.appliance.Store().Values(), "doctor/"),
		Metrics: s.appliance.Metrics(), Log: s.log.Named("watch"),
	})
}

// warn logs the warnings of a configuration.
func (s *server) warn(ds config.Diagnostics) {
	for i := range ds {
		d := &ds[i]
		s.log.Warn("configuration", zap.String("at", d.Position()), zap.String("warning", d.Summary), zap.String("advice", d.Detail))
	}
}

// Posture says what runs.
func (s *server) Posture() appliance.Posture { return s.appliance.Posture() }

// AdminAddress is where the admin server is reached now.
func (s *server) AdminAddress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admin.address
}

// Asked is closed when a request of the admin API asks the server to stop.
func (s *server) Asked() <-chan struct{} { return s.asked }

// Reload goes from the running configuration to the one that Source gives
// now. If that does not load or does not start, nothing changes. With plan,
// nothing changes either way. The log tells what came of it, whoever asked.
func (s *server) Reload(ctx context.Context, plan bool) (admin.Reloaded, error) {
	done, err := s.reload(ctx, plan)
	if !plan {
		s.logReload(done, err)
	}
	return done, err
}

func (s *server) reload(ctx context.Context, plan bool) (admin.Reloaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var done admin.Reloaded
	if s.stopped {
		return done, errors.New("the server is stopping")
	}
	src, err := s.opts.Source()
	if err != nil {
		return done, err
	}
	old := s.appliance.Graph()
	file, err := config.Load(s.opts.Name, src, s.opts.Config, old)
	if err != nil {
		return done, err
	}
	settings, notes := settingSteps(&old.Settings, &file.Graph.Settings)
	done.Steps, done.Notes, done.Warnings = append(settings, old.Diff(file.Graph)...), notes, file.Warnings
	if plan {
		return done, nil
	}
	return done, s.change(ctx, file)
}

// change makes the loaded configuration the running one.
func (s *server) change(ctx context.Context, file *config.File) error {
	next := file.Graph.Settings
	newAdmin, newMetrics, err := s.endpoints(next, s.admin, s.metrics)
	if err != nil {
		return err
	}
	if err := s.appliance.Reload(ctx, file.Graph); err != nil {
		return errors.Join(file.Diagnose(err), s.discard(newAdmin, s.admin), s.discard(newMetrics, s.metrics))
	}
	s.retire(s.admin, newAdmin)
	s.retire(s.metrics, newMetrics)
	s.admin, s.metrics = newAdmin, newMetrics
	s.admin.server.SetToken(next.Admin.Token)
	s.log.setLevel(next.Log.Level)
	s.watch.Reloaded()
	s.warn(file.Warnings)
	return nil
}

// needRestart are the settings that a reload cannot change.
var needRestart = []string{"data_dir", "log.format", "log.redact"}

// settingSteps are the settings that change. Notes are of those for which the
// server must be restarted.
func settingSteps(old, next *appliance.Settings) (steps []appliance.Step, notes []string) {
	for _, name := range old.Changed(next) {
		if slices.Contains(needRestart, name) {
			notes = append(notes, name+" takes effect when the server is restarted")
			continue
		}
		if name == "hostname" { // the queue keeps the one it was started with
			notes = append(notes, "the reports that senders get have the old hostname until the server is restarted")
		}
		steps = append(steps, appliance.Step{Action: appliance.ActionChange, Addr: name, Type: "setting"})
	}
	return steps, notes
}

// Stop ends everything: what had begun may finish until ctx ends. The admin
// socket goes last, so that who waits for it to vanish has waited for all.
func (s *server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.admin.drain(ctx)
	s.metrics.drain(ctx)
	s.watch.Stop()
	err := s.appliance.Stop(ctx)
	s.retiring.Wait()
	return errors.Join(err, s.metrics.stop(ctx), s.admin.stop(ctx))
}
