package acme

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/waxwing-mail/waxwing/appliance"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/acmetest"
	"github.com/waxwing-mail/waxwing/appliance/appliancetest/dnstest"
	"github.com/waxwing-mail/waxwing/modules/dns/rfc2136"
)

// delegated is a zone whose challenges for one name are answered elsewhere, at
// the only place that the server's small key may change.
const delegated = "_acme-challenge.delegated CNAME delegated.allowed"

// knot is a world whose authority believes what a real name server says.
func knot(t *testing.T) (*world, *dnstest.Server) {
	t.Helper()
	s := dnstest.Knot(t, dnstest.Zone{Name: dnstest.DefaultZone, Records: delegated})
	return newWorld(t, acmetest.Options{Resolver: s.Addr}), s
}

// byUpdates makes an instance answer dns-01 by updates of the name server.
func byUpdates(t *testing.T, s *dnstest.Server, keyName, key string, names ...string) func(*ACME) {
	t.Helper()
	zone := rfc2136.New()
	zone.Server, zone.KeyName, zone.Key = s.Addr, keyName, appliance.NewSecret(key)
	if err := errors.Join(zone.Validate(), zone.Provision(&appliance.Context{Log: zap.NewNop()})); err != nil {
		t.Fatal(err)
	}
	return func(a *ACME) {
		a.Names, a.Challenges, a.Resolvers = names, []string{dns01}, []string{s.Addr}
		a.DNS = appliance.RefTo[appliance.DNSProvider](appliance.Addr{Kind: appliance.KindDNS, Name: "zone"}, zone)
	}
}

// cleaned waits until nothing is left at the name of a challenge.
func cleaned(t *testing.T, s *dnstest.Server, name string) {
	t.Helper()
	eventually(t, "nothing at "+name, func() bool { return len(s.TXT(t, name)) == 0 })
}

// TestDNS01: a name and its wildcard at the same time, whose records have the
// same name, by way of a name server that somebody else wrote.
func TestDNS01(t *testing.T) {
	t.Parallel()
	w, s := knot(t)
	const name, wildcard = "mail.example.test", "*.mail.example.test"
	a := w.start(w.instance(byUpdates(t, s, s.KeyName, s.Key, name, wildcard)))
	w.ready(a, name, wildcard)
	for _, asked := range []string{name, "imap." + name} {
		state, err := w.handshake(a.ServerConfig(appliance.TLSUse{}), asked)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.PeerCertificates[0].VerifyHostname(asked); err != nil {
			t.Error(err)
		}
	}
	cleaned(t, s, "_acme-challenge."+name)
}

// TestDNS01Override: the zone of the name points elsewhere with a CNAME, and a
// key that may change nothing but that place is enough.
func TestDNS01Override(t *testing.T) {
	t.Parallel()
	w, s := knot(t)
	const name, target = "delegated.example.test", "delegated.allowed.example.test"
	a := w.start(w.instance(byUpdates(t, s, s.SmallKeyName, s.SmallKey, name), func(a *ACME) { a.OverrideDomain = target }))
	w.ready(a, name)
	cleaned(t, s, target)
}

// TestDNS01Explained: what the name server refuses is told in words, and the
// key is not (P19).
func TestDNS01Explained(t *testing.T) {
	t.Parallel()
	w, s := knot(t)
	wrong := base64.StdEncoding.EncodeToString([]byte("another secret than the right one"))
	for _, c := range []struct {
		what, keyName, key, name, want string
	}{
		{"key wrong", s.KeyName, wrong, "mail.example.test", "dns.zone could not change the zone: name server " + s.Addr + ": its key waxwing-test. is another one (BADSIG); compare key"},
		{"key unknown", "nobody.", s.Key, "mail.example.test", "it has no key nobody. for hmac-sha256."},
		{"not allowed", s.SmallKeyName, s.SmallKey, "mail.example.test", "no rule that lets this key make the change"},
		{"override_domain forgotten", s.KeyName, s.Key, "delegated.example.test", "there is a CNAME at the name"},
	} {
		t.Run(c.what, func(t *testing.T) {
			a := w.start(w.instance(byUpdates(t, s, c.keyName, c.key, c.name)))
			eventually(t, c.want, func() bool { return strings.Contains(info(t, a, c.name).Error, c.want) })
			if err := a.Ready(); err == nil {
				t.Error("passwords are asked for")
			}
			if said := info(t, a, c.name).Error; strings.Contains(said, c.key) {
				t.Errorf("P19: %s", said)
			}
			for _, e := range w.logs.All() {
				if line := e.Message + fmt.Sprint(e.ContextMap()); strings.Contains(line, c.key) {
					t.Errorf("P19: %s", line)
				}
			}
		})
	}
}
