package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
)

const publishConfig = `
hostname = "mail.example.test"
data_dir = %q
deliverability { addresses = ["203.0.113.7"] }
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

// A publisher runs commands about a zone of a real name server.
type publisher struct {
	server *dnstest.Server
	file   string
	out    bytes.Buffer
}

func newPublisher(t *testing.T, keyName, key func(*dnstest.Server) string) *publisher {
	t.Helper()
	s := dnstest.Knot(t, dnstest.Zone{Name: dnstest.DefaultZone, Records: strings.Join([]string{
		`@ MX 10 mx`, `mx A 192.0.2.25`, `@ TXT "site-verification=1"`, `@ TXT "v=spf1 mx -all"`,
	}, "\n")})
	p := &publisher{server: s, file: filepath.Join(t.TempDir(), "mail.hcl")}
	dir := filepath.Dir(p.file)
	if status := p.run(t, "dkim", "generate", "--domain", "example.test", "--selector", "s1", "--out", dir+"/s1.private"); status != exitOK {
		t.Fatal(p.out.String())
	}
	text := fmt.Sprintf(publishConfig, dir, s.Addr, keyName(s), key(s), dir+"/s1.private")
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a command and keeps what it says.
func (p *publisher) run(t *testing.T, args ...string) int {
	t.Helper()
	p.out.Reset()
	prog := &program{in: strings.NewReader(""), out: &p.out, err: &p.out, registry: appliance.Builtin, resolver: p.server.Authority()}
	root := prog.root()
	root.SetArgs(append(args, "--config", p.file))
	root.SetOut(&p.out)
	root.SetErr(&p.out)
	return prog.report(root.ExecuteContext(t.Context()))
}

// says checks the status of a command, and what it says.
func (p *publisher) says(t *testing.T, status int, want []string, args ...string) {
	t.Helper()
	got := p.run(t, args...)
	for _, w := range want {
		if !strings.Contains(p.out.String(), w) {
			t.Errorf("%v does not say %q:\n%s", args, w, p.out.String())
		}
	}
	if got != status {
		t.Errorf("%v: status %d, want %d:\n%s", args, got, status, p.out.String())
	}
}

// TestDNSPublish: from a zone in which much is missing to one in which nothing
// is, but what only others can write.
func TestDNSPublish(t *testing.T) {
	p := newPublisher(t, func(s *dnstest.Server) string { return s.KeyName }, func(s *dnstest.Server) string { return s.Key })
	p.says(t, exitFailed, []string{"missing   TXT _dmarc.example.test", "other     TXT example.test", "- v=spf1 mx -all\n", "asked: ns1.example.test"}, "dns", "check")
	p.says(t, exitUsage, []string{"+ DKIM of example.test", "~ SPF of example.test", "! PTR of 203.0.113.7", "no terminal to ask on: write --yes"}, "dns", "publish")
	p.says(t, exitOK, []string{"+ DMARC of example.test"}, "dns", "publish", "--dry-run")
	if got := p.server.TXT(t, "_dmarc.example.test"); len(got) != 0 {
		t.Fatalf("a plan was carried out: %q", got)
	}
	p.says(t, exitOK, []string{"DKIM of example.test was written", "SPF of example.test was written", "ok        TXT s1._domainkey.example.test", "5 records, 5 as wanted"}, "dns", "publish", "--yes")
	p.says(t, exitOK, []string{"4 records, 4 as wanted"}, "dns", "check", "example.test")
	p.says(t, exitOK, []string{`"action": "leave"`, `"name": "7.113.0.203.in-addr.arpa"`}, "dns", "publish", "--yes", "--json")
	p.says(t, exitOK, []string{"there is nothing to do"}, "dns", "publish", "--yes", "example.test")
	got := slices.Sorted(slices.Values(p.server.TXT(t, "example.test")))
	if want := []string{"site-verification=1", "v=spf1 ip4:203.0.113.7 mx -all"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestDNSPublishRefused: what the server refuses is named, record by record.
func TestDNSPublishRefused(t *testing.T) {
	p := newPublisher(t, func(s *dnstest.Server) string { return s.SmallKeyName }, func(s *dnstest.Server) string { return s.SmallKey })
	p.says(t, exitFailed, []string{"DMARC of example.test was not written: ", "no rule that lets this key make the change"}, "dns", "publish", "--yes", "--wait", "0s", "example.test")
}
