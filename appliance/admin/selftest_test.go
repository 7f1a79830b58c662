package admin_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/selftest"
)

// silence is a DNS that does not answer.
type silence struct{}

func noAnswer(name string) error {
	return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
}

func (silence) LookupAddr(_ context.Context, name string) ([]string, error) {
	return nil, noAnswer(name)
}
func (silence) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, noAnswer(name)
}
func (silence) LookupTXT(_ context.Context, name string) ([]string, error) {
	return nil, noAnswer(name)
}
func (silence) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	return nil, noAnswer(name)
}

// TestSelftest: a message goes the whole way and not into the queue.
func TestSelftest(t *testing.T) {
	h := openWith(t, appliance.Options{Resolver: silence{}})
	report, err := h.client.Selftest(t.Context(), admin.Selftest{Submission: submission, User: "app", Bulk: true}, strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Taken || report.Message.Author != "a@example.com" || len(report.Message.To) != 2 || !report.Message.Bulk {
		t.Errorf("%+v", report)
	}
	// It was completed as any submission: the receiver misses no Date.
	if item := itemOf(t, report, "Date"); item.Status != appliance.FoundOK {
		t.Errorf("%+v", item)
	}
	if item := itemOf(t, report, "List-Unsubscribe"); item.Status != appliance.FoundFail {
		t.Errorf("%+v", item)
	}
	if n := len(h.engine.accepted); n != 0 {
		t.Errorf("%d messages are in the queue", n)
	}
}

func itemOf(t *testing.T, r selftest.Report, name string) selftest.Item {
	t.Helper()
	for _, g := range r.Groups {
		for i := range g.Items {
			if g.Items[i].Name == name {
				return g.Items[i]
			}
		}
	}
	t.Fatalf("no item %s in %+v", name, r)
	return selftest.Item{}
}

// TestSelftestRefused: what the server itself refuses is a report too; what
// makes no sense is an error.
func TestSelftestRefused(t *testing.T) {
	h := openWith(t, appliance.Options{Resolver: silence{}})
	for name, c := range map[string]struct {
		s       admin.Selftest
		message string
		says    string
	}{
		"two From": {admin.Selftest{Submission: submission}, "From: a@example.com\n" + letter, "refuses the message: 550 5.6.0"},
		"too big":  {admin.Selftest{Submission: submission}, letter + strings.Repeat("\n", 40<<10), "refuses the message: 552 5.3.4"},
	} {
		report, err := h.client.Selftest(t.Context(), c.s, strings.NewReader(c.message))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if report.Taken || report.Good || report.Score != 0 || !strings.Contains(itemOf(t, report, "taken").Text, c.says) {
			t.Errorf("%s: %+v", name, report)
		}
	}
	none := submission
	none.To = nil
	elsewhere := submission
	elsewhere.Pipeline = "x"
	for name, s := range map[string]admin.Selftest{"no recipient": {Submission: none}, "no such pipeline": {Submission: elsewhere}} {
		_, err := h.client.Selftest(t.Context(), s, strings.NewReader(letter))
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}
