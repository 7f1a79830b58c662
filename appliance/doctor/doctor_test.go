package doctor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A finding is a way in which something is wrong: a zone, a machine or a peer
// that causes it, and the words that are about it, in testdata/NAME.txt.
type findingTest struct {
	name   string
	words  string // what is looked at
	zone   string // lines that take the place of those of wellZone with the same name
	ns2    string // the same, of a name server that says something else
	change func(w *world)
}

var findingTests = []findingTest{
	{name: "well"},
	{name: "offline", change: func(w *world) {
		w.Offline = true
		w.Modules = []Group{{Name: "tls.own", Examinations: []appliance.Examination{{Name: "authority", Run: func(context.Context) []appliance.Finding {
			return []appliance.Finding{fail("authority", "somebody was asked", "ask nobody")}
		}}}}}
	}},
	{name: "capture", change: func(w *world) { w.Settings.Mode = appliance.ModeCapture }},

	{name: "server-sick", words: "server", change: func(w *world) {
		w.Healthy = func() error { return errors.New("store.main: the disk has failed\nsigner.dkim: no key") }
	}},
	{name: "server-not-running", words: "server", change: func(w *world) { w.Healthy = nil }},
	{name: "disk-full", words: "disk", change: func(w *world) { w.Free = func(string) (uint64, error) { return 100 << 20, nil } }},
	{name: "disk-nearly-full", words: "disk", change: func(w *world) { w.Free = func(string) (uint64, error) { return 300 << 20, nil } }},
	{name: "disk-unknown", words: "disk", change: func(w *world) {
		w.Free = func(string) (uint64, error) { return 0, errors.New("no such file or directory") }
	}},
	{name: "few-descriptors", words: "descriptors", change: func(w *world) { w.Descriptors = func() (uint64, error) { return 1024, nil } }},
	{name: "clock-ahead", words: "clock", change: func(w *world) {
		w.outward = outward{timed: "https://echo.test/", clock: 5 * time.Minute}
		w.once.Do(func() {})
	}},
	{name: "clock-behind", words: "clock", change: func(w *world) {
		w.outward = outward{timed: "https://echo.test/", clock: -3 * time.Hour}
		w.once.Do(func() {})
	}},
	{name: "clock-well", words: "clock", change: func(w *world) {
		w.outward = outward{timed: "https://echo.test/", clock: time.Second}
		w.once.Do(func() {})
	}},
	{name: "clock-nobody-answers", words: "clock", change: func(w *world) {
		w.Settings.Deliverability.Echo = []string{"https://echo.test/"}
		w.once.Do(func() {})
	}},
	{name: "resolver-silent", words: "resolver", zone: `arpa. TXT "SERVFAIL"`},
	{name: "resolver-of-the-file-silent", words: "resolver", zone: `arpa. TXT "SERVFAIL"`, change: func(w *world) {
		w.Settings.Resolver = appliance.DNSServers{"10.0.0.53"}
	}},
	{name: "resolver-public-no-tcp", words: "resolver", change: func(w *world) {
		w.Servers = []netip.AddrPort{netip.MustParseAddrPort("8.8.8.8:53"), netip.MustParseAddrPort("[2606:4700:4700::1111]:53")}
	}},
	{name: "dnssec-wanted", words: "resolver", change: func(w *world) { w.Settings.DNSSEC = true }},

	{name: "addresses-unknown", words: "public", change: func(w *world) { w.Settings.Deliverability.Addresses = nil }},
	{name: "addresses-of-machine", words: "public", change: func(w *world) {
		w.Settings.Deliverability.Addresses = nil
		w.Local = func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("fe80::1")}, nil
		}
	}},
	{name: "addresses-of-one-family", words: "public", change: func(w *world) {
		w.Settings.Deliverability.Addresses = nil
		w.Relays[0].Families = []string{"ip4"}
		w.Local = func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5")}, nil
		}
	}},
	{name: "addresses-of-relay", words: "public", change: func(w *world) {
		w.Settings.Deliverability.Addresses = nil
		w.Relays[0].Addresses = []netip.Addr{netip.MustParseAddr("203.0.113.77")}
	}},
	{name: "port25-blocked", words: "25", zone: "mx.gmail.com. A 198.51.100.11\nmx.outlook.com. A 198.51.100.12"},
	{name: "port25-one-silent", words: "25", zone: "mx.gmail.com. A 198.51.100.11"},
	{name: "port25-unwelcome", words: "25", change: func(w *world) {
		w.peers.scripts["198.51.100.1:25"] = "554 5.7.1 203.0.113.5 has no PTR record"
	}},
	{name: "port25-no-dns", words: "25", zone: "gmail.com. TXT \"SERVFAIL\"\noutlook.com. TXT \"SERVFAIL\""},
	{name: "smarthost-well", words: "smarthost", change: throughSmarthost("220 smtp.example.net ready\n250-smtp.example.net|250-STARTTLS|250 SIZE")},
	{name: "smarthost-plain", words: "smarthost", change: throughSmarthost("220 smtp.example.net ready\n250-smtp.example.net|250 SIZE")},
	{name: "smarthost-refuses", words: "smarthost", change: throughSmarthost("554 go away")},
	{name: "smarthost-refuses-name", words: "smarthost", change: throughSmarthost("220 smtp.example.net ready\n501 5.5.4 Invalid domain name")},
	{name: "smarthost-unreachable", words: "smarthost", change: throughSmarthost("")},
	{name: "smarthost-all", change: throughSmarthost("220 smtp.example.net ready\n250-smtp.example.net|250-STARTTLS|250 SIZE")},

	{name: "hostname-local", words: "host", change: func(w *world) { w.Settings.Hostname = "localhost" }},
	{name: "hostname-without-address", words: "host", zone: "mail.example.com. TXT \"no address\""},
	{name: "hostname-other-address", words: "host", zone: "mail.example.com. A 203.0.113.6"},
	{name: "hostname-no-dns", words: "host", zone: `mail.example.com. TXT "SERVFAIL"`},
	{name: "ptr-none", words: "ptr", zone: `5.113.0.203.in-addr.arpa. TXT "no name"`},
	{name: "ptr-no-dns", words: "ptr", zone: `5.113.0.203.in-addr.arpa. TXT "SERVFAIL"`},
	{name: "ptr-lies", words: "ptr", zone: "5.113.0.203.in-addr.arpa. PTR customer-5.provider.test.\ncustomer-5.provider.test. A 203.0.113.200"},
	{name: "ptr-lies-and-no-address", words: "ptr", zone: "5.113.0.203.in-addr.arpa. PTR customer-5.provider.test.\ncustomer-5.provider.test. A 203.0.113.200\nmail.example.com. A 203.0.113.6"},
	{name: "ptr-other", words: "ptr", zone: "5.113.0.203.in-addr.arpa. PTR customer-5.provider.test.\ncustomer-5.provider.test. A 203.0.113.5"},
	{name: "ptr-several", words: "ptr", zone: "5.113.0.203.in-addr.arpa. PTR www.example.com.\n5.113.0.203.in-addr.arpa. PTR mail.example.com."},
	{name: "ptr-ipv6", words: "ptr", change: func(w *world) {
		w.Settings.Deliverability.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::5")}
	}},

	{name: "certificate-to-come", words: "certificate", change: func(w *world) {
		w.Certificates = []appliance.ServedCertificate{{Block: "tls.own", Type: "acme", CertificateInfo: appliance.CertificateInfo{
			Names: []string{"mail.example.com"}, State: appliance.CertificatePending, Error: "port 80 is closed"}}}
	}},
	{name: "mx-none", words: "mx", zone: `example.com. TXT "nothing else"`},
	{name: "mx-implicit", words: "mx", zone: "example.com. A 203.0.113.80"},
	{name: "mx-null", words: "mx", zone: "example.com. MX 0 ."},
	{name: "mx-address", words: "mx", zone: "example.com. MX 10 203.0.113.9."},
	{name: "mx-alias", words: "mx", zone: "example.com. MX 10 www.example.com.\nwww.example.com. CNAME mx.example.com."},
	{name: "mx-without-address", words: "mx", zone: "example.com. MX 10 mx.example.com.\nmx.example.com. TXT \"gone\""},
	{name: "mx-private", words: "mx", zone: "mx.example.com. A 192.168.1.9"},
	{name: "mx-one-bad", words: "mx", zone: "example.com. MX 10 mx.example.com.\nexample.com. MX 20 old.example.com."},
	{name: "mx-no-dns", words: "mx", zone: `example.com. TXT "SERVFAIL"`},

	{name: "dkim-none", words: "dkim", zone: `sel._domainkey.example.com. A 192.0.2.1`},
	{name: "dkim-other-key", words: "dkim", zone: `sel._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAAAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`},
	{name: "dkim-revoked", words: "dkim", zone: `sel._domainkey.example.com. TXT "v=DKIM1; p="`},
	{name: "dkim-testing", words: "dkim", zone: `sel._domainkey.example.com. TXT "` + ourKey + `; t=y"`},
	{name: "dkim-malformed", words: "dkim", zone: `sel._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=###"`},
	{name: "dkim-several", words: "dkim", zone: "sel._domainkey.example.com. TXT \"" + ourKey + "\"\nsel._domainkey.example.com. TXT \"" + ourKey + "; n=again\""},
	{name: "dkim-no-dns", words: "dkim", zone: `sel._domainkey.example.com. TXT "SERVFAIL"`},
	{name: "dkim-servers-disagree", words: "dkim", ns2: `sel._domainkey.example.com. A 192.0.2.1`},
	{name: "dkim-one-server-silent", words: "dkim", ns2: `sel._domainkey.example.com. TXT "SERVFAIL"`},
	{name: "dkim-no-signer", words: "dkim", change: func(w *world) { w.Records = nil }},

	{name: "spf-none", words: "spf", zone: "example.com. MX 10 mx.example.com."},
	{name: "spf-lacks-address", words: "spf", zone: `example.com. TXT "v=spf1 mx -all"`},
	{name: "spf-several", words: "spf", zone: "example.com. TXT \"v=spf1 ip4:203.0.113.5 -all\"\nexample.com. TXT \"v=spf1 mx -all\""},
	{name: "spf-servers-disagree", words: "spf", ns2: `example.com. TXT "v=spf1 -all"`},
	{name: "spf-no-dns", words: "spf", zone: `example.com. TXT "SERVFAIL"`},
	{name: "spf-fail", words: "spf", zone: `example.com. TXT "v=spf1 ip4:198.51.100.0/24 -all"`},
	{name: "spf-softfail", words: "spf", zone: `example.com. TXT "v=spf1 ip4:198.51.100.0/24 ~all"`},
	{name: "spf-neutral", words: "spf", zone: `example.com. TXT "v=spf1 ip4:198.51.100.0/24 ?all"`},
	{name: "spf-permerror", words: "spf", zone: `example.com. TXT "v=spf1 ipv4:203.0.113.5 -all"`},
	{name: "spf-include", words: "spf", zone: "example.com. TXT \"v=spf1 include:_spf.example.net mx -all\"\n_spf.example.net. TXT \"v=spf1 ip4:203.0.113.0/24 -all\""},
	{name: "spf-include-no-dns", words: "spf", zone: "example.com. TXT \"v=spf1 include:_spf.example.net -all\"\n_spf.example.net. TXT SERVFAIL"},
	{name: "spf-too-many-lookups", words: "spf", zone: manyLookups()},
	{name: "spf-of-host", words: "records", zone: "mail.example.com. A 203.0.113.5"},
	{name: "dmarc-none", words: "dmarc", zone: "_dmarc.example.com. A 192.0.2.1"},
	{name: "dmarc-several", words: "dmarc", zone: "_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n_dmarc.example.com. TXT \"v=DMARC1; p=reject\""},
	{name: "dmarc-malformed", words: "dmarc", zone: `_dmarc.example.com. TXT "v=DMARC1; p=perhaps"`},
	{name: "dmarc-ignored-part", words: "dmarc", zone: `_dmarc.example.com. TXT "v=DMARC1; p=quarantine; adkim=x"`},
	{name: "dmarc-reports-elsewhere", words: "dmarc", zone: `_dmarc.example.com. TXT "v=DMARC1; p=none; rua=mailto:reports@example.net"`},
	{name: "dmarc-of-the-domain-above", words: "dmarc", zone: "_dmarc.example.com. TXT \"v=DMARC1; p=reject; sp=quarantine\"\nnews.example.com. MX 10 mx.example.com.", change: func(w *world) {
		w.Domains = []string{"news.example.com"}
	}},
	{name: "dmarc-not-aligned", words: "dmarc", change: func(w *world) { w.Records[0].Name = "sel._domainkey.example.net" }},
	{name: "bimi", words: "bimi", zone: `default._bimi.example.com. TXT "v=BIMI1; l=https://example.com/logo.svg"`},
	{name: "bimi-malformed", words: "bimi", zone: `default._bimi.example.com. TXT "v=BIMI1; l=http://example.com/logo.svg"`},
	{name: "bimi-without-policy", words: "bimi", zone: "default._bimi.example.com. TXT \"v=BIMI1; l=https://example.com/logo.svg\"\n_dmarc.example.com. TXT \"v=DMARC1; p=none\""},
	{name: "dmarc-no-dns", words: "dmarc", zone: `_dmarc.example.com. TXT "SERVFAIL"`},

	{name: "blocklists-none", words: "reputation", change: func(w *world) { w.Settings.Deliverability.Blocklists = []appliance.Secret{} }},
	{name: "blocklists-well", words: "blocklists", zone: listTests, change: lists},
	{name: "blocklists-listed", words: "reputation", zone: listTests + "5.113.0.203.zen.spamhaus.org. A 127.0.0.4\n" +
		"5.113.0.203.zen.spamhaus.org. TXT \"https://www.spamhaus.org/query/ip/203.0.113.5\"\n", change: lists},
	{name: "blocklists-refuse", words: "reputation", zone: listTests + "5.113.0.203.zen.spamhaus.org. A 127.255.255.254\n", change: lists},
	{name: "blocklists-no-dns", words: "reputation", zone: "5.113.0.203.zen.spamhaus.org. TXT \"SERVFAIL\"\n5.113.0.203.bl.spamcop.net. TXT \"SERVFAIL\"\n", change: lists},
	{name: "blocklists-ipv6", words: "reputation", zone: listTests + "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.spamhaus.org. A 127.0.0.3\n", change: func(w *world) {
		w.Settings.Deliverability.Blocklists = []appliance.Secret{appliance.NewSecret("zen.spamhaus.org")}
		w.Settings.Deliverability.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::5")}
	}},
	{name: "blocklists-domain", words: "example.com blocklists", zone: listTests + "example.com.dbl.spamhaus.org. A 127.0.1.2\n", change: lists},

	{name: "certificates", words: "certificates", change: func(w *world) {
		served := func(block, typ string, c appliance.CertificateInfo) {
			w.Certificates = append(w.Certificates, appliance.ServedCertificate{Block: block, Type: typ, CertificateInfo: c})
		}
		served("tls.own", "acme", appliance.CertificateInfo{Names: []string{"mail.example.com"}, State: appliance.CertificateValid, Issuer: "R10",
			NotBefore: testTime.Add(-24 * time.Hour), NotAfter: testTime.Add(89 * 24 * time.Hour)})
		served("tls.own", "acme", appliance.CertificateInfo{Names: []string{"smtp.example.com"}, State: appliance.CertificatePending, Error: "port 80 is closed"})
		served("tls.old", "files", appliance.CertificateInfo{Names: []string{"old.example.com"}, State: appliance.CertificateExpired,
			NotBefore: testTime.Add(-100 * 24 * time.Hour), NotAfter: testTime.Add(-24 * time.Hour)})
		served("tls.old", "files", appliance.CertificateInfo{Names: []string{"soon.example.com"}, State: appliance.CertificateValid,
			NotBefore: testTime.Add(-80 * 24 * time.Hour), NotAfter: testTime.Add(3 * 24 * time.Hour)})
		served("tls.self", "self_signed", appliance.CertificateInfo{Names: []string{"intern"}, State: appliance.CertificateSelfSigned})
	}},
	{name: "certificate-other-name", words: "certificate", change: func(w *world) {
		w.Certificates = []appliance.ServedCertificate{{Block: "tls.own", Type: "acme", CertificateInfo: appliance.CertificateInfo{
			Names: []string{"smtp.example.com"}, State: appliance.CertificateValid, Issuer: "R10",
			NotBefore: testTime.Add(-24 * time.Hour), NotAfter: testTime.Add(89 * 24 * time.Hour)}}}
	}},
}

