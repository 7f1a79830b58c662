package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/certs"
)

// Certificates implements appliance.Certificates: one entry for each name.
func (a *ACME) Certificates() []appliance.CertificateInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	infos := make([]appliance.CertificateInfo, 0, len(a.keepers))
	for _, k := range a.keepers {
		infos = append(infos, k.describe())
	}
	return infos
}

func (k *keeper) describe() appliance.CertificateInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	info := appliance.CertificateInfo{
		Names: []string{k.name}, State: appliance.CertificatePending, Source: k.a.plan.authorities[0].source,
	}
	if h := k.current; h != nil {
		info = certs.Describe([]*tls.Certificate{h.certificate})[0]
		info.Source, info.Renewal = h.source, h.renewal
		// Some authorities add names. Ours is what it is renewed by.
		info.Names = slices.DeleteFunc(info.Names, func(n string) bool { return strings.EqualFold(n, k.name) })
		info.Names = append([]string{k.name}, info.Names...)
	}
	info.KeyStays, info.Error, info.NextTry = k.a.ReuseKey, k.problem, k.nextTry
	return info
}

// Ready implements appliance.Certificates: it is nil once there is a
// certificate of an authority.
func (a *ACME) Ready() error {
	if a.SelfSigned {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var waiting []string
	for _, k := range a.keepers {
		if k.held() != nil {
			return nil
		}
		waiting = append(waiting, k.waitsFor())
	}
	return fmt.Errorf("no certificate yet: %s", strings.Join(waiting, "; "))
}

func (k *keeper) waitsFor() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.problem == "" {
		return "asking for one for " + k.name
	}
	return fmt.Sprintf("%s: %s; next try at %s", k.name, k.problem, k.nextTry.Format(time.RFC3339))
}

var errStopping = errors.New("the server is stopping")

// Renew implements appliance.CertificateRenewer. The error is in words.
func (a *ACME) Renew(ctx context.Context, name string) error {
	k, err := a.find(name)
	if err != nil {
		return err
	}
	o := order{time.Now(), make(chan error, 1)}
	select {
	case k.orders <- o:
	case <-ctx.Done():
		return fmt.Errorf("still waiting for an attempt that is under way: %w", ctx.Err())
	case <-k.life.Done():
		return errStopping
	}
	select {
	case err := <-o.done:
		if errors.Is(err, context.Canceled) {
			return errStopping
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("the renewal goes on without anybody waiting for it: %w", ctx.Err())
	}
}

func (a *ACME) find(name string) (*keeper, error) {
	canon, err := canonicalName(name)
	if err != nil {
		canon = name
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.keeper(canon); k != nil {
		return k, nil
	}
	names := make([]string, 0, len(a.keepers))
	for _, k := range a.keepers {
		names = append(names, k.name)
	}
	return nil, fmt.Errorf("%w: no certificate is kept for %.80q; there are %s", fs.ErrNotExist, name, strings.Join(names, ", "))
}
