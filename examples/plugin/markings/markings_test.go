package markings

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waxwing-mail/waxwing/appliance"
)

// provisioned takes an instance through the life that the server gives it.
func provisioned(t *testing.T, m *Markings) *Markings {
	t.Helper()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	// A Context is plain data: a test writes down what the module uses of it.
	if err := m.Provision(&appliance.Context{Metrics: prometheus.NewRegistry()}); err != nil {
		t.Fatal(err)
	}
	return m
}

func message(t *testing.T, subject string, to ...string) *appliance.Transaction {
	t.Helper()
	h, err := appliance.ParseHeader([]byte("From: a@example.com\r\nSubject: " + subject + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	tx := &appliance.Transaction{Message: appliance.Message{Header: h, Body: appliance.BytesBody("\r\n")}}
	for _, s := range to {
		m, err := appliance.ParseMailbox(s)
		if err != nil {
			t.Fatal(err)
		}
		tx.Envelope.Recipients = append(tx.Envelope.Recipients, appliance.Recipient{Mailbox: m})
	}
	return tx
}

func TestInspect(t *testing.T) {
	m := provisioned(t, &Markings{Words: []string{"Confidential", "internal only", "C+"}, Inside: []string{"EXAMPLE.com", "bücher.example"}, Action: Reject})
	for _, c := range []struct {
		subject, to string
		refused     bool
	}{
		{"Lunch", "u@elsewhere.example", false},
		{"CONFIDENTIAL: lunch", "u@elsewhere.example", true},
		{"[confidential]", "u@elsewhere.example", true},
		{"Confidential", "u@example.com v@xn--bcher-kva.example", false},
		{"Confidential", "u@example.com v@elsewhere.example", true},
		{"Confidential", "u@sub.example.com", true},
		{"Internal\r\n\tonly", "u@elsewhere.example", true},
		{"=?utf-8?q?Re=3A_confidential?=", "u@elsewhere.example", true},
		{"=?x-unknown?q?Re=3A_confidential?=", "u@elsewhere.example", true},
		{"=?utf-8?q?broken confidential", "u@elsewhere.example", true},
		{"Lunch\r\nSubject: Confidential", "u@elsewhere.example", true},
		{"Confidentiality", "u@elsewhere.example", false},
		{"Unconfidential", "u@elsewhere.example", false},
		{"a C+ for you", "u@elsewhere.example", true},
		{"a CC for you", "u@elsewhere.example", false},
	} {
		v, err := m.Inspect(context.Background(), appliance.AtContent, message(t, c.subject, strings.Fields(c.to)...))
		if err != nil {
			t.Fatal(err)
		}
		if refused := v.Refuse != nil && v.Refuse.Permanent(); refused != c.refused {
			t.Errorf("%q to %s: refused %v, want %v", c.subject, c.to, refused, c.refused)
		}
	}
}

func TestCount(t *testing.T) {
	m := provisioned(t, &Markings{Words: []string{"secret"}, Inside: []string{"example.com"}, Action: Count})
	v, err := m.Inspect(context.Background(), appliance.AtContent, message(t, "Secret", "u@elsewhere.example"))
	if err != nil || v.Refuse != nil {
		t.Errorf("%v, %v", v.Refuse, err)
	}
}

func TestValidate(t *testing.T) {
	good := Markings{Words: []string{"x"}, Inside: []string{"example.com"}, Action: Reject}
	for attr, change := range map[string]func(*Markings){
		"":       func(*Markings) {},
		"action": func(m *Markings) { m.Action = "refuse" },
		"words":  func(m *Markings) { m.Words = nil },
		"inside": func(m *Markings) { m.Inside = []string{"@example.com"} },
	} {
		m := good
		change(&m)
		blame, ok := errors.AsType[*appliance.AttrError](m.Validate())
		if ok != (attr != "") || ok && blame.Attr != attr {
			t.Errorf("got %v, want the blame on %q", blame, attr)
		}
	}
	empty := good
	empty.Words = []string{"x", " "}
	if empty.Validate() == nil {
		t.Error("a word that marks everything is let pass")
	}
}
