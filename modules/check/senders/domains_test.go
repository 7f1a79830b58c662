package senders

import (
	"slices"
	"testing"
)

func TestSenderDomains(t *testing.T) {
	s := Senders{
		Allow: map[string][]string{
			"ann": {"ann@b.example", "@a.example", "*"},
			"*":   {"{user}@c.example", "{user}", "@*.d.example"},
		},
		Trusted: []string{"@a.example", "cron@e.example"},
	}
	if err := s.Provision(nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"c.example", "d.example", "b.example", "a.example", "e.example"}
	if got := s.SenderDomains(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
