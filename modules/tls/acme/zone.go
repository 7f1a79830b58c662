package acme

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

const (
	recordTTL = 2 * time.Minute
	// cleanUpTimeout is how long it may take to remove a record after the
	// attempt, even when the server stops.
	cleanUpTimeout = 30 * time.Second
)

// A zone is a DNS provider whose errors can be told from others.
type zone struct {
	addr     appliance.Addr
	provider appliance.DNSProvider
}

var _ certmagic.DNSProvider = (*zone)(nil)

// A zoneError is what a DNS provider failed with.
type zoneError struct {
	addr appliance.Addr
	err  error
}

func (e *zoneError) Error() string { return fmt.Sprintf("%v: %v", e.addr, e.err) }
func (e *zoneError) Unwrap() error { return e.err }

func (z *zone) AppendRecords(ctx context.Context, name string, records []libdns.Record) ([]libdns.Record, error) {
	added, err := z.provider.AppendRecords(ctx, name, records)
	if err != nil {
		return nil, &zoneError{z.addr, err}
	}
	return added, nil
}

func (z *zone) DeleteRecords(ctx context.Context, name string, records []libdns.Record) ([]libdns.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, cleanUpTimeout)
	defer cancel()
	deleted, err := z.provider.DeleteRecords(ctx, name, records)
	if err != nil {
		return nil, &zoneError{z.addr, err}
	}
	return deleted, nil
}

// dnsSolver answers dns-01 (RFC 8555, section 8.4). Nil if dns-01 is not used.
func (a *ACME) dnsSolver(log *zap.Logger) *certmagic.DNS01Solver {
	if !a.plan.uses(dns01) {
		return nil
	}
	timeout := a.PropagationTimeout
	if timeout == 0 {
		timeout = -1 // certmagic: do not look
	}
	return &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider:        &zone{a.DNS.Addr(), a.DNS.To()},
		TTL:                recordTTL,
		PropagationDelay:   a.PropagationDelay,
		PropagationTimeout: timeout,
		Resolvers:          a.Resolvers,
		OverrideDomain:     strings.TrimSuffix(a.OverrideDomain, "."),
		Logger:             log,
	}}
}
