package records

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (run the test with -update if that is right): %s", name, diff)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func box(s string) appliance.Mailbox {
	m, err := appliance.ParseMailbox(s)
	if err != nil {
		panic(err)
	}
	return m
}

const testKey = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

// sending is a server that delivers mail of two domains.
func sending() Facts {
	return Facts{
		Hostname: "mail.example.com", Exchanger: "mail.example.com", Direct: true,
		Sources: []Source{{ip("203.0.113.7"), "mail.example.com"}, {ip("203.0.113.8"), "mail2.example.com"}, {ip("2001:db8::7"), "mail.example.com"}},
		Domains: []string{"example.com", "example.org"},
		Reports: box("postmaster@example.com"),
		Published: []appliance.DNSRecord{
			{Name: "waxwing._domainkey.example.com", Type: "TXT", Value: testKey, Note: "the key that signs"},
			{Name: "waxwing._domainkey.example.org", Type: "TXT", Value: testKey},
		},
	}
}

func TestWanted(t *testing.T) {
	handing := Facts{
		Hostname: "mail.example.com", Domains: []string{"example.com", "news.example.com"}, Includes: []string{"sendgrid.net", "_spf.example.net"},
	}
	vague := Facts{Hostname: "mail.example.com", Domains: []string{"example.com"}, Vague: true, Direct: true}
	receiving := sending()
	receiving.Sources = receiving.Sources[:1]
	receiving.Domains, receiving.Receives = []string{"example.com", "mail.example.com"}, []string{"example.com"}
	receiving.Served = []appliance.ServedCertificate{{Block: "tls.own", Type: "acme", CertificateInfo: appliance.CertificateInfo{
		Names: []string{"mail.example.com"}, KeyHash: "abcd", KeyStays: true,
	}}}
	for name, f := range map[string]Facts{"sending": sending(), "handing": handing, "vague": vague, "receiving": receiving, "nothing": {}} {
		b, err := json.MarshalIndent(Wanted(f), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "wanted-"+name+".json", append(b, '\n'))
	}
}

func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.7":        "7.113.0.203.in-addr.arpa",
		"::ffff:203.0.113.7": "7.113.0.203.in-addr.arpa",
		"2001:db8::7":        "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := ReverseName(ip(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

func TestSelect(t *testing.T) {
	all := Wanted(sending())
	if diff := cmp.Diff([]string{"mail.example.com", "mail2.example.com", "example.com", "example.org"}, Domains(all)); diff != "" {
		t.Error(diff)
	}
	chosen, unknown := Select(all, []string{"example.org", "example.net"})
	if diff := cmp.Diff([]string{"example.org"}, Domains(chosen)); diff != "" || len(unknown) != 1 || unknown[0] != "example.net" {
		t.Errorf("%v %s", unknown, diff)
	}
	if got, _ := Select(all, nil); len(got) != len(all) {
		t.Errorf("%d of %d", len(got), len(all))
	}
}
