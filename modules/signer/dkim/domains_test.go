package dkim

import (
	"slices"
	"testing"
)

func TestSenderDomains(t *testing.T) {
	d := configured(func(d *DKIM) { d.Domains = []string{"b.example", "a.example"} })
	if _, err := provision(d, nil); err != nil {
		t.Fatal(err)
	}
	if got := d.SenderDomains(); !slices.Equal(got, []string{"b.example", "a.example"}) {
		t.Errorf("%v", got)
	}
}
