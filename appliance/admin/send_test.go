package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

const letter = "From: a@example.com\nTo: b@example.org\nSubject: x\n\nHello\n"

var submission = admin.Submission{From: "a@example.com", To: []string{"b@example.org", "c@example.org"}}

func TestSend(t *testing.T) {
	h := open(t, "unix")
	sent, err := h.client.Send(t.Context(), submission, strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	got := h.engine.accepted[0]
	if sent.ID != got.ID || sent.Recipients != 2 || len(got.Deliveries[0].Recipients) != 2 {
		t.Errorf("answered %+v, accepted %+v", sent, got)
	}
	if got.Envelope.From.String() != "a@example.com" || got.Origin.Pipeline != "outgoing" {
		t.Errorf("accepted %+v", got)
	}
	if body := h.engine.bodies[0]; body != "\r\nHello\r\n" {
		t.Errorf("body %q", body)
	}
	// A message of the command line is completed like any submission.
	for _, name := range []string{"Date", "Message-ID", "Received"} {
		if got.Header.Count(name) != 1 {
			t.Errorf("%s is missing in\n%s", name, got.Header.Bytes())
		}
	}
}

func TestSendNullReversePath(t *testing.T) {
	h := open(t, "unix")
	s := admin.Submission{From: "<>", To: []string{"b@example.org"}}
	if _, err := h.client.Send(t.Context(), s, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	if !h.engine.accepted[0].Envelope.From.IsNull() {
		t.Errorf("from %v", h.engine.accepted[0].Envelope.From)
	}
}

// TestSendLongLine: a line that is too long is mended, as when it comes by SMTP.
func TestSendLongLine(t *testing.T) {
	h := open(t, "unix")
	if _, err := h.client.Send(t.Context(), submission, strings.NewReader(letter+strings.Repeat("x", 2000)+"\n")); err != nil {
		t.Fatal(err)
	}
	body, header := h.engine.bodies[0], h.engine.accepted[0].Header
	if header.Get("Content-Transfer-Encoding") != "quoted-printable" || strings.ReplaceAll(body, "=\r\n", "") != "\r\nHello\r\n"+strings.Repeat("x", 2000)+"\r\n" {
		t.Errorf("%s%s", header.Bytes(), body)
	}
}

func TestSendRefused(t *testing.T) {
	h := open(t, "unix")
	many := strings.Repeat("x", 999) + "\n"
	for name, c := range map[string]struct {
		s       admin.Submission
		message string
		status  int
		reply   string
	}{
		"bad from":                {admin.Submission{From: "a@", To: []string{"b@example.org"}}, letter, http.StatusBadRequest, ""},
		"bad to":                  {admin.Submission{From: "a@example.com", To: []string{"b\r\nDATA"}}, letter, http.StatusBadRequest, ""},
		"no to":                   {admin.Submission{From: "a@example.com"}, letter, http.StatusBadRequest, ""},
		"no such pipeline":        {admin.Submission{From: "a@example.com", To: []string{"b@example.org"}, Pipeline: "x"}, letter, http.StatusBadRequest, ""},
		"two From":                {submission, "From: a@example.com\nFrom: b@example.com\n\n", http.StatusUnprocessableEntity, "550 5.6.0"},
		"bare CR":                 {submission, letter + "a\rb\n", http.StatusUnprocessableEntity, "550 5.6.0"},
		"NUL":                     {submission, letter + "a\x00b\n", http.StatusUnprocessableEntity, "550 5.6.0"},
		"long header line":        {submission, "Subject: " + many + letter, http.StatusUnprocessableEntity, "550 5.6.0"},
		"CRLF makes it too large": {submission, letter + strings.Repeat("\n", 40<<10), http.StatusRequestEntityTooLarge, "552 5.3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.client.Send(t.Context(), c.s, strings.NewReader(c.message))
			e, ok := errors.AsType[*admin.Error](err)
			if !ok || e.Status != c.status {
				t.Fatalf("got %v", err)
			}
			if (e.Reply != nil) != (c.reply != "") || e.Reply != nil && !strings.HasPrefix(e.Reply.String(), c.reply) {
				t.Errorf("reply %v, want %s", e.Reply, c.reply)
			}
		})
	}
	if n := len(h.engine.accepted); n != 0 {
		t.Errorf("%d refused messages were accepted", n)
	}
	h.engine.full = true
	_, err := h.client.Send(t.Context(), submission, strings.NewReader(letter))
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusServiceUnavailable || e.Reply.Code != 452 {
		t.Errorf("full: %v", err)
	}
}

// TestFollow sees every outcome, also those that come before the answer does.
func TestFollow(t *testing.T) {
	h := open(t, "unix")
	h.engine.deliver = func(a appliance.Accepted) []appliance.Event {
		rs := a.Deliveries[0].Recipients
		return []appliance.Event{
			{Kind: appliance.EventDeferred, ID: a.ID, To: rs[0].Mailbox, Attempt: 1, Reply: appliance.NewReply(451, 4, 1, "Later")},
			{Kind: appliance.EventDelivered, ID: "another", To: rs[0].Mailbox},
			{Kind: appliance.EventDelivered, ID: a.ID, To: rs[1].Mailbox, Attempt: 1, Host: "mx"},
			{Kind: appliance.EventBounced, ID: a.ID, To: rs[0].Mailbox, Attempt: 2, Reply: appliance.NewReply(550, 1, 1, "No")},
		}
	}
	sent, events, err := h.client.Follow(t.Context(), submission, strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range events {
		if err != nil || e.ID != sent.ID {
			t.Fatalf("%+v, %v", e, err)
		}
		line := string(e.Kind)
		if e.To != nil {
			line += " " + e.To.String()
		}
		got = append(got, line)
	}
	want := []string{"deferred b@example.org", "delivered c@example.org", "bounced b@example.org"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowRefused(t *testing.T) {
	h := open(t, "unix")
	_, _, err := h.client.Follow(t.Context(), submission, strings.NewReader("From: nobody\n\n"))
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Reply == nil || e.Reply.Code != 550 {
		t.Errorf("got %v", err)
	}
}