// listTests are the entries that lists have to be tried with.
const listTests = `
2.0.0.127.zen.spamhaus.org. A 127.0.0.2
2.0.0.127.bl.spamcop.net. A 127.0.0.2
test.dbl.spamhaus.org. A 127.0.1.2
dbltest.com.dbl.spamhaus.org. A 127.0.1.2
`

// lists lets three lists be asked.
func lists(w *world) {
	w.Settings.Deliverability.Blocklists = []appliance.Secret{appliance.NewSecret("zen.spamhaus.org"), appliance.NewSecret("bl.spamcop.net"), appliance.NewSecret("dbl.spamhaus.org")}
}

// manyLookups is a record that passes at once, and has more behind that than
// receivers look up.
func manyLookups() string {
	record, hosts := "v=spf1 ip4:203.0.113.5", ""
	for i := range 12 {
		record += fmt.Sprintf(" a:h%d.example.com", i)
		hosts += fmt.Sprintf("h%d.example.com. A 198.51.100.%d\n", i, 100+i)
	}
	return fmt.Sprintf("example.com. TXT \"%s -all\"\n%s", record, hosts)
}

// throughSmarthost lets all mail go to a smarthost that talks as a script says.
func throughSmarthost(script string) func(*world) {
	return func(w *world) {
		w.Relays = []Relay{{Addr: "relay.provider", Outbound: appliance.Outbound{Via: "198.51.100.25", Servers: []string{"198.51.100.25:587"}}}}
		if script != "" {
			w.peers.scripts["198.51.100.25:587"] = script
		}
	}
}

// TestFindings: whatever is wrong is said as the golden files have it.
func TestFindings(t *testing.T) {
	for _, tt := range findingTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, r := serve(t, changed(wellZone, tt.zone))
			if tt.ns2 != "" {
				r.two = new(zone)
				r.two.load(t, changed(wellZone, tt.ns2))
			}
			w := newWorld(t, r)
			if tt.change != nil {
				tt.change(w)
			}
			groups, err := Select(w.Groups(), strings.Fields(tt.words))
			if err != nil {
				t.Fatal(err)
			}
			got := text(Run(t.Context(), groups))
			got = regexp.MustCompile(`127\.0\.0\.1:\d{4,}`).ReplaceAllString(got, "127.0.0.1:PORT")
			file := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// changed puts lines in the place of those of the same name.
func changed(zone, lines string) string {
	replaced := make(map[string]bool)
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) > 0 {
			replaced[f[0]] = true
		}
	}
	var kept []string
	for line := range strings.Lines(zone) {
		if f := strings.Fields(line); len(f) > 0 && !replaced[f[0]] {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "") + lines + "\n"
}
