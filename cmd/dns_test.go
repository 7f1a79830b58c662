package cmd

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/records"
)

var updateDNS = flag.Bool("update-dns", false, "write the golden files of the dns commands anew")

// goldenDNS compares with a file of testdata/dns.
func goldenDNS(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", "dns", name)
	if *updateDNS {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run the test with -update-dns if that is right): %s", name, diff)
	}
}

// dnsFacts are of a server that sends mail of two domains and takes that of
// one.
func dnsFacts() records.Facts {
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 12) + "IDAQAB"
	return records.Facts{
		Hostname: "mail.example.com", Exchanger: "mail.example.com", Direct: true,
		Sources: []records.Source{{Addr: netip.MustParseAddr("203.0.113.7"), Name: "mail.example.com"}, {Addr: netip.MustParseAddr("2001:db8::7"), Name: "mail.example.com"}},
		Domains: []string{"example.com", "example.org"}, Receives: []string{"example.com"},
		Reports: appliance.Mailbox{Local: "postmaster", Domain: "example.com"},
		Published: []appliance.DNSRecord{
			{Name: "waxwing._domainkey.example.com", Type: "TXT", Value: long, Note: "the key that signs"},
			{Name: "waxwing._domainkey.example.org", Type: "TXT", Value: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
		},
		Served: []appliance.ServedCertificate{{Block: "tls.own", CertificateInfo: appliance.CertificateInfo{
			Names: []string{"mail.example.com"}, KeyHash: "0123abcd", KeyStays: true,
		}}},
	}
}

func TestRecordForms(t *testing.T) {
	list := records.List{Records: records.Wanted(dnsFacts()), Missing: []string{}}
	var zone, table, json bytes.Buffer
	for _, err := range []error{
		writeRecordZone(&zone, list.Records), writeRecordTable(&table, list.Records), writeJSON(&json, printedOf(list)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	goldenDNS(t, "zone.txt", zone.String())
	goldenDNS(t, "table.txt", table.String())
	goldenDNS(t, "json.txt", json.String())
}

// dnsFound has a difference of every kind.
func dnsFound() []records.Difference {
	all := records.Wanted(dnsFacts())
	var found []records.Difference
	of := func(title string, d records.Difference) {
		i := slices.IndexFunc(all, func(r records.Record) bool { return r.Title() == title })
		d.Record, d.Zone = all[i], "example.com"
		if d.State != records.Equal && d.Want == "" {
			d.Want = d.Value
		}
		found = append(found, d)
	}
	two := func(a, b records.State) []records.Server {
		return []records.Server{{Name: "ns1.example.com", State: a}, {Name: "ns2.example.com", State: b}}
	}
	of("address of mail.example.com", records.Difference{State: records.Equal, There: []string{"203.0.113.7"}, Servers: two(records.Equal, records.Equal)})
	of("PTR of 203.0.113.7", records.Difference{State: records.Other, There: []string{"static.provider.example."},
		Text: "The address 203.0.113.7 is called static.provider.example, but receivers are told mail.example.com.", Servers: two(records.Other, records.Other)})
	of("TLSRPT of example.com", records.Difference{State: records.Missing, Text: "There is no TXT record at _smtp._tls.example.com.", Servers: two(records.Missing, records.Unknown)})
	of("SPF of example.org", records.Difference{State: records.Other, There: []string{"v=spf1 mx -all"}, Want: "v=spf1 ip4:203.0.113.7 ip6:2001:db8::7 mx -all",
		Text: "The SPF record does not let all of our mail pass: it lacks ip4:203.0.113.7, ip6:2001:db8::7.", Servers: two(records.Other, records.Other)})
	late := two(records.Equal, records.Missing)
	late[0].There = []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
	of("DKIM of example.org", records.Difference{State: records.Disagree, At: "k1.provider.example", Text: "The name servers of example.com do not say the same.", Servers: late})
	of("DMARC of example.org", records.Difference{State: records.Unknown, Text: "No name server of example.com has given an answer that can be used: ns1.example.com (i/o timeout).", Servers: two(records.Unknown, records.Unknown)})
	return found
}

func TestWriteComparison(t *testing.T) {
	var b bytes.Buffer
	if err := writeComparison(&b, dnsFound(), 80); err != nil {
		t.Fatal(err)
	}
	goldenDNS(t, "check.txt", b.String())
}

// TestCheckStatus: what is good to have costs nothing, what is needed does.
func TestCheckStatus(t *testing.T) {
	all := dnsFound()
	for _, tt := range []struct {
		found []records.Difference
		json  bool
		fails bool
	}{{all[:1], false, false}, {all[2:3], false, false}, {all, false, true}, {all, true, true}, {nil, false, false}} {
		var out bytes.Buffer
		p := &program{out: &out, err: &out, json: tt.json}
		err := p.showComparison(records.Comparison{Found: tt.found, Missing: []string{"Something is not known."}})
		e, failed := errors.AsType[*exitError](err)
		if failed != tt.fails || failed && e.status != exitFailed || !strings.Contains(out.String(), "Something is not known.") {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

func TestWritePlan(t *testing.T) {
	plan := records.Publication{Through: "dns.zone", Changes: records.Plan(dnsFound())}
	var b bytes.Buffer
	err := writePlan(&b, plan, 80)
	b.WriteString("----\n")
	if err = errors.Join(err, writePlan(&b, records.Publication{}, 80)); err != nil {
		t.Fatal(err)
	}
	goldenDNS(t, "plan.txt", b.String())
}

func TestConfirmWithoutTerminal(t *testing.T) {
	p := &program{in: strings.NewReader("y\n"), err: new(bytes.Buffer)}
	if e, ok := errors.AsType[*exitError](p.confirm("?")); !ok || e.status != exitUsage {
		t.Errorf("%v", e)
	}
}

// TestWrote: what is looked at afterwards is what was written.
func TestWrote(t *testing.T) {
	found := dnsFound()
	plan := records.Plan(found)
	for i := range plan {
		plan[i].Error = map[bool]string{true: "no"}[i == 0]
	}
	var names []string
	for i := range found {
		if wrote(plan, &found[i]) {
			names = append(names, found[i].Title())
		}
	}
	if want := []string{"TLSRPT of example.com", "SPF of example.org"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}
