package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
	"github.com/waxwing-mail/waxwing/appliance/config"
)

func TestReady(t *testing.T) {
	h := open(t, "unix")
	check(t, h.client.Ready(t.Context()))
	h.store.mu.Lock()
	h.store.sick = errSick
	h.store.mu.Unlock()
	e, ok := errors.AsType[*admin.Error](h.client.Ready(t.Context()))
	if !ok || e.Status != http.StatusServiceUnavailable {
		t.Fatalf("want 503, got %v", e)
	}
	if diff := cmp.Diff([]string{"store.main: the disk has failed"}, e.Reasons); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsServerShowsNothingElse(t *testing.T) {
	h := open(t, "unix")
	l, err := admin.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.NewMetrics(admin.Options{Appliance: h.appliance})
	s.Start(l)
	defer func() { check(t, s.Stop(context.Background())) }()
	base := "http://" + s.Addr().String()
	for path, want := range map[string]int{
		"/metrics": 200, "/livez": 200, "/readyz": 200,
		"/v1/queue": 404, "/v1/tls": 404, "/v1/tls/renew": 404, "/v1/stop": 404, "/v1/posture": 404, "/": 404, "/debug/pprof/": 404,
	} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		check(t, errors.Join(err, resp.Body.Close()))
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
		if path == "/metrics" && !strings.Contains(string(body), "go_goroutines") {
			t.Errorf("no metrics: %s", body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestVersionAndPosture(t *testing.T) {
	h := open(t, "tcp")
	v, err := h.client.Version(t.Context())
	if err != nil || v.Version != "v0" || v.PID != 7 {
		t.Errorf("%+v, %v", v, err)
	}
	p, err := h.client.Posture(t.Context())
	if err != nil || p.Hostname != "mail.example.com" || len(p.Pipelines) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestReload(t *testing.T) {
	h := open(t, "unix")
	steps := []appliance.Step{{Action: appliance.ActionKeep, Addr: "relay.out", Type: "fake"}}
	h.reload = func(_ context.Context, plan bool) (admin.Reloaded, error) {
		if !plan {
			t.Error("plan got lost")
		}
		return admin.Reloaded{Steps: steps}, nil
	}
	got, err := h.client.Reload(t.Context(), true)
	if diff := cmp.Diff(admin.Reloaded{Steps: steps}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	bad := config.Diagnostics{{Severity: config.SeverityError, Summary: "unknown relay type", File: "mail.hcl", Line: 31, Column: 7}}
	h.reload = func(context.Context, bool) (admin.Reloaded, error) { return admin.Reloaded{}, bad }
	_, err = h.client.Reload(t.Context(), false)
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Status != http.StatusUnprocessableEntity {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(bad, e.Diagnostics); diff != "" {
		t.Error(diff)
	}
}

func TestStop(t *testing.T) {
	h := open(t, "unix")
	if _, err := h.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-h.stopped
}

// TestDrain: what stops takes no more work, and says so where others ask
// whether it is ready.
func TestDrain(t *testing.T) {
	h := open(t, "unix")
	watch, err := h.client.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	h.server.Drain(t.Context())
	for e, err := range watch {
		t.Errorf("the live view went on: %v, %v", e, err)
	}
	for name, ask := range map[string]func() error{
		"queue": func() error { _, err := h.client.Queue(t.Context(), admin.Filter{}); return err },
		"send": func() error {
			_, err := h.client.Send(t.Context(), admin.Submission{From: "a@example.com", To: []string{"b@example.org"}}, strings.NewReader("\r\n"))
			return err
		},
		"certificates": func() error { _, err := h.client.Certificates(t.Context()); return err },
		"renew":        func() error { _, err := h.client.Renew(t.Context(), "tls.own"); return err },
		"ready":        func() error { return h.client.Ready(t.Context()) },
	} {
		if e, ok := errors.AsType[*admin.Error](ask()); !ok || e.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestQueue(t *testing.T) {
	h := open(t, "unix")
	from, to := appliance.Mailbox{Local: "a", Domain: "example.com"}, appliance.Mailbox{Local: "b", Domain: "example.org"}
	when := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	h.store.entries = []appliance.Entry{{
		ID: "one", Received: when, Size: 42, Envelope: appliance.Envelope{From: from},
		Origin: appliance.Origin{Pipeline: "outgoing", User: "app"},
		Deliveries: []appliance.EntryDelivery{{Leased: true, Delivery: appliance.Delivery{
			Destination: "out/example.org", Due: when, Attempts: 2,
			Recipients: []appliance.RecipientState{{
				Recipient: appliance.Recipient{Mailbox: to}, When: when,
				Last: appliance.Result{Reply: *appliance.NewReply(451, 4, 3, "Try later").With(errSick), Host: "mx.example.org"},
			}},
		}}},
	}, {ID: "two", Received: when}, {ID: "three", Received: when}}
	page, err := h.client.Queue(t.Context(), admin.Filter{Limit: 2})
	if err != nil || len(page.Messages) != 2 || !page.More {
		t.Fatalf("%+v, %v", page, err)
	}
	want := admin.QueuedMessage{
		ID: "one", Received: when, From: from, Size: 42, Origin: appliance.Origin{Pipeline: "outgoing", User: "app"},
		Deliveries: []admin.QueuedDelivery{{
			Destination: "out/example.org", State: "active", Due: when, Attempts: 2, GivesUp: when.Add(5 * 24 * time.Hour),
			Recipients: []admin.QueuedRecipient{{
				To: to, Status: "waiting", Last: &admin.Reply{Code: 451, Status: "4.4.3", Text: "Try later"},
				Cause: errSick.Error(), Host: "mx.example.org", When: when,
			}},
		}},
	}
	got, err := h.client.Queued(t.Context(), "one")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if e, ok := errors.AsType[*admin.Error](second(h.client.Queued(t.Context(), "four"))); !ok || e.Status != http.StatusNotFound {
		t.Errorf("four: %v", e)
	}
}

func second[T any](_ T, err error) error { return err }

func TestQueueRefusesFilters(t *testing.T) {
	h := open(t, "unix")
	for _, q := range []string{"?limit=0", "?limit=x", "?limit=10001", "?held=maybe", "?sendr=x", "?older=long", "?class=bad", "?sender=", "?id=a&id=", "/summary?by=colour", "/summary?sendr=x"} {
		if got := h.request(t, raw("GET /v1/queue"+q, "", "")); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: %.200s", q, got)
		}
	}
}

func TestChange(t *testing.T) {
	h := open(t, "unix")
	held := true
	f := admin.Filter{Class: appliance.ClassDNS, IDs: []appliance.QueueID{"one"}, Sender: "@example.com", Recipient: "b@example.org", Destination: "out/x", Held: &held}
	done, err := h.client.Change(t.Context(), admin.ChangeRequest{Filter: f, Change: "retry"})
	if err != nil || done.Deliveries != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	want := appliance.Filter{Class: f.Class, IDs: f.IDs, Sender: f.Sender, Recipient: f.Recipient, Destination: f.Destination, Held: &held}
	if diff := cmp.Diff([]appliance.Filter{want}, h.engine.changed); diff != "" {
		t.Error(diff)
	}
	for _, c := range []admin.ChangeRequest{{Change: "drop"}, {Change: "bounce"}, {Change: "explode", All: true}, {}} {
		if e, ok := errors.AsType[*admin.Error](second(h.client.Change(t.Context(), c))); !ok || e.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", c, e)
		}
	}
	if len(h.engine.changed) != 1 {
		t.Errorf("a refused change was made: %+v", h.engine.changed)
	}
}

func TestCaptured(t *testing.T) {
	h := open(t, "unix")
	m := appliance.Captured{ID: "x", Subject: "Hello", Size: 18}
	h.relay.kept = []appliance.Captured{m}
	page, err := h.client.Captured(t.Context())
	if err != nil || len(page.Messages) != 1 || page.Messages[0].Relay != "out" || page.Messages[0].ID != "x" {
		t.Fatalf("%+v, %v", page, err)
	}
	body, err := h.client.OpenCaptured(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	check(t, errors.Join(err, body.Close()))
	if string(b) != "Subject: Hello\r\n\r\n" {
		t.Errorf("got %q", b)
	}
	if e, ok := errors.AsType[*admin.Error](second(h.client.OpenCaptured(t.Context(), "y"))); !ok || e.Status != http.StatusNotFound {
		t.Errorf("y: %v", e)
	}
}

func TestUnreachable(t *testing.T) {
	c := admin.NewClient("unix:"+t.TempDir()+"/none", appliance.Secret{})
	if _, err := c.Version(t.Context()); !errors.Is(err, admin.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
