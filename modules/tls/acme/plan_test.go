package acme

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
)

func TestValidate(t *testing.T) {
	zone := appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, new(fakeZone))
	eab := func(label string) Issuer {
		return Issuer{Label: label, EABKeyID: "kid", EABKey: appliance.NewSecret(eabKey)}
	}
	own := Issuer{Label: "own", Directory: "https://ca.example.com/acme/directory"}
	for _, c := range []struct {
		name string
		set  func(*ACME)
		attr string // "" is no error
		want string
	}{
		{"nothing", func(*ACME) {}, "", ""},
		{"email", func(a *ACME) { a.Email = "postmaster@example.com" }, "", ""},
		{"no email", func(a *ACME) { a.Email = "postmaster" }, "email", "postmaster@example.com"},
		{"two emails", func(a *ACME) { a.Email = "a@example.com,b@example.com" }, "email", "one address"},
		{"profile", func(a *ACME) { a.Profile = "old" }, "profile", "modern"},
		{"names", func(a *ACME) { a.Names = []string{"Mail.Example.com", "mx.example.com"} }, "", ""},
		{"an address", func(a *ACME) { a.Names = []string{"192.0.2.1"} }, "names", "address"},
		{"a literal", func(a *ACME) { a.Names = []string{"[192.0.2.1]"} }, "names", "address"},
		{"no name", func(a *ACME) { a.Names = []string{"mail example"} }, "names", "mail.example.com"},
		{"two stars", func(a *ACME) { a.Names, a.DNS = []string{"*.*.example.com"}, zone }, "names", "*.*.example.com"},
		{"a long name", func(a *ACME) { a.Names = []string{strings.Repeat("a123456789.", 17) + "example.com"} }, "names", "180"},
		{"many names", func(a *ACME) {
			for n := range 101 {
				a.Names = append(a.Names, strings.Repeat("a", n%60+1)+"."+strings.Repeat("b", n/60+1)+".example.com")
			}
		}, "names", "at most 100"},
		{"wildcard without dns", func(a *ACME) { a.Names = []string{"*.example.com"} }, "names", "dns = dns.zone"},
		{"wildcard", func(a *ACME) { a.Names, a.DNS = []string{"*.example.com"}, zone }, "", ""},
		{"dns-01 written", func(a *ACME) { a.Challenges, a.DNS = []string{"dns-01"}, zone }, "", ""},
		{"no challenge", func(a *ACME) { a.Challenges = []string{"http"} }, "challenges", `meant "http-01"`},
		{"no challenge", func(a *ACME) { a.Challenges = []string{"tls-sni-01"} }, "challenges", `meant "tls-alpn-01"`},
		{"no challenge", func(a *ACME) { a.Challenges = []string{"magic"} }, "challenges", `there are "http-01"`},
		{"dns-01 without dns", func(a *ACME) { a.Challenges = []string{"dns-01"} }, "challenges", "write one, such as dns"},
		{"dns-01 and another", func(a *ACME) { a.Challenges, a.DNS = []string{"dns-01", "http-01"}, zone }, "challenges", "stands alone"},
		{"dns without dns-01", func(a *ACME) { a.Challenges, a.DNS = []string{"http-01"}, zone }, "challenges", "of no use"},
		{"override_domain without dns", func(a *ACME) { a.OverrideDomain = "x.example.net" }, "override_domain", "is for dns-01"},
		{"override_domain", func(a *ACME) { a.OverrideDomain, a.DNS = "_acme.dyn_1.example.net.", zone }, "", ""},
		{"bad override_domain", func(a *ACME) { a.OverrideDomain, a.DNS = "a b", zone }, "override_domain", "full name"},
		{"delay without dns", func(a *ACME) { a.PropagationDelay = time.Second }, "propagation_delay", "is for dns-01"},
		{"negative timeout", func(a *ACME) { a.PropagationTimeout, a.DNS = -1, zone }, "propagation_timeout", `between "0s" and "1h"`},
		{"resolvers without dns", func(a *ACME) { a.Resolvers = []string{"192.0.2.1:53"} }, "resolvers", "is for dns-01"},
		{"resolver without port", func(a *ACME) { a.Resolvers, a.DNS = []string{"192.0.2.1"}, zone }, "resolvers", "192.0.2.53:53"},
		{"http_address", func(a *ACME) { a.HTTPAddress = "80" }, "http_address", ":8080"},
		{"one port for both", func(a *ACME) { a.HTTPAddress = ":443" }, "tls_alpn_address", "two ports"},
		{"one port in two ways", func(a *ACME) { a.HTTPAddress = "127.0.0.1:443" }, "tls_alpn_address", "two ports"},
		{"port 0", func(a *ACME) { a.TLSALPNAddress = ":0" }, "tls_alpn_address", ":8080"},
		{"key_type", func(a *ACME) { a.KeyType = "ed25519" }, "key_type", `"p256"`},
		{"staging", func(a *ACME) { a.Staging = true }, "", ""},
		{"staging of another", func(a *ACME) { a.Staging, a.Issuers = true, []Issuer{own} }, "staging", "Let's Encrypt alone"},
		{"own", func(a *ACME) { a.Issuers = []Issuer{{Label: letsencrypt}, own, eab(zerossl), eab(google)} }, "", ""},
		{"own without directory", func(a *ACME) { a.Issuers = []Issuer{{Label: "own"}} }, "issuer.own", "needs directory"},
		{"no https", func(a *ACME) { a.Issuers = []Issuer{{Label: "own", Directory: "http://ca/dir"}} }, "issuer.own.directory", "https URL"},
		{"password in URL", func(a *ACME) { a.Issuers = []Issuer{{Label: "own", Directory: "https://u:marker@ca/dir"}} }, "issuer.own.directory", "https URL"},
		{"directory of a known one", func(a *ACME) { a.Issuers = []Issuer{{Label: letsencrypt, Directory: own.Directory}} }, "issuer.letsencrypt.directory", "leave it out"},
		{"root of a known one", func(a *ACME) { a.Issuers = []Issuer{{Label: letsencrypt, RootFile: "/x"}} }, "issuer.letsencrypt.root_file", "leave it out"},
		{"twice", func(a *ACME) { a.Issuers = []Issuer{own, {Label: "again", Directory: own.Directory}} }, "issuer.again", "one block for each"},
		{"zerossl alone", func(a *ACME) { a.Issuers = []Issuer{{Label: zerossl}} }, "issuer.zerossl", "eab_key_id and eab_key"},
		{"eab_key alone", func(a *ACME) { a.Issuers = []Issuer{{Label: zerossl, EABKey: appliance.NewSecret(eabKey)}} }, "issuer.zerossl.eab_key", "eab_key_id"},
		{"eab_key_id alone", func(a *ACME) { a.Issuers = []Issuer{{Label: zerossl, EABKeyID: "x"}} }, "issuer.zerossl.eab_key_id", "EAB_KEY"},
		{"eab_key broken", func(a *ACME) {
			a.Issuers = []Issuer{{Label: zerossl, EABKeyID: "x", EABKey: appliance.NewSecret("marker!")}}
		}, "issuer.zerossl.eab_key", "base64url"},
	} {
		a := New()
		c.set(a)
		err := a.Validate()
		if c.attr == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		attr, ok := errors.AsType[*appliance.AttrError](err)
		if !ok || attr.Attr != c.attr || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "marker") {
			t.Errorf("%s: %v, want %s: %q", c.name, err, c.attr, c.want)
		}
	}
}

