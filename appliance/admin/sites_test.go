package admin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

var _ appliance.SiteKeeper = (*fakeEngine)(nil)

func (e *fakeEngine) Sites() []appliance.SiteState {
	return []appliance.SiteState{{Name: "out/google", Destinations: 3, Limit: 2, Connections: 5, Waits: true}}
}

func (e *fakeEngine) Suspensions() []appliance.Suspension { return e.suspended }

func (e *fakeEngine) Suspend(_ context.Context, s appliance.Suspension) error {
	if s.Name == "broken.example" {
		return errors.New("the disk is full")
	}
	e.suspended = append(e.suspended, s)
	return nil
}

func (e *fakeEngine) Resume(_ context.Context, name string) (bool, error) {
	found := len(e.suspended) > 0 && e.suspended[0].Name == name
	e.suspended = nil
	return found, nil
}

func TestSites(t *testing.T) {
	h := open(t, "unix")
	page, err := h.client.Sites(t.Context())
	check(t, err)
	if len(page.Sites) != 1 || page.Sites[0].Name != "out/google" || !page.Sites[0].Waits {
		t.Errorf("%+v", page)
	}
}

func TestSuspendAndResume(t *testing.T) {
	h := open(t, "unix")
	page, err := h.client.Suspensions(t.Context())
	check(t, err)
	if page.Suspensions == nil || len(page.Suspensions) != 0 {
		t.Errorf("%+v", page)
	}
	began := time.Now()
	page, err = h.client.Suspend(t.Context(), admin.SuspendRequest{Name: "example.org", For: "2h", Reason: "moving"})
	check(t, err)
	s := page.Suspensions[0]
	if s.Name != "example.org" || s.Reason != "moving" || s.Until.Sub(began).Round(time.Minute) != 2*time.Hour {
		t.Errorf("%+v", s)
	}
	page, err = h.client.Resume(t.Context(), "example.org")
	check(t, err)
	if len(page.Suspensions) != 0 {
		t.Errorf("%+v", page)
	}
}

// TestSuspendRefused: what cannot be meant is 400, what is not there 404, and
// what fails here 500.
func TestSuspendRefused(t *testing.T) {
	h := open(t, "unix")
	for _, c := range []struct {
		want   admin.SuspendRequest
		status int
	}{
		{admin.SuspendRequest{}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "a.example", For: "soon"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "a.example", For: "0s"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "a.example", For: "400d"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "a.example", Reason: strings.Repeat("x", 300)}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "a.example", Reason: "two\nlines"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "out/a\x1b[2J.example"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "nowhere/a.example"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "by.provider.example"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "refused.example"}, http.StatusBadRequest},
		{admin.SuspendRequest{Name: "broken.example"}, http.StatusInternalServerError},
	} {
		_, err := h.client.Suspend(t.Context(), c.want)
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != c.status {
			t.Errorf("%.60v: %v, want %d", c.want, err, c.status)
		}
	}
	_, err := h.client.Resume(t.Context(), "a.example")
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusNotFound {
		t.Errorf("resumed what is not suspended: %v", err)
	}
}

// TestSuspendSays: who suspends a domain is told of its mail that goes on.
func TestSuspendSays(t *testing.T) {
	h := open(t, "unix")
	for name, want := range map[string]struct{ name, note string }{
		"Example.ORG.":         {"example.org", ""},
		"MÜNCHEN.example":      {"xn--mnchen-3ya.example", ""},
		"out/münchen.example":  {"out/xn--mnchen-3ya.example", ""},
		"google":               {"google", ""},
		"nobody":               {"nobody", "no site has the name nobody now"},
		"sometimes.example":    {"sometimes.example", "pipeline.outgoing sends to provider/smtp.provider.example goes on"},
		"provider/by.provider": {"provider/by.provider", ""},
	} {
		page, err := h.client.Suspend(t.Context(), admin.SuspendRequest{Name: name})
		check(t, err)
		notes := strings.Join(page.Notes, "\n")
		if page.Suspensions[0].Name != want.name || !strings.Contains(notes, want.note) || want.note == "" && notes != "" {
			t.Errorf("%s: %+v", name, page)
		}
		_, err = h.client.Resume(t.Context(), name)
		check(t, err)
	}
	_, err := h.client.Suspend(t.Context(), admin.SuspendRequest{Name: "by.provider.example"})
	if err == nil || !strings.Contains(err.Error(), "goes to provider/smtp.provider.example, with that of others") {
		t.Errorf("%v", err)
	}
}

// forDomain is a condition on the domain of the recipient, and on more if
// that is "sometimes.example".
type forDomain string

var _ appliance.DomainCondition = forDomain("")

func (c forDomain) Match(f *appliance.Facts) (bool, error) {
	return f.Recipient.Domain == string(c), nil
}
func (forDomain) NeedsContent() bool { return false }
func (c forDomain) MatchDomain(domain string) (match, known bool) {
	return domain == string(c), domain != "sometimes.example"
}

// provider is a relay that takes the mail for all domains.
type provider struct{ fakeRelay }

func (*provider) NextHop(appliance.Mailbox) string { return "smtp.provider.example" }
