package certs

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// make returns a certificate for the names that is valid for as long.
func makeCertificate(t *testing.T, validity time.Duration, names ...string) *tls.Certificate {
	t.Helper()
	bundle, err := SelfSigned(names, validity, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// handshake returns what the client sees, or its error.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		_ = tls.Server(b, server).Handshake()
	}()
	c := tls.Client(a, client)
	err := c.Handshake()
	return c.ConnectionState(), err
}

// TestProfiles: what each profile takes from clients with one version or one
// cipher suite.
func TestProfiles(t *testing.T) {
	certificate := makeCertificate(t, time.Hour, "mail.example.com")
	current := func() []*tls.Certificate { return []*tls.Certificate{certificate} }
	const good, old = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	for _, c := range []struct {
		profile       string
		opportunistic bool
		version       uint16
		suite         uint16
		ok            bool
	}{
		{"", false, tls.VersionTLS11, 0, false},
		{"", true, tls.VersionTLS11, 0, false},
		{"", false, tls.VersionTLS12, good, true},
		{"", false, tls.VersionTLS12, old, false},
		{"", true, tls.VersionTLS12, old, true},
		{Intermediate, true, tls.VersionTLS12, old, false},
		{Intermediate, false, tls.VersionTLS13, 0, true},
		{Modern, false, tls.VersionTLS12, good, false},
		{Modern, true, tls.VersionTLS12, good, false},
		{Modern, false, tls.VersionTLS13, 0, true},
	} {
		s := Settings{Profile: c.profile}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: c.version}
		if c.suite != 0 {
			client.CipherSuites = []uint16{c.suite}
		}
		use := appliance.TLSUse{Opportunistic: c.opportunistic}
		cs, err := handshake(t, s.ServerConfig(use, current), client)
		if (err == nil) != c.ok {
			t.Errorf("profile %q, opportunistic %t, %s, suite %x: %v", c.profile, c.opportunistic, tls.VersionName(c.version), c.suite, err)
		}
		if err == nil && cs.Version != c.version {
			t.Errorf("profile %q speaks %s with a client of %s", c.profile, tls.VersionName(cs.Version), tls.VersionName(c.version))
		}
	}
	if err := (&Settings{Profile: "old"}).Validate(); err == nil || !strings.Contains(err.Error(), `"intermediate" or "modern"`) {
		t.Errorf("profile old: %v", err)
	}
}

func TestChoose(t *testing.T) {
	list := []*tls.Certificate{makeCertificate(t, time.Hour, "mail.example.com"), makeCertificate(t, time.Hour, "smtp.example.com", "192.0.2.1")}
	server := (&Settings{}).ServerConfig(appliance.TLSUse{}, func() []*tls.Certificate { return list })
	for sni, want := range map[string]string{
		"mail.example.com": "mail.example.com", "smtp.example.com": "smtp.example.com",
		"": "mail.example.com", "other.example.com": "mail.example.com",
	} {
		cs, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, ServerName: sni})
		if err != nil {
			t.Fatal(err)
		}
		if got := cs.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("asked for %q: %s", sni, got)
		}
	}
	list = nil
	if _, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a handshake without any certificate")
	}
}

func TestDescribe(t *testing.T) {
	now := time.Now()
	c := makeCertificate(t, time.Hour, "mail.example.com", "192.0.2.1")
	info := Describe([]*tls.Certificate{c})[0]
	if strings.Join(info.Names, " ") != "mail.example.com 192.0.2.1" || info.State != appliance.CertificateSelfSigned ||
		info.Issuer != "mail.example.com" || len(info.KeyHash) != 64 || !info.NotAfter.Equal(c.Leaf.NotAfter) {
		t.Errorf("%+v", info)
	}
	for after, want := range map[time.Duration]appliance.CertificateState{
		-2 * time.Hour: appliance.CertificateExpired, 0: appliance.CertificateSelfSigned, 2 * time.Hour: appliance.CertificateExpired,
	} {
		if got := State(c.Leaf, now.Add(after)); got != want {
			t.Errorf("after %v: %s, want %s", after, got, want)
		}
	}
	bundle, err := SelfSigned([]string{"mail.example.com"}, time.Hour, c)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		t.Fatal(err)
	}
	if got := Describe([]*tls.Certificate{&renewed})[0].KeyHash; got != info.KeyHash {
		t.Error("a renewed certificate has another key")
	}
}

func TestExpiryMetric(t *testing.T) {
	reg := prometheus.NewRegistry()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	err := RegisterExpiry(reg, func() []appliance.CertificateInfo {
		return []appliance.CertificateInfo{
			{Names: []string{"a.example", "b.example"}, NotAfter: at(200)},
			{Names: []string{"a.example"}, NotAfter: at(100)},
			{Names: []string{"c.example"}},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `# HELP waxwing_tls_cert_not_after_seconds Unix time at which the certificate for a name expires; 0 while there is none.
# TYPE waxwing_tls_cert_not_after_seconds gauge
waxwing_tls_cert_not_after_seconds{name="a.example"} 100
waxwing_tls_cert_not_after_seconds{name="b.example"} 200
waxwing_tls_cert_not_after_seconds{name="c.example"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if err := RegisterExpiry(nil, nil); err != nil {
		t.Error(err)
	}
}

// TestTickets: there are none where some clients' TLS fails on them, and those
// of port 25 do.
func TestTickets(t *testing.T) {
	c := makeCertificate(t, time.Hour, "mail.example.com")
	for _, opportunistic := range []bool{false, true} {
		config := new(Settings).ServerConfig(appliance.TLSUse{Opportunistic: opportunistic}, func() []*tls.Certificate { return []*tls.Certificate{c} })
		if config.SessionTicketsDisabled != opportunistic {
			t.Errorf("opportunistic %t: tickets disabled %t", opportunistic, config.SessionTicketsDisabled)
		}
	}
}
