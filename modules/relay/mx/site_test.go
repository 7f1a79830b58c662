package mx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/modules/internal/smtpconn"
)

// mxRecords is a resolver that knows MX records only.
type mxRecords map[string][]string

var errUnused = errors.New("not asked for in these tests")

func (r mxRecords) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	hosts, ok := r[strings.TrimSuffix(name, ".")]
	switch {
	case !ok:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case hosts == nil:
		return nil, &net.DNSError{Err: "SERVFAIL", Name: name, IsTemporary: true}
	}
	var all []*net.MX
	for i, h := range hosts {
		all = append(all, &net.MX{Host: h, Pref: uint16(10 * i)})
	}
	return all, nil
}

func (mxRecords) LookupAddr(context.Context, string) ([]string, error) { return nil, errUnused }
func (mxRecords) LookupTXT(context.Context, string) ([]string, error)  { return nil, errUnused }
func (mxRecords) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errUnused
}

func provisioned(t *testing.T, r appliance.Resolver, blocks ...Provider) *MX {
	t.Helper()
	m := New()
	m.Providers = blocks
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := m.Provision(&appliance.Context{Hostname: "mail.example.com", Resolver: r}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSite_RelayLimits: every site tells what the relay has over all of them.
func TestSite_RelayLimits(t *testing.T) {
	m := provisioned(t, mxRecords{"one.example": {"mx1.hoster.example."}})
	m.Connections, m.Rate = 50, appliance.Rate{Count: 20_000, Per: 24 * time.Hour}
	site, err := m.Site(t.Context(), "one.example")
	if want := (appliance.SiteLimits{Connections: 50, Rate: m.Rate}); err != nil || site.Relay != want || site.Limits.Connections != 0 {
		t.Errorf("%+v, %v", site, err)
	}
	if m.Connections = -1; m.Validate() == nil {
		t.Error("-1 connections are valid")
	}
}

// TestSite: which domains are on the same servers.
func TestSite(t *testing.T) {
	long := make([]string, 15)
	for i := range long {
		long[i] = fmt.Sprintf("a-long-name-of-a-mail-exchanger-%d.example.net.", i)
	}
	r := mxRecords{
		"one.example":    {"mx1.hoster.example.", "MX2.hoster.example."},
		"two.example":    {"mx2.hoster.example.", "mx1.hoster.example."},
		"other.example":  {"mx1.hoster.example."},
		"gmail.com":      {"gmail-smtp-in.l.google.com.", "alt1.gmail-smtp-in.l.google.com."},
		"shop.example":   {"aspmx.l.google.com.", "aspmx2.googlemail.com."},
		"mixed.example":  {"aspmx.l.google.com.", "mx.shop.example."},
		"firm.example":   {"firm-example.mail.protection.outlook.com."},
		"trap.example":   {"aspmx.l.google.com.trap.example."},
		"null.example":   {"."},
		"broken.example": nil,
		"long.example":   long,
	}
	m := provisioned(t, r, Provider{Label: "office365", Connections: 3, Rate: appliance.Rate{Count: 30, Per: time.Minute}},
		Provider{Label: "default", Connections: 7})
	for domain, want := range map[string]string{
		"one.example":   "mx1.hoster.example,mx2.hoster.example 7 ",
		"two.example":   "mx1.hoster.example,mx2.hoster.example 7 ",
		"other.example": "mx1.hoster.example 7 ",
		"gmail.com":     "google 5 ",
		"shop.example":  "google 5 ",
		"mixed.example": "aspmx.l.google.com,mx.shop.example 7 ",
		"firm.example":  "office365 3 30/1m",
		"trap.example":  "aspmx.l.google.com.trap.example 7 ",
		"null.example":  "null.example 7 ",
		"nomx.example":  "nomx.example 7 ",
		"[192.0.2.1]":   "[192.0.2.1] 7 ",
	} {
		s, err := m.Site(t.Context(), domain)
		if got := fmt.Sprint(s.Name, " ", s.Limits.Connections, " ", s.Limits.Rate); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", domain, got, err, want)
		}
	}
	if s, err := m.Site(t.Context(), "broken.example"); err == nil {
		t.Errorf("a domain that cannot be looked up is at %q", s.Name)
	}
	if s, err := m.Site(t.Context(), "long.example"); err != nil || len(s.Name) > maxSiteName || !strings.Contains(s.Name, ",+14-") {
		t.Errorf("many exchangers: %q, %v", s.Name, err)
	}
}

// TestProviders: the file that comes with Waxwing is in order, and each of its
// profiles is found.
func TestProviders(t *testing.T) {
	m := New()
	if err := m.openProviders(); err != nil {
		t.Fatal(err)
	}
	p := m.providers
	for host, want := range map[string]string{
		"alt1.gmail-smtp-in.l.google.com":           "google",
		"mta5.am0.yahoodns.net":                     "yahoo",
		"outlook-com.olc.protection.outlook.com":    "outlook",
		"firm-example.mail.protection.outlook.com":  "office365",
		"firm-example.o-v1.mx.microsoft":            "office365",
		"mx01.mail.icloud.com":                      "apple",
		"mx2h1.comcast.net":                         "comcast",
		"google.com.example.org":                    "",
		"notgoogle.com":                             "",
		"mail.protection.outlook.com.attacker.test": "",
	} {
		if got := p.of(host).Label; got != want {
			t.Errorf("%s is at %q, want %q", host, got, want)
		}
	}
	for _, b := range p.list {
		if err := b.check(); err != nil {
			t.Errorf("%s: %v", b.Label, err)
		}
		if b.Connections == 0 || b.MessagesPerConnection == 0 {
			t.Errorf("%s: no figures: %+v", b.Label, b)
		}
	}
}

// TestProviderBlocks: what a block changes, and what is refused.
func TestProviderBlocks(t *testing.T) {
	known, err := readProviders(providersText)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProviders([]Provider{
		{Label: "Google", Connections: 20, TLS: "opportunistic"},
		{Label: "mine", MX: []string{"MX.google.com.", "mx.example.net"}, Rate: appliance.Rate{Count: 1, Per: time.Second}},
	}, slices.Clone(known))
	if err != nil {
		t.Fatal(err)
	}
	if g := p.of("aspmx.l.google.com"); g.Connections != 20 || g.MessagesPerConnection != 50 || g.TLS != "opportunistic" {
		t.Errorf("google: %+v", g)
	}
	for _, host := range []string{"mx.example.net", "a.mx.example.net"} {
		if got := p.of(host).Label; got != "mine" {
			t.Errorf("%s is at %q", host, got)
		}
	}
	for what, b := range map[string][]Provider{
		"mx must say":             {{Label: "mine"}},
		"leave mx out":            {{Label: "default", MX: []string{".example.net"}}},
		"no end of a name":        {{Label: "mine", MX: []string{"."}}},
		"write a name":            {{Label: "a/b", MX: []string{".example.net"}}},
		"connections must":        {{Label: "google", Connections: -1}},
		"messages_per_connection": {{Label: "google", MessagesPerConnection: -1}},
		"tls":                     {{Label: "google", TLS: "none"}},
		"twice":                   {{Label: "google"}, {Label: "google"}},
	} {
		if _, err := newProviders(b, slices.Clone(known)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v, want %q", b, err, what)
		}
	}
}

// TestProvidersFile: a file replaces what is known, blocks still change it, and
// what is wrong with it is said.
func TestProvidersFile(t *testing.T) {
	open := func(text string, blocks ...Provider) (*MX, error) {
		m := New()
		m.Providers, m.ProvidersFile = blocks, filepath.Join(t.TempDir(), "providers.json")
		if err := os.WriteFile(m.ProvidersFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return m, m.openProviders()
	}
	m, err := open(`[
  {"name": "Hoster", "serves": "many", "mx": [".MX.hoster.example."], "connections": 3, "rate": "30/1m"},
  {"name": "default", "connections": 2}
]`, Provider{Label: "hoster", Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	if p := m.providers.of("a.mx.hoster.example"); p.Label != "hoster" || p.Connections != 4 || p.Rate.Count != 30 {
		t.Errorf("%+v", p)
	}
	if p := m.providers.of("aspmx.l.google.com"); p.Label != "default" || p.Connections != 2 {
		t.Errorf("%+v", p)
	}
	for text, want := range map[string]string{
		"":                                   "no list of providers",
		"{}":                                 "no list of providers",
		`[{"name": "a", "mx": [".b"]}] more`: "no list of providers",
		`[{"name": "a", "speed": 9}]`:        "no list of providers",
		`[{"name": "a"}]`:                    "mx must say",
		`[{"name": "a", "mx": [".b"]}, {"name": "A", "mx": [".c"]}]`: "twice",
		`[{"name": "a", "mx": [".b"], "rate": "fast"}]`:              "not a rate",
	} {
		if _, err := open(text); err == nil || !strings.Contains(err.Error(), want) || attr(err) != "providers_file" {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	m.ProvidersFile += ".gone"
	if err := m.openProviders(); attr(err) != "providers_file" {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestProviderTLS: a provider has TLS without fail, unless the file says
// otherwise; nothing of it weakens what the relay wants.
func TestProviderTLS(t *testing.T) {
	const google, other = "aspmx.l.google.com", "mx.example.net"
	for _, c := range []struct {
		tls           string
		block         Provider
		google, other smtpconn.TLSMode
	}{
		{"opportunistic", Provider{Label: "google"}, smtpconn.TLSRequired, smtpconn.TLSOpportunistic},
		{"opportunistic", Provider{Label: "google", TLS: "opportunistic"}, smtpconn.TLSOpportunistic, smtpconn.TLSOpportunistic},
		{"opportunistic", Provider{Label: "default", TLS: "required"}, smtpconn.TLSRequired, smtpconn.TLSRequired},
		{"verified", Provider{Label: "google", TLS: "opportunistic"}, smtpconn.TLSVerified, smtpconn.TLSVerified},
		{"none", Provider{Label: "google"}, smtpconn.TLSNone, smtpconn.TLSNone},
	} {
		m := New()
		m.TLS, m.Providers = c.tls, []Provider{c.block}
		if err := m.Provision(&appliance.Context{Resolver: mxRecords{}}); err != nil {
			t.Fatal(err)
		}
		if g, o := m.usualMode(google), m.usualMode(other); g != c.google || o != c.other {
			t.Errorf("tls = %q, %+v: %s and %s, want %s and %s", c.tls, c.block, g, o, c.google, c.other)
		}
		if n := m.maxMessages(google); n != 50 && c.block.Label == "google" {
			t.Errorf("%d messages for each connection", n)
		}
	}
}

// attr is the attribute that an error is about.
func attr(err error) string {
	var a *appliance.AttrError
	if errors.As(err, &a) {
		return a.Attr
	}
	return ""
}
