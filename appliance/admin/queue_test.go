package admin_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/admin"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// waits is a recipient with its last result, if code is not 0.
func waits(to string, class appliance.Class, code int) appliance.RecipientState {
	r := appliance.RecipientState{Recipient: appliance.Recipient{Mailbox: appliance.Mailbox{Local: to, Domain: to + ".example"}}}
	if code != 0 {
		r.When = noon.Add(time.Minute)
		r.Last = appliance.Result{Reply: *appliance.NewReply(code, 2, 0, "Later, see https://example.org/why."), Remote: true, Class: class}
	}
	return r
}

func queued(id appliance.QueueID, destination string, change func(*appliance.EntryDelivery), to ...appliance.RecipientState) appliance.Entry {
	d := appliance.EntryDelivery{Delivery: appliance.Delivery{Destination: destination, Due: noon.Add(time.Hour), Recipients: to}}
	if change != nil {
		change(&d)
	}
	return appliance.Entry{
		ID: id, Received: noon, Size: 100, Envelope: appliance.Envelope{From: appliance.Mailbox{Local: "a", Domain: "example.com"}},
		Deliveries: []appliance.EntryDelivery{d},
	}
}

// TestHistory: a message that is asked for comes with its attempts, and with
// what its last results mean.
func TestHistory(t *testing.T) {
	h := open(t, "unix")
	later := appliance.NewReply(450, 2, 0, "Later").With(appliance.Cause("as it was"))
	h.store.entries = []appliance.Entry{queued("one", "out/example.org", func(d *appliance.EntryDelivery) {
		d.Attempts = []appliance.Attempt{{
			Number: 1, Began: noon, Took: 1500 * time.Millisecond,
			Tries: []appliance.Try{
				{Host: "mx1", Took: time.Second, Reply: *appliance.NewReply(451, 4, 1, "refused").With(appliance.Cause("dial"))},
				{Host: "mx2", Peer: "192.0.2.1:25", TLS: "TLS 1.3, verified", Dialogue: "S: 220\n"},
			},
			Outcomes: []appliance.AttemptOutcome{{Relay: "out", Recipients: []int{1, 7}, Result: appliance.Result{Reply: *later, Remote: true, Host: "mx2", Class: appliance.ClassGreylist}}},
		}}
	}, waits("b", "", 0), waits("c", appliance.ClassGreylist, 450))}
	got, err := h.client.Queued(t.Context(), "one")
	check(t, err)
	d := got.Deliveries[0]
	want := []admin.QueuedAttempt{{
		Number: 1, Began: noon, Took: 1.5,
		Servers: []admin.TriedServer{
			{Host: "mx1", Took: 1, Useless: &admin.Reply{Code: 451, Status: "4.4.1", Text: "refused"}, Cause: "dial"},
			{Host: "mx2", Peer: "192.0.2.1:25", TLS: "TLS 1.3, verified", Dialogue: "S: 220\n"},
		},
		Outcomes: []admin.AttemptOutcome{{
			To: []appliance.Mailbox{{Local: "c", Domain: "c.example"}}, Relay: "out", Remote: true, Cause: "as it was", Host: "mx2",
			Reply: &admin.Reply{Code: 450, Status: "4.2.0", Text: "Later"}, Class: appliance.ClassGreylist,
		}},
	}}
	if diff := cmp.Diff(want, d.History); diff != "" {
		t.Error(diff)
	}
	reason := &admin.Reason{
		Class: "greylist", Words: appliance.ClassGreylist.Words(), Advice: appliance.ClassGreylist.Advice(), MoreAt: "https://example.org/why",
	}
	if diff := cmp.Diff(reason, d.Recipients[1].Reason); diff != "" || d.Recipients[1].Cause != "as it was" || d.Recipients[0].Reason != nil {
		t.Errorf("%s, %+v", diff, d.Recipients)
	}
	page, err := h.client.Queue(t.Context(), admin.Filter{})
	check(t, err)
	if page.Messages[0].Deliveries[0].History != nil {
		t.Error("a listing has the attempts")
	}
}

// TestCauseWithFallback: of two relays in one attempt the last one counts.
func TestCauseWithFallback(t *testing.T) {
	h := open(t, "unix")
	outcome := func(relay, cause string) appliance.AttemptOutcome {
		r := appliance.NewReply(451, 4, 1, "unreachable").With(appliance.Cause(cause))
		return appliance.AttemptOutcome{Relay: relay, Recipients: []int{0}, Result: appliance.Result{Reply: *r}}
	}
	h.store.entries = []appliance.Entry{queued("one", "out/example.org", func(d *appliance.EntryDelivery) {
		d.Attempts = []appliance.Attempt{{Number: 1, Began: noon, Outcomes: []appliance.AttemptOutcome{outcome("out", "first"), outcome("provider", "second")}}}
	}, waits("b", appliance.ClassConnection, 451))}
	got, err := h.client.Queued(t.Context(), "one")
	check(t, err)
	if c := got.Deliveries[0].Recipients[0].Cause; c != "second" {
		t.Errorf("the cause is %q", c)
	}
}

