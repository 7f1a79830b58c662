package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// retireTime is how long requests to an address that a reload gave up may
// take to end.
const retireTime = 10 * time.Second

// An endpoint is an HTTP server and the address it was configured with. A nil
// endpoint is one that the configuration does not have.
type endpoint struct {
	address string
	server  *admin.Server
}

// endpoints opens what the settings name. What is open already is kept.
func (s *server) endpoints(set appliance.Settings, oldAdmin, oldMetrics *endpoint) (a, m *endpoint, err error) {
	o := admin.Options{
		Appliance: s.appliance, Reload: s.Reload, Events: s.events, Version: s.version, Log: s.log.Named("admin"),
		Stop: func() { s.ask.Do(func() { close(s.asked) }) },
	}
	a, err = openEndpoint("admin.address", admin.Address(set), oldAdmin, func() *admin.Server { return admin.New(o, set.Admin.Token) })
	if err != nil {
		return nil, nil, err
	}
	if set.Metrics.Address == "" {
		return a, nil, nil
	}
	m, err = openEndpoint("metrics.address", set.Metrics.Address, oldMetrics, func() *admin.Server { return admin.NewMetrics(o) })
	if err != nil {
		return nil, nil, errors.Join(err, s.discard(a, oldAdmin))
	}
	return a, m, nil
}

func openEndpoint(setting, address string, old *endpoint, newServer func() *admin.Server) (*endpoint, error) {
	if old != nil && old.address == address {
		return old, nil
	}
	l, err := admin.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	e := &endpoint{address, newServer()}
	e.server.Start(l)
	return e, nil
}

// Addr is where the endpoint really listens.
func (e *endpoint) Addr() net.Addr { return e.server.Addr() }

func (e *endpoint) drain(ctx context.Context) {
	if e != nil {
		e.server.Drain(ctx)
	}
}

func (e *endpoint) stop(ctx context.Context) error {
	if e == nil {
		return nil
	}
	return e.server.Stop(ctx)
}

// discard closes an endpoint that was opened in vain.
func (s *server) discard(e, old *endpoint) error {
	if e == nil || e == old {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), retireTime)
	defer cancel()
	return e.stop(ctx)
}

// retire closes the endpoint that next replaces, once the requests that it
// serves have ended: the one that asked for the reload may be among them.
func (s *server) retire(old, next *endpoint) {
	if old == nil || old == next {
		return
	}
	s.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), retireTime)
		defer cancel()
		if err := old.stop(ctx); err != nil {
			s.log.Warn("an address that is given up did not close cleanly", zap.String("address", old.address), zap.Error(err))
		}
	})
}
