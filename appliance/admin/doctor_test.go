package admin_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// examined is a module that has something to look at.
type examined struct {
	keeper
	look func(ctx context.Context) []appliance.Finding
}

func (e examined) Examinations() []appliance.Examination {
	return []appliance.Examination{{Name: "authority", Run: e.look}}
}

// TestDoctor: a check-up by the running server, narrowed to what a module has
// contributed; one at a time; a stop ends it.
func TestDoctor(t *testing.T) {
	h := open(t, "unix")
	looking := make(chan struct{})
	e := examined{keeper: h.tls, look: func(ctx context.Context) []appliance.Finding {
		close(looking)
		<-ctx.Done()
		return []appliance.Finding{{Name: "authority", Status: appliance.FoundFail, Text: "it cannot be reached", Fix: "open port 443"}}
	}}
	h.appliance.Graph().Node(appliance.Addr{Kind: appliance.KindTLS, Name: "own"}).Module = e

	if _, err := h.client.Doctor(t.Context(), []string{"nonsense"}, true); statusOf(err) != http.StatusBadRequest || !strings.Contains(err.Error(), `"nonsense" names nothing`) {
		t.Errorf("a name of nothing: %v", err)
	}
	if got := h.request(t, raw("GET /v1/doctor?offline=perhaps", "", "")); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("offline=perhaps: %.200s", got)
	}
	report, err := h.client.Doctor(t.Context(), []string{"server"}, true)
	check(t, err)
	if !report.Running || report.Hostname != "mail.example.com" || report.Status != appliance.FoundOK || len(report.Groups) != 1 {
		t.Errorf("%+v", report)
	}

	type outcome struct {
		groups []appliance.Finding
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		report, err := h.client.Doctor(t.Context(), []string{"authority"}, false)
		done <- outcome{report.Groups, err}
	}()
	<-looking
	if _, err := h.client.Doctor(t.Context(), []string{"server"}, true); statusOf(err) != http.StatusConflict {
		t.Errorf("a second one: %v", err)
	}
	h.server.Drain(t.Context())
	got := <-done
	check(t, got.err)
	want := []appliance.Finding{{Name: "tls.own", Status: appliance.FoundFail, Parts: []appliance.Finding{
		{Name: "authority", Status: appliance.FoundFail, Text: "it cannot be reached", Fix: "open port 443"},
	}}}
	if diff := cmp.Diff(want, got.groups); diff != "" {
		t.Error(diff)
	}
}
