package dkim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

// TestExplain: which domain signs, with which selectors, and who is not ours.
func TestExplain(t *testing.T) {
	d := &DKIM{Domains: []string{"example.com"}, Subdomains: true, Selector: "s", Algorithms: []string{RSA2048, Ed25519}, Expire: 14 * 24 * time.Hour}
	var err error
	if d.plan, err = d.makePlan(); err != nil {
		t.Fatal(err)
	}
	want := []appliance.Answer{
		{Topic: "signed", Text: "d=example.com s=s or its successor, rsa2048 key of the store", Attr: "selector"},
		{Topic: "signed", Text: "d=example.com s=s-ed25519 or its successor, ed25519 key of the store", Attr: "selector"},
		{Topic: "signed", Text: "the signature is good for 14d", Attr: "expire"},
	}
	from := func(domain string) []appliance.Answer {
		return d.Explain(t.Context(), appliance.Question{From: appliance.Mailbox{Local: "a", Domain: domain}})
	}
	if diff := cmp.Diff(want, from("news.example.com")); diff != "" {
		t.Error(diff)
	}
	if got := from("example.org"); got != nil {
		t.Errorf("not ours: %+v", got)
	}
	d.KeyDir = "/keys"
	if got := from("example.com"); got[0].Attr != "key_dir" || got[0].Text != "d=example.com s=s, a key in /keys" {
		t.Errorf("key_dir: %+v", got)
	}
}
