package files

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
)

// site is a directory of certificates.
type site struct {
	t      *testing.T
	dir    string
	writes time.Duration
	logs   *observer.ObservedLogs

	metrics prometheus.Registerer
}

func newSite(t *testing.T) *site { return &site{t: t, dir: t.TempDir()} }

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file that changed a while ago, each at another moment.
func (s *site) write(name string, content []byte) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.writes += time.Second
	when := time.Now().Add(s.writes - time.Hour)
	if err := os.Chtimes(s.path(name), when, when); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// pair makes NAME.crt and NAME.key, valid for so long.
func (s *site) pair(name string, key crypto.Signer, valid time.Duration, hosts ...string) Pair {
	s.t.Helper()
	c, k := makePair(s.t, key, valid, hosts...)
	return Pair{s.write(name+".crt", c), s.write(name+".key", k)}
}

func makePair(t *testing.T, key crypto.Signer, valid time.Duration, hosts ...string) (chain, private []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid), DNSNames: hosts,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *site) open(f *Files) error {
	core, logs := observer.New(zapcore.DebugLevel)
	s.logs = logs
	return errors.Join(f.Validate(), f.Provision(&appliance.Context{
		Log: zap.New(core), Hostname: "mail.example.com", Metrics: s.metrics,
	}))
}

func (s *site) mustOpen(f *Files) *Files {
	s.t.Helper()
	if err := s.open(f); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// names are the names of the certificate that a client gets.
func names(t *testing.T, f *Files, client *tls.Config) string {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	var g sync.WaitGroup
	defer g.Wait()
	g.Go(func() { _ = tls.Server(a, f.ServerConfig(appliance.TLSUse{})).Handshake(); a.Close() })
	client.InsecureSkipVerify = true
	c := tls.Client(b, client)
	if err := c.Handshake(); err != nil {
		t.Error(err)
		b.Close()
		return ""
	}
	b.Close()
	return strings.Join(c.ConnectionState().PeerCertificates[0].DNSNames, " ")
}

func TestChoice(t *testing.T) {
	s := newSite(t)
	main := s.pair("main", ecKey(t), time.Hour, "mail.example.com")
	f := s.mustOpen(&Files{
		Certificate: main.Certificate, Key: main.Key,
		Pairs: []Pair{
			s.pair("wild", ecKey(t), time.Hour, "*.example.org"),
			s.pair("rsa", rsaKey(t), time.Hour, "mail.example.com", "rsa"),
		},
	})
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name   string
		client *tls.Config
		want   string
	}{
		{"no name", &tls.Config{}, "mail.example.com"},
		{"first", &tls.Config{ServerName: "mail.example.com"}, "mail.example.com"},
		{"A12 unknown name", &tls.Config{ServerName: "nobody.example"}, "mail.example.com"},
		{"wildcard", &tls.Config{ServerName: "MX1.example.org"}, "*.example.org"},
		{"old client", &tls.Config{ServerName: "mail.example.com", MaxVersion: tls.VersionTLS12, CipherSuites: rsaOnly}, "mail.example.com rsa"},
		{"old client, no name", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: rsaOnly}, "mail.example.com rsa"},
	} {
		if got := names(t, f, c.client); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if s.logs.Len() != 0 {
		t.Errorf("log: %v", s.logs.All())
	}
}

// TestP18Renewal: new files are taken, bad ones are not, and the moment at
// which certificate and key do not fit each other passes unnoticed.
func TestP18Renewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		p := s.pair("own", ecKey(t), time.Hour, "one")
		f := s.mustOpen(&Files{Certificate: p.Certificate, Key: p.Key})
		s.logs.TakeAll()
		step := func(what, want, level string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := names(t, f, &tls.Config{}); got != want {
				t.Errorf("%s: %q is served, want %q", what, got, want)
			}
			logs := s.logs.FilterMessageSnippet("again").All()
			if level == "" && len(logs) > 0 || level != "" && (len(logs) != 1 || logs[0].Level.String() != level) {
				t.Errorf("%s: log %v, want one %q", what, logs, level)
			}
			s.logs.TakeAll()
		}
		chain, key := makePair(t, ecKey(t), time.Hour, "two")
		s.write("own.crt", chain)
		step("new certificate, old key", "one", "error")
		step("the same a second later", "one", "")
		s.write("own.key", key)
		step("both", "two", "info")
		s.write("own.crt", []byte("marker"))
		step("garbage", "two", "error")
		if err := os.Remove(p.Key); err != nil {
			t.Fatal(err)
		}
		step("gone", "two", "error")
		s.pair("own", ecKey(t), time.Hour, "three")
		step("again", "three", "info")
	})
}

func TestProvisionFails(t *testing.T) {
	s := newSite(t)
	a, b := s.pair("a", ecKey(t), time.Hour, "a"), s.pair("b", rsaKey(t), time.Hour, "b")
	garbage := s.write("garbage", []byte("marker-secret"))
	for _, c := range []struct {
		name string
		f    Files
		attr string
		want string
	}{
		{"nothing", Files{}, "certificate", "is missing"},
		{"no key", Files{Certificate: a.Certificate}, "certificate", "no key"},
		{"no certificate", Files{Key: a.Key}, "key", "no certificate"},
		{"empty pair", Files{Pairs: []Pair{{Key: a.Key}}}, "pair", "empty path"},
		{"X6 absent certificate", Files{Certificate: s.path("absent"), Key: a.Key}, "certificate", "no such file"},
		{"X6 absent key", Files{Certificate: a.Certificate, Key: s.path("absent")}, "key", "no such file"},
		{"garbage certificate", Files{Certificate: garbage, Key: a.Key}, "certificate", "garbage"},
		{"key for certificate", Files{Certificate: a.Key, Key: a.Key}, "certificate", "a.key"},
		{"garbage key", Files{Certificate: a.Certificate, Key: garbage}, "key", "garbage"},
		{"mismatch", Files{Certificate: a.Certificate, Key: b.Key}, "key", "does not match"},
		{"mismatch in a pair", Files{Certificate: a.Certificate, Key: a.Key, Pairs: []Pair{{a.Certificate, b.Key}}}, "pair", "key cannot be used"},
		{"directory", Files{Certificate: s.dir, Key: a.Key}, "certificate", "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.f.Validate()
			if err == nil {
				err = s.open(&c.f)
			}
			var attr *appliance.AttrError
			if !errors.As(err, &attr) || attr.Attr != c.attr || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %s: %q", err, c.attr, c.want)
			}
			if strings.Contains(err.Error(), "marker") {
				t.Errorf("P19: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name  string
		valid time.Duration
		host  string
		mode  os.FileMode
		want  string
	}{
		{"expired", -time.Hour, "mail.example.com", 0o600, "expired"},
		{"another name", time.Hour, "other.example", 0o600, "not valid for the host name"},
		{"X3 key for everybody", time.Hour, "mail.example.com", 0o644, "everybody"},
		{"fine", time.Hour, "mail.example.com", 0o640, ""},
	} {
		s := newSite(t)
		p := s.pair("own", ecKey(t), c.valid, c.host)
		if err := os.Chmod(p.Key, c.mode); err != nil {
			t.Fatal(err)
		}
		s.mustOpen(&Files{Pairs: []Pair{p}})
		logs := s.logs.FilterLevelExact(zapcore.WarnLevel).All()
		if c.want == "" && len(logs) > 0 || c.want != "" && (len(logs) != 1 || !strings.Contains(logs[0].Message, c.want)) {
			t.Errorf("%s: %v, want %q", c.name, logs, c.want)
		}
	}
}