// TestP13RootFile: a root_file that cannot be used stops the start.
func TestP13RootFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{empty: "no certificate in PEM", empty + "x": "no such file"} {
		a := New()
		a.Issuers = []Issuer{{Label: "own", Directory: "https://ca.example.com/", RootFile: path}}
		err := a.Provision(&appliance.Context{Log: zap.NewNop(), Hostname: host})
		attr, ok := errors.AsType[*appliance.AttrError](err)
		if !ok || attr.Attr != "issuer.own.root_file" || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestHostNameWithoutCertificate: a host name that no authority certifies is an
// error, unless the block names others.
func TestHostNameWithoutCertificate(t *testing.T) {
	for _, name := range []string{"[192.0.2.1]", strings.Repeat("a123456789.", 17) + "example.com"} {
		a := New()
		err := a.Provision(&appliance.Context{Log: zap.NewNop(), Hostname: name})
		attr, ok := errors.AsType[*appliance.AttrError](err)
		if !ok || attr.Attr != "names" || !strings.Contains(err.Error(), `names = ["mail.example.com"]`) {
			t.Errorf("%s: %v", name, err)
		}
		a = New()
		a.Names = []string{host}
		if err := a.Provision(&appliance.Context{Log: zap.NewNop(), Hostname: name}); err != nil {
			t.Errorf("%s with names: %v", name, err)
		}
	}
}

// TestPlan: what the attributes come to.
func TestPlan(t *testing.T) {
	a := New()
	a.HTTPAddress, a.TLSALPNAddress = "127.0.0.1:8080", ":443"
	a.Issuers = []Issuer{{Label: letsencrypt}, {Label: zerossl, EABKeyID: "kid", EABKey: appliance.NewSecret("a+b/" + eabKey + "=")}}
	p, err := a.plannable()
	if err != nil {
		t.Fatal(err)
	}
	if p.listenHost != "" || p.httpPort != 8080 || p.alpnPort != 443 {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]string{http01, tlsALPN01}, p.challenges); diff != "" {
		t.Error(diff)
	}
	le, zs := p.authorities[0], p.authorities[1]
	if le.directory != certmagic.LetsEncryptProductionCA || le.staging != certmagic.LetsEncryptStagingCA || le.key() != "acme-v02.api.letsencrypt.org-directory" {
		t.Errorf("%+v", le)
	}
	if zs.eab.MACKey != "a-b_"+eabKey || zs.staging != "" {
		t.Error("the key of the external account is not in base64url without padding")
	}
	for challenge, want := range map[string]time.Duration{http01: 2 * perAuthority, dns01: 2 * (perAuthority + 2*time.Minute + time.Second)} {
		a.PropagationDelay, a.plan = time.Second, p
		a.plan.challenges = []string{challenge}
		if got := a.attemptTimeout(); got != want {
			t.Errorf("%s may take %v, want %v", challenge, got, want)
		}
	}
	a = New()
	a.Staging = true
	if p, err = a.plannable(); err != nil || p.authorities[0].directory != certmagic.LetsEncryptStagingCA || p.authorities[0].source != "letsencrypt staging" {
		t.Errorf("%+v, %v", p.authorities, err)
	}
	needs := strings.Join(p.needs(a), " ")
	if !strings.Contains(needs, "docker run -p 80:80, or add a dns block") || !strings.Contains(needs, "-p 443:443") {
		t.Error(needs)
	}
}

// TestStagingFirst: Let's Encrypt's staging environment is asked first, but not
// at the first attempt.
func TestStagingFirst(t *testing.T) {
	a := New()
	if err := a.Provision(&appliance.Context{Log: zap.NewNop(), Hostname: host}); err != nil {
		t.Fatal(err)
	}
	for failures, want := range []string{"", certmagic.LetsEncryptStagingCA, certmagic.LetsEncryptStagingCA} {
		try := a.newAttempt(host, failures, true)
		if got := try.issuers[0]; got.TestCA != want || got.CA != certmagic.LetsEncryptProductionCA || got.Email != placeholder || !got.Agreed {
			t.Errorf("after %d failures: %q first", failures, got.TestCA)
		}
		try.close()
	}
}
