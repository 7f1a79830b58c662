package admin_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

// fakeTLS keeps one certificate, and renews it as the test says.
type fakeTLS struct {
	info  appliance.CertificateInfo
	ready error
	renew func(ctx context.Context) error
}

func (*fakeTLS) Provision(*appliance.Context) error          { return nil }
func (*fakeTLS) ServerConfig(appliance.TLSUse) *tls.Config   { return nil }
func (f *fakeTLS) Ready() error                              { return f.ready }
func (f *fakeTLS) Renew(ctx context.Context, _ string) error { return f.renew(ctx) }
func (f *fakeTLS) Certificates() []appliance.CertificateInfo {
	if f.info.Names == nil {
		return nil
	}
	return []appliance.CertificateInfo{f.info}
}

var waited = appliance.CertificateInfo{
	Names: []string{"mail.example.com"}, State: appliance.CertificatePending, Source: "ca.example",
	Error: "the authority cannot be reached", NextTry: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
}

func TestCertificates(t *testing.T) {
	h := open(t, "unix")
	if got := h.request(t, raw("GET /v1/tls", "", "")); !strings.HasSuffix(got, "\r\n\r\n{\"certificates\":[]}\n") {
		t.Errorf("none: %s", got)
	}
	h.tls.info = waited
	page, err := h.client.Certificates(t.Context())
	want := admin.CertificatePage{Certificates: []appliance.ServedCertificate{{Block: "tls.own", Type: "fake", CertificateInfo: waited}}}
	if diff := cmp.Diff(want, page); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestReadyWithoutCertificate: who sends traffic to ready instances only, must
// send the authority to one that waits for its certificate.
func TestReadyWithoutCertificate(t *testing.T) {
	h := open(t, "unix")
	h.tls.info, h.tls.ready = waited, errors.New(waited.Error)
	check(t, h.client.Ready(t.Context()))
	p, err := h.client.Posture(t.Context())
	if err != nil || len(p.TLS) != 1 || p.TLS[0].Waits != waited.Error || len(p.TLS[0].Certificates) != 1 {
		t.Errorf("%+v, %v", p.TLS, err)
	}
}

func TestRenew(t *testing.T) {
	h := open(t, "unix")
	h.tls.info = waited
	h.tls.renew = func(context.Context) error {
		h.tls.info = appliance.CertificateInfo{Names: waited.Names, State: appliance.CertificateValid}
		return nil
	}
	page, err := h.client.Renew(t.Context(), "Mail.example.com")
	if err != nil || len(page.Certificates) != 1 || page.Certificates[0].State != appliance.CertificateValid {
		t.Errorf("%+v, %v", page, err)
	}
	_, err = h.client.Renew(t.Context(), "mail.example.net")
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Status != http.StatusNotFound || !strings.Contains(e.Message, "there are tls.own, mail.example.com") {
		t.Errorf("a name that nobody keeps: %v", err)
	}
	h.tls.renew = func(context.Context) error { return errors.New("port 80 is closed\nopen it") }
	_, err = h.client.Renew(t.Context(), "tls.own")
	e, ok = errors.AsType[*admin.Error](err)
	if !ok || e.Status != http.StatusServiceUnavailable || !strings.Contains(e.Message, "there is no new certificate for tls.own; ") {
		t.Fatalf("a renewal that fails: %v", err)
	}
	if diff := cmp.Diff([]string{"tls.own: mail.example.com: port 80 is closed", "open it"}, e.Reasons); diff != "" {
		t.Error(diff)
	}
}

// TestRenewTakesItsTime: neither the deadline of reading a request nor that of
// its answer ends a renewal that the authority lets wait.
func TestRenewTakesItsTime(t *testing.T) {
	h := open(t, "unix", func(s *admin.Server) { s.SetReadTimeout(50 * time.Millisecond) })
	h.tls.info = waited
	h.tls.renew = func(ctx context.Context) error {
		select {
		case <-time.After(200 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := h.client.Renew(t.Context(), "tls.own"); err != nil {
		t.Error(err)
	}
}

// TestDrainEndsRenewal: a server that stops does not wait for an authority.
func TestDrainEndsRenewal(t *testing.T) {
	h := open(t, "unix")
	h.tls.info = waited
	asked := make(chan struct{})
	h.tls.renew = func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		_, err := h.client.Renew(t.Context(), "tls.own")
		done <- err
	}()
	<-asked
	h.server.Drain(t.Context())
	e, ok := errors.AsType[*admin.Error](<-done)
	if !ok || e.Status != http.StatusServiceUnavailable {
		t.Fatalf("got %v", e)
	}
	if diff := cmp.Diff([]string{"tls.own: mail.example.com: context canceled", "the server is stopping"}, e.Reasons); diff != "" {
		t.Error(diff)
	}
}

// TestRenewUntilTheClientLeaves: nobody waits for the answer any more.
func TestRenewUntilTheClientLeaves(t *testing.T) {
	h := open(t, "unix")
	h.tls.info = waited
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	h.tls.renew = func(ctx context.Context) error {
		leave()
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	if _, err := h.client.Renew(ctx, "tls.own"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

// keeper is the role alone, without what a fakeTLS can do besides.
type keeper interface{ appliance.Certificates }

// TestRenewWhatCannotBeAsked: the answer says who keeps the certificate.
func TestRenewWhatCannotBeAsked(t *testing.T) {
	h := open(t, "unix")
	h.appliance.Graph().Node(appliance.Addr{Kind: appliance.KindTLS, Name: "own"}).Module = struct{ keeper }{h.tls}
	h.tls.info = waited
	_, err := h.client.Renew(t.Context(), "mail.example.com")
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Status != http.StatusUnprocessableEntity || !strings.Contains(e.Message, "is kept by tls.own (type fake)") {
		t.Errorf("got %v", err)
	}
}