// TestSummary: what waits is counted once in all, and once in each group.
func TestSummary(t *testing.T) {
	h := open(t, "unix")
	two := queued("two", "out/c", func(d *appliance.EntryDelivery) { d.Delivery.Held = true }, waits("c", "", 0))
	two.Origin.User = "app"
	h.store.entries = []appliance.Entry{
		queued("one", "out/c", nil, waits("c", appliance.ClassGreylist, 450), waits("b", appliance.ClassRate, 451)),
		two,
		queued("three", "out/d", func(d *appliance.EntryDelivery) { d.Leased = true },
			waits("d", appliance.ClassRate, 452), appliance.RecipientState{Status: appliance.Delivered}),
	}
	for by, want := range map[string][]string{
		"destination": {"out/c 2 2 3", "out/d 1 1 1"},
		"class":       {"rate 2 2 2", "greylist 1 1 1", "not tried yet 1 1 1"},
		"domain":      {"c.example 2 2 2", "b.example 1 1 1", "d.example 1 1 1"},
		"sender":      {"<a@example.com> 3 3 4"},
		"user":        {"(none) 2 2 3", "app 1 1 1"},
	} {
		sum, err := h.client.Summary(t.Context(), admin.Filter{}, by)
		check(t, err)
		var got []string
		for _, g := range sum.Groups {
			got = append(got, g.Key+" "+digits(g.Messages, g.Deliveries, g.Recipients))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s: %s", by, diff)
		}
		all := admin.QueueCount{Messages: 3, Deliveries: 3, Recipients: 4, Octets: 300, Active: 1, Held: 1, Oldest: noon, Next: noon.Add(time.Hour)}
		if diff := cmp.Diff(all, sum.QueueCount); diff != "" || sum.By != by {
			t.Errorf("by %s: %s", sum.By, diff)
		}
	}
	sum, err := h.client.Summary(t.Context(), admin.Filter{}, "destination")
	check(t, err)
	if g := sum.Groups[1]; g.Class != appliance.ClassRate || g.Last.Code != 452 || g.When != noon.Add(time.Minute) || g.Active != 1 || !g.Next.IsZero() {
		t.Errorf("%+v", g)
	}
}

func digits(n ...int) string {
	s := ""
	for i, v := range n {
		if i > 0 {
			s += " "
		}
		s += string(rune('0' + v))
	}
	return s
}

// TestDryRun: a dry run counts what would be changed, and changes nothing.
func TestDryRun(t *testing.T) {
	h := open(t, "unix")
	held := func(d *appliance.EntryDelivery) { d.Delivery.Held = true }
	h.store.entries = []appliance.Entry{
		queued("one", "x", nil, waits("b", "", 0), waits("c", "", 0)),
		queued("two", "x", held, waits("b", "", 0)),
		queued("three", "x", func(d *appliance.EntryDelivery) { d.Leased = true }, waits("b", "", 0)),
	}
	for change, want := range map[string]admin.Changed{
		"drop":    {DryRun: true, Deliveries: 2, Messages: 2, Recipients: 3, Busy: 1},
		"hold":    {DryRun: true, Deliveries: 1, Messages: 1, Recipients: 2, Busy: 1},
		"release": {DryRun: true, Deliveries: 1, Messages: 1, Recipients: 1},
	} {
		done, err := h.client.Change(t.Context(), admin.ChangeRequest{Change: change, DryRun: true, All: true})
		check(t, err)
		if diff := cmp.Diff(want, done); diff != "" {
			t.Errorf("%s: %s", change, diff)
		}
	}
	if len(h.engine.changed) > 0 {
		t.Errorf("changed: %+v", h.engine.changed)
	}
}

// TestFilterRefused: a filter that can select nothing, or by a slip everything,
// is refused, by the listing and by a change alike.
func TestFilterRefused(t *testing.T) {
	h := open(t, "unix")
	for _, f := range []admin.Filter{
		{Sender: "nonsense"}, {Sender: "@"}, {Recipient: "<>"}, {Recipient: "a b@example.org"}, {Recipient: "@exa mple"},
		{Destination: "internet"}, {Class: "Nonsense"}, {Older: "soon"}, {Older: "-1h"}, {Older: "0"}, {Older: "0s"},
	} {
		_, err := h.client.Queue(t.Context(), f)
		_, changed := h.client.Change(t.Context(), admin.ChangeRequest{Change: "drop", Filter: f})
		for _, err := range []error{err, changed} {
			if e, ok := errors.AsType[*admin.Error](err); !ok || e.Status != http.StatusBadRequest {
				t.Errorf("%+v: %v", f, err)
			}
		}
	}
	if len(h.engine.changed) > 0 {
		t.Errorf("changed: %+v", h.engine.changed)
	}
	for _, f := range []admin.Filter{
		{Sender: "<>"}, {Sender: "<a@example.org>"}, {Recipient: "@münchen.example"}, {Recipient: `"john doe"@example.org`},
		{Recipient: "GRÖẞE@example.org"}, {Recipient: "Postmaster"}, {Destination: "out/127.0.0.1:25"}, {Older: "1s"},
	} {
		if _, err := h.client.Queue(t.Context(), f); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestOlder: an age is counted from when it is asked.
func TestOlder(t *testing.T) {
	h := open(t, "unix")
	before := time.Now().Add(-49 * time.Hour)
	_, err := h.client.Change(t.Context(), admin.ChangeRequest{Change: "drop", Filter: admin.Filter{Older: "2d1h"}})
	check(t, err)
	if f := h.engine.changed[0]; f.Before.Before(before) || f.Before.After(time.Now().Add(-49*time.Hour)) {
		t.Errorf("%+v", f)
	}
}
