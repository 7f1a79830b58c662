package appliance

import (
	"testing"
	"time"
)

func TestFilterMatch(t *testing.T) {
	yes, no := true, false
	e := &Entry{ID: "1", Envelope: Envelope{From: Mailbox{"Ann", "example.org"}}}
	d := &Delivery{Destination: "mx/example.net", Held: true, Recipients: []RecipientState{
		{Recipient: Recipient{Mailbox: Mailbox{"bob", "example.net"}}},
		{Recipient: Recipient{Mailbox: Mailbox{"cy", "xn--bcher-kva.example"}}},
	}}
	for _, c := range []struct {
		name string
		f    Filter
		want bool
	}{
		{"everything", Filter{}, true},
		{"id", Filter{IDs: []QueueID{"0", "1"}}, true},
		{"other id", Filter{IDs: []QueueID{"2"}}, false},
		{"sender, any case", Filter{Sender: "ann@EXAMPLE.org"}, true},
		{"sender as a path", Filter{Sender: "<Ann@example.org>"}, true},
		{"other sender", Filter{Sender: "bob@example.org"}, false},
		{"sender domain", Filter{Sender: "@example.org"}, true},
		{"domain is no suffix", Filter{Sender: "@ple.org"}, false},
		{"not the null sender", Filter{Sender: "<>"}, false},
		{"second recipient, domain as people write it", Filter{Recipient: "@bücher.example"}, true},
		{"recipient", Filter{Recipient: "bob@example.net"}, true},
		{"sender is no recipient", Filter{Recipient: "ann@example.org"}, false},
		{"destination", Filter{Destination: "mx/example.net"}, true},
		{"other destination", Filter{Destination: "mx/example.com"}, false},
		{"held", Filter{Held: &yes}, true},
		{"not held", Filter{Held: &no}, false},
		{"every field must match", Filter{Sender: "@example.org", Held: &no}, false},
	} {
		if got := c.f.Match(e, d); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	null := Filter{Sender: "<>"}
	if !null.Match(&Entry{ID: "1"}, d) {
		t.Error("<> does not match the null reverse-path")
	}
}

func TestChangeApply(t *testing.T) {
	now := time.Unix(1000, 0)
	start := func() *Delivery {
		return &Delivery{Due: now.Add(time.Hour), Recipients: []RecipientState{{}, {Status: Delivered}}}
	}
	for _, c := range []struct {
		change Change
		held   bool // before
		due    time.Time
		want   Delivery // Held, Expire
		done   bool
	}{
		{ChangeRetry, false, now, Delivery{}, false},
		{ChangeRetry, true, now, Delivery{Held: true}, false},
		{ChangeHold, false, now.Add(time.Hour), Delivery{Held: true}, false},
		{ChangeRelease, true, now, Delivery{}, false},
		{ChangeBounce, true, now, Delivery{Expire: true}, false},
		{ChangeDrop, false, now.Add(time.Hour), Delivery{}, true},
	} {
		d := start()
		d.Held = c.held
		c.change.Apply(d, now)
		if !d.Due.Equal(c.due) || d.Held != c.want.Held || d.Expire != c.want.Expire || d.Done() != c.done {
			t.Errorf("change %d: %+v", c.change, d)
		}
		if d.Recipients[1].Status != Delivered {
			t.Errorf("change %d: a delivered recipient became %v", c.change, d.Recipients[1].Status)
		}
	}
}

// P4: what is recorded as delivered stays so, even when a holder whose lease
// had run out reports that it still waits.
func TestOutcomeReconcileP4(t *testing.T) {
	rcpt := func(local string, s Status) RecipientState {
		return RecipientState{Recipient: Recipient{Mailbox: Mailbox{local, "example.org"}}, Status: s}
	}
	stored := &Delivery{Recipients: []RecipientState{rcpt("a", Delivered), rcpt("b", Waiting)}}
	given := []RecipientState{rcpt("a", Waiting), rcpt("b", Failed)}
	o := Outcome{Delivery: Delivery{Recipients: given}}
	if !o.Reconcile(stored) {
		t.Fatal("same recipients are said to differ")
	}
	if got := o.Delivery.Recipients; got[0].Status != Delivered || got[1].Status != Failed {
		t.Errorf("got %v, %v", got[0].Status, got[1].Status)
	}
	if given[0].Status != Waiting {
		t.Error("the caller's slice was changed")
	}
	o.Delivery.Recipients = given[:1]
	if o.Reconcile(stored) {
		t.Error("an outcome that lost a recipient was accepted")
	}
}
