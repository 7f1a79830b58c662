package records_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/appliance/config"
	"github.com/waxwing-mail/waxwing/appliance/records"
	"github.com/waxwing-mail/waxwing/modules/signer/dkim"
	_ "github.com/waxwing-mail/waxwing/modules/standard"
)

const knotConfig = `
hostname = "mail.example.test"
data_dir = %q
deliverability {
  addresses = ["203.0.113.7"]
  reports   = "dmarc@example.test"
}
dns "rfc2136" "zone" {
  server   = %q
  key_name = %q
  key      = %q
}
auth "static" "apps" { user "app" { password = "secret" } }
listener "submission" "public" {}
signer "dkim" "own" {
  key "s1" {
    domain = "example.test"
    file   = %q
  }
}
relay "mx" "internet" {}
pipeline "outgoing" {
  listeners = [listener.public]
  auth      = [auth.apps]
  signers   = [signer.own]
  relay     = relay.internet
}
`

// deskAt is a desk for a configuration that publishes at the server.
func deskAt(t *testing.T, s *dnstest.Server, use func(*records.Desk)) {
	t.Helper()
	dir := t.TempDir()
	key, err := dkim.Generate(dkim.RSA4096)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "s1.private")
	if err := os.WriteFile(file, key.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.Load("mail.hcl", fmt.Appendf(nil, knotConfig, dir, s.Addr, s.KeyName, s.Key, file), config.Options{Registry: appliance.Builtin}, nil)
	if err != nil {
		t.Fatal(err)
	}
	house := appliance.New(f.Graph, appliance.Options{})
	if err := house.Inspect(func() { use(&records.Desk{Graph: f.Graph, Resolver: s.Authority()}) }); err != nil {
		t.Fatal(err)
	}
}

// states are how the records stand, in short.
func states(c records.Comparison) map[string]string {
	all := make(map[string]string)
	for _, d := range c.Found {
		all[d.Title()] = string(d.State)
	}
	return all
}

// TestPublishAtKnot: at a real name server, what is missing is written and the
// SPF record extended; a long key comes back as one; nothing else is touched.
func TestPublishAtKnot(t *testing.T) {
	s := dnstest.Knot(t, dnstest.Zone{Name: dnstest.DefaultZone, Records: strings.Join([]string{
		`@ MX 10 mx`, `mx A 192.0.2.25`, `@ TXT "site-verification=1"`, `@ TXT "v=spf1 mx -all"`, `mail TXT "kept"`,
	}, "\n")})
	deskAt(t, s, func(d *records.Desk) {
		before, err := d.Check(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"address of mail.example.test": "missing", "PTR of 203.0.113.7": "missing", "SPF of mail.example.test": "missing",
			"MX of example.test": "ok", "SPF of example.test": "other", "DKIM of example.test": "missing", "DMARC of example.test": "missing",
		}
		if diff := gocmp.Diff(want, states(before)); diff != "" {
			t.Fatal(diff)
		}
		plan, err := d.Plan(t.Context(), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		done, err := d.Publish(t.Context(), nil, "", plan.Changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range done.Changes {
			if c.Error != "" || (c.Action == records.ActionLeave) != (c.Type == "PTR") {
				t.Errorf("%+v", c)
			}
		}
		after, err := d.Check(t.Context(), nil)
		for title := range want {
			want[title] = cmp.Or(map[string]string{"PTR of 203.0.113.7": "missing"}[title], "ok")
		}
		if diff := gocmp.Diff(want, states(after)); diff != "" || err != nil {
			t.Error(diff, err)
		}
		again, err := d.Plan(t.Context(), nil, "dns.zone")
		if err != nil || len(records.Writes(again.Changes)) != 0 {
			t.Errorf("%+v, %v", again, err)
		}
	})
	for name, want := range map[string][]string{
		"example.test.":      {"site-verification=1", "v=spf1 ip4:203.0.113.7 mx -all"},
		"mail.example.test.": {"kept", "v=spf1 ip4:203.0.113.7 -all"},
	} {
		if got := slices.Sorted(slices.Values(s.TXT(t, name))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestPublishRefused: a server that refuses says why, and each record is on its
// own.
func TestPublishRefused(t *testing.T) {
	s := dnstest.Knot(t)
	s.KeyName, s.Key = s.SmallKeyName, s.SmallKey
	deskAt(t, s, func(d *records.Desk) {
		plan, err := d.Plan(t.Context(), []string{"example.test"}, "")
		if err != nil {
			t.Fatal(err)
		}
		done, err := d.Publish(t.Context(), []string{"example.test"}, "", plan.Changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range records.Writes(done.Changes) {
			if !strings.Contains(c.Error, "no rule that lets this key make the change") {
				t.Errorf("%+v", c)
			}
		}
	})
}
