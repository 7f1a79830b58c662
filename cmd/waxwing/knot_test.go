package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// knot is a running Knot DNS server, which is the primary of example.com and
// takes signed updates of the records that dns-01 needs.
type knot struct {
	address string
	secret  string // of the key acme.
}

const knotConfiguration = `
server:
    listen: %s@%s
    rundir: %q
log:
  - target: stderr
    any: info
database:
    storage: %q
key:
  - id: acme.
    algorithm: hmac-sha256
    secret: %s
acl:
  - id: acme
    key: acme.
    action: update
    update-type: TXT
    update-owner: name
    update-owner-match: equal
    update-owner-name: [_acme-challenge.mail]
zone:
  - domain: example.com
    storage: %q
    file: example.com.zone
    acl: acme
`

const knotZone = `$ORIGIN example.com.
$TTL 0
@    SOA ns hostmaster 1 3600 600 86400 0
@    NS  ns
ns   A   127.0.0.1
mail A   127.0.0.1
`

func startKnot(t *testing.T) *knot {
	t.Helper()
	program, dir := need(t, "knotd"), t.TempDir()
	k := &knot{address: freeAddress(t), secret: "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ="}
	config := filepath.Join(dir, "knot.conf")
	text := fmt.Sprintf(knotConfiguration, host(k.address), port(k.address), dir, dir, k.secret, dir)
	for file, content := range map[string]string{config: text, filepath.Join(dir, "example.com.zone"): knotZone} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log lockedBuffer
	cmd := exec.Command(program, "-c", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of knotd:\n%s", log.String())
		}
	})
	until(t, 20*time.Second, "knotd answers for its zone", func() bool {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), k.address)
		return err == nil && len(reply.Answer) == 1
	})
	return k
}

// challenges are the records of dns-01 that are in the zone.
func (k *knot) challenges(t *testing.T) []string {
	t.Helper()
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion("_acme-challenge.mail.example.com.", dns.TypeTXT), k.address)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, rr := range reply.Answer {
		values = append(values, strings.Join(rr.(*dns.TXT).Txt, ""))
	}
	return values
}
