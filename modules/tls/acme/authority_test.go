package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
)

const eabKey = "bWFya2VyLW9mLXRoZS1lYWItc2VjcmV0LTEyMzQ1Njc4OTA"

// TestTwoAuthorities: when the first refuses, the second issues; when both do,
// the status says what each has said.
func TestTwoAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	_, tlsPort, _ := net.SplitHostPort(w.ca.TLSAddress())
	var port int
	fmt.Sscan(tlsPort, &port)
	second := acmetest.Start(t, acmetest.Options{TLSPort: port})
	w.ca.Inject(acmetest.Fail(acmetest.NewOrder, &acmetest.Problem{Type: "caa", Detail: "not today", Status: 403}))
	second.Inject(acmetest.Fail(acmetest.NewOrder, &acmetest.Problem{Type: "rejectedIdentifier", Detail: "nor here", Status: 400}))
	a := w.start(w.instance(only(tlsALPN01), func(a *ACME) {
		a.Issuers = append(a.Issuers, Issuer{Label: "other", Directory: second.Directory(), RootFile: second.RootFile()})
	}))
	eventually(t, "an error", func() bool { return info(t, a, w.host).Error != "" })
	problem := info(t, a, w.host).Error
	for _, want := range []string{"test: a CAA record", "not today", "other: the authority does not certify " + w.host, "nor here"} {
		if !strings.Contains(problem, want) {
			t.Errorf("%q is not in %q", want, problem)
		}
	}
	second.Inject(nil)
	w.ready(a, w.host)
	if i := info(t, a, w.host); i.Source != "other" {
		t.Errorf("%+v", i)
	}
}

// TestExternalAccount: an authority that wants one gets one, and without it the
// error says what to write.
func TestExternalAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{EAB: map[string]string{"kid-1": eabKey}})
	a := w.start(w.instance())
	eventually(t, "an error", func() bool { return strings.Contains(info(t, a, w.host).Error, "eab_key_id") })
	a.Stop(context.Background())
	b := w.start(w.instance(func(b *ACME) {
		b.Issuers[0].EABKeyID, b.Issuers[0].EABKey = "kid-1", appliance.NewSecret(eabKey+"==")
	}))
	w.ready(b, w.host)
}

// TestP19Secrets: no key of any kind is in a log line of any level, nor in
// what people are shown.
func TestP19Secrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{EAB: map[string]string{"kid-1": eabKey}})
	a := w.start(w.instance(func(a *ACME) {
		a.Issuers[0].EABKeyID, a.Issuers[0].EABKey = "kid-1", appliance.NewSecret(eabKey)
	}))
	w.ready(a, w.host)
	shown, err := json.Marshal(a.Certificates())
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	all.Write(shown)
	for _, e := range w.logs.All() {
		fmt.Fprintf(&all, "%s %v\n", e.Message, e.ContextMap())
	}
	secrets := []string{eabKey}
	keys, err := w.values.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		value, err := w.values.Get(t.Context(), k.Key)
		if err != nil {
			t.Fatal(err)
		}
		_, pem, found := strings.Cut(string(value), "PRIVATE KEY-----\n")
		if found {
			secrets = append(secrets, strings.Split(pem, "\n")[0])
		}
	}
	if len(secrets) != 3 {
		t.Fatalf("%d secrets among %v", len(secrets), keys)
	}
	for _, s := range secrets {
		if len(s) < 20 || strings.Contains(all.String(), s) {
			t.Errorf("secret %.10s… is in the log", s)
		}
	}
}

// fakeZone is a DNS provider whose zone is the test authority's.
type fakeZone struct {
	ca   *acmetest.Server
	mu   sync.Mutex
	fail error
	seen []string
}

func (*fakeZone) Provision(*appliance.Context) error { return nil }

func (z *fakeZone) AppendRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, r := range records {
		name := libdns.AbsoluteName(r.RR().Name, zone)
		z.seen = append(z.seen, name)
		z.ca.SetTXT(name, r.RR().Data)
	}
	return records, z.fail
}

func (z *fakeZone) DeleteRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, r := range records {
		z.seen = append(z.seen, "-"+libdns.AbsoluteName(r.RR().Name, zone))
		z.ca.SetTXT(libdns.AbsoluteName(r.RR().Name, zone))
	}
	return records, nil
}

func (z *fakeZone) names() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return strings.Join(z.seen, " ")
}

func (w *world) withZone(z *fakeZone) func(*ACME) {
	return func(a *ACME) {
		a.DNS = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, z)
		a.Resolvers = []string{w.ca.Resolver()}
		a.PropagationTimeout = 0
	}
}

// TestDNS01Wildcard: a wildcard name needs no port, and leaves no record behind.
func TestDNS01Wildcard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	z := &fakeZone{ca: w.ca}
	a := w.start(w.instance(w.withZone(z), func(a *ACME) {
		a.Names = []string{"*.example.com"}
		a.PropagationTimeout = 10 * time.Second
	}))
	w.ready(a, "*.example.com")
	if _, err := w.handshake(a.ServerConfig(appliance.TLSUse{}), "imap.example.com"); err != nil {
		t.Error(err)
	}
	if got := z.names(); got != "_acme-challenge.example.com. -_acme-challenge.example.com." {
		t.Errorf("records: %s", got)
	}
}

// TestDNS01Fails: what the provider says is in the status.
func TestDNS01Fails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	z := &fakeZone{ca: w.ca, fail: errors.New("TSIG refused")}
	a := w.start(w.instance(w.withZone(z)))
	eventually(t, "an error", func() bool { return info(t, a, w.host).Error != "" })
	if got := info(t, a, w.host).Error; got != "dns.zone could not change the zone: TSIG refused" {
		t.Errorf("error %q", got)
	}
}

// TestDNS01Delegated: the record is made where the CNAME leads to.
func TestDNS01Delegated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acmetest.Options{})
	z := &fakeZone{ca: w.ca, fail: errors.New("seen enough")}
	w.start(w.instance(w.withZone(z), func(a *ACME) { a.OverrideDomain = "_mx.dyn.example.net." }))
	eventually(t, "a record", func() bool { return strings.HasPrefix(z.names(), "_mx.dyn.example.net.") })
}
