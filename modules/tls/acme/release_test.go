package acme

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

// TestRelease: a name is kept for as long as a listener has it, and what is
// stored for it serves the next one. That of the server is always kept.
func TestRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	a := w.start(w.instance())
	own := appliance.TLSUse{Names: []string{w.host}}
	other := appliance.TLSUse{Names: []string{"smtp." + w.host, "not a name"}}
	for range 2 { // one listener replaces another
		a.ServerConfig(own)
		a.ServerConfig(other)
	}
	w.ready(a, w.host, other.Names[0])
	a.Release(own)
	a.Release(other)
	w.ready(a, w.host, other.Names[0])
	a.Release(own)
	a.Release(other)
	if err := a.Renew(t.Context(), other.Names[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renew: %v", err)
	}
	if n := len(a.Certificates()); n != 1 {
		t.Errorf("%d certificates are kept", n)
	}
	if _, err := w.handshake(a.ServerConfig(appliance.TLSUse{}), w.host); err != nil {
		t.Error(err)
	}
	config := a.ServerConfig(other)
	if _, err := w.handshake(config, other.Names[0]); err != nil {
		t.Errorf("a listener that comes back: %v", err)
	}
	if n := w.ca.Issued(); n != 2 {
		t.Errorf("%d certificates issued", n)
	}
}

// TestReleaseGivesUp: nobody is asked any more for a name that was a mistake,
// and what clients are shown has the names that are left.
func TestReleaseGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	w.ca.Down()
	a := w.start(w.instance())
	typo := appliance.TLSUse{Names: []string{"smpt." + w.host}}
	a.ServerConfig(typo)
	eventually(t, "a failure", func() bool { return info(t, a, typo.Names[0]).Error != "" })
	a.mu.Lock()
	k := a.keeper(typo.Names[0])
	a.mu.Unlock()
	a.Release(typo)
	receive(t, "the end of its keeper", k.life.Done())
	if served := a.list()[0].Leaf; served.VerifyHostname(typo.Names[0]) == nil || served.VerifyHostname(w.host) != nil {
		t.Errorf("served for %v", served.DNSNames)
	}
	w.ca.Up()
	w.ready(a, w.host)
	a.Stop(context.Background())
	if n := w.ca.Issued(); n != 1 {
		t.Errorf("%d certificates issued", n)
	}
}

// TestReleaseOfTheOnly: while the name that has the one certificate goes, there
// is something to show for the others.
func TestReleaseOfTheOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	other := appliance.TLSUse{Names: []string{"smtp." + w.host}}
	first := w.start(w.instance(func(a *ACME) { a.Names = other.Names }))
	w.ready(first, other.Names[0])
	first.Stop(context.Background())

	w.ca.Down()
	a := w.start(w.instance())
	a.ServerConfig(other)
	if err := a.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	a.Release(other)
	if served := a.list(); len(served) != 1 || served[0] == nil || served[0].Leaf.VerifyHostname(w.host) != nil {
		t.Errorf("served: %v", served)
	}
	if a.Ready() == nil {
		t.Error("ready without a certificate")
	}
}
