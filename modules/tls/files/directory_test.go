package files

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waxwing-mail/waxwing/appliance"
)

// authority issues certificates that are not self-signed.
type authority struct {
	t    *testing.T
	key  crypto.Signer
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	key := ecKey(t)
	a := &authority{t: t, key: key, cert: &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}}
	a.cert.Subject.CommonName = "Test Authority"
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue returns a certificate and its key in PEM.
func (a *authority) issue(key crypto.Signer, valid time.Duration, hosts ...string) (leaf, private []byte) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: hosts,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func (a *authority) pem() []byte { return encode("CERTIFICATE", a.cert.Raw) }

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (s *site) mkdir(name string) {
	s.t.Helper()
	if err := os.MkdirAll(s.path(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) link(target, name string) {
	s.t.Helper()
	if err := os.Symlink(target, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// served are the files that certificates come from, below the directory.
func (s *site) served(f *Files) string {
	var all []string
	for _, c := range f.Certificates() {
		name, err := filepath.Rel(s.dir, c.Source)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// warnings are the warnings since the last call, by file.
func (s *site) warnings() []string {
	var all []string
	for _, e := range s.logs.TakeAll() {
		if e.Level.String() != "info" {
			all = append(all, strings.ReplaceAll(fmt.Sprintf("%v: %s", e.ContextMap()["file"], e.Message), s.dir+"/", ""))
		}
	}
	return all
}

// TestDirectory: what belongs together is found whatever it is called, and the
// rest is named.
func TestDirectory(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name     string
		fill     func(s *site)
		want     string   // the files served, the default first
		warnings []string // in the log, each a part
	}{
		{"pairs under any name", func(s *site) {
			s.pair("b", ecKey(t), time.Hour, "b.example")
			chain, key := makePair(t, rsaKey(t), time.Hour, "a.example")
			s.write("x.cer", chain)
			s.write("y.PEM", key)
			s.write("README", []byte("not for us"))
		}, "b.crt x.cer", []string{"b.crt: the certificate is not valid for the host name"}},
		{"the host name first", func(s *site) {
			s.pair("a", ecKey(t), time.Hour, "a.example")
			s.pair("z", ecKey(t), time.Hour, "*.example.com")
		}, "z.crt a.crt", nil},
		{"one file with both", func(s *site) {
			chain, key := makePair(t, ecKey(t), time.Hour, "mail.example.com")
			s.write("both.pem", append(key, chain...))
		}, "both.pem", nil},
		{"certbot", func(s *site) {
			leaf, key := ca.issue(ecKey(t), time.Hour, "mail.example.com")
			s.mkdir("archive")
			s.mkdir("live/mail.example.com")
			for name, content := range map[string][]byte{
				"cert": leaf, "chain": ca.pem(), "fullchain": append(leaf, ca.pem()...), "privkey": key,
			} {
				s.write("archive/"+name+"1.pem", content)
				s.link("../../archive/"+name+"1.pem", "live/mail.example.com/"+name+".pem")
			}
			s.write("live/README", nil)
		}, "live/mail.example.com/fullchain.pem", nil},
		{"Kubernetes", func(s *site) {
			leaf, key := ca.issue(ecKey(t), time.Hour, "mail.example.com")
			s.mkdir("..2026_11_23")
			s.write("..2026_11_23/tls.crt", append(leaf, ca.pem()...))
			s.write("..2026_11_23/tls.key", key)
			s.write("..2026_11_23/ca.crt", ca.pem())
			s.link("..2026_11_23", "..data")
			for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
				s.link("..data/"+name, name)
			}
		}, "tls.crt", nil},
		{"the newer of two", func(s *site) {
			s.pair("2025", ecKey(t), time.Hour, "mail.example.com", "Smtp.example.com")
			s.pair("2026", ecKey(t), 2*time.Hour, "smtp.example.com", "mail.example.com")
			s.pair("rsa", rsaKey(t), time.Minute, "mail.example.com", "smtp.example.com")
		}, "2026.crt rsa.crt", nil},
		{"an expired one comes last", func(s *site) {
			s.pair("a", ecKey(t), -time.Hour, "mail.example.com")
			s.pair("b", ecKey(t), time.Hour, "*.example.com")
		}, "b.crt a.crt", []string{"a.crt: the certificate has expired"}},
		{"without a partner", func(s *site) {
			s.pair("own", ecKey(t), time.Hour, "mail.example.com")
			leaf, _ := ca.issue(ecKey(t), time.Hour, "lost.example")
			s.write("lost.crt", leaf)
			_, key := makePair(t, ecKey(t), time.Hour, "x")
			s.write("lost.key", key)
			s.link("nowhere", "gone.pem")
		}, "own.crt", []string{"gone.pem: " + "a file in the directory of certificates is not used: it leads nowhere",
			"lost.crt: a file in the directory of certificates is not used: it has a certificate (lost.example) without its key",
			"lost.key: a file in the directory of certificates is not used: it has a key without its certificate"}},
		{"other formats", func(s *site) {
			s.pair("own", ecKey(t), time.Hour, "mail.example.com")
			s.write("win.cer", ca.cert.Raw)
			s.write("locked.key", encode("ENCRYPTED PRIVATE KEY", []byte("marker")))
			s.write("request.pem", encode("CERTIFICATE REQUEST", []byte("x")))
			s.write("dh.pem", encode("DH PARAMETERS", []byte("x")))
			s.write("empty.pem", nil)
		}, "own.crt", []string{"locked.key: a file in the directory of certificates is not used: it has an encrypted key, and nobody is there to type its passphrase; write it without: openssl pkey -in locked.key -out locked-plain.key",
			"win.cer: a file in the directory of certificates is not used: it is DER, not PEM; convert it: openssl x509 -inform der -in win.cer -out win.pem"}},
		{"the wrong order", func(s *site) {
			s.pair("own", ecKey(t), time.Hour, "mail.example.com")
			leaf, key := ca.issue(ecKey(t), time.Hour, "other.example")
			s.write("other.pem", append(append(ca.pem(), leaf...), key...))
		}, "own.crt", []string{"other.pem: a file in the directory of certificates is not used: it has the certificate of the key as number 2; it must be the first"}},
		{"cert.pem alone", func(s *site) {
			leaf, key := ca.issue(ecKey(t), time.Hour, "mail.example.com")
			s.write("cert.pem", leaf)
			s.write("privkey.pem", key)
		}, "cert.pem", []string{"cert.pem: the file has a certificate without that of its issuer; who does not know the issuer anyway refuses it: use fullchain.pem, not cert.pem"}},
		{"X3 key for everybody", func(s *site) {
			p := s.pair("own", ecKey(t), time.Hour, "mail.example.com")
			if err := os.Chmod(p.Key, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "own.crt", []string{"own.key: everybody on this machine can read this secret"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.fill(s)
			dir := s.dir
			if c.name == "certbot" {
				dir = s.path("live")
			}
			f := s.mustOpen(&Files{Directory: dir})
			if got := s.served(f); got != c.want {
				t.Errorf("served %q, want %q", got, c.want)
			}
			got := s.warnings()
			ok := len(got) == len(c.warnings)
			for i := range got {
				ok = ok && strings.HasPrefix(got[i], c.warnings[i])
			}
			if !ok {
				t.Errorf("warnings: %s", cmp.Diff(c.warnings, got))
			}
		})
	}
}

// TestDirectoryFails: without any pair, or with a file that cannot be read,
// the server does not start, and says what it has looked at.
func TestDirectoryFails(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(s *site)
		want string
	}{
		{"empty", func(*site) {}, "no certificate in the *.crt, *.cer, *.pem and *.key files of"},
		{"nothing fits", func(s *site) {
			chain, _ := makePair(t, ecKey(t), time.Hour, "mail.example.com")
			_, key := makePair(t, ecKey(t), time.Hour, "x")
			s.write("a.crt", chain)
			s.write("b.key", key)
		}, "a.crt has a certificate (mail.example.com) without its key"},
		{"nameless", func(s *site) {
			chain, _ := makePair(t, ecKey(t), time.Hour)
			s.write("a.crt", chain)
		}, "a.crt has a certificate (without a name) without its key"},
		{"P19 garbage", func(s *site) { s.write("a.key", encode("PRIVATE KEY", []byte("marker"))) }, "a.key has a private key that cannot be parsed"},
		{"too many", func(s *site) {
			for i := range maxFiles + 1 {
				s.write(fmt.Sprintf("%d.pem", i), nil)
			}
		}, "at most 1000 are read"},
		{"too large", func(s *site) { s.write("a.pem", make([]byte, 1<<20+1)) }, "a.pem is larger than"},
		{"too deep", func(s *site) {
			s.mkdir("live/mail.example.com")
			s.pair("live/mail.example.com/x", ecKey(t), time.Hour, "mail.example.com")
		}, "/etc/letsencrypt/live"},
		{"P13 unreadable", func(s *site) {
			s.pair("own", ecKey(t), time.Hour, "mail.example.com")
			s.link("/proc/self/mem", "b.key") // a regular file that nobody can read, not even root
		}, "cannot be read"},
		{"many mistakes", func(s *site) {
			for i := range 20 {
				s.write(fmt.Sprintf("%02d.key", i), encode("ENCRYPTED PRIVATE KEY", nil))
			}
		}, "; and 10 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.fill(s)
			err := s.open(&Files{Directory: s.dir})
			var attr *appliance.AttrError
			if !errors.As(err, &attr) || attr.Attr != "directory" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "marker") {
				t.Errorf("P19: %v", err)
			}
		})
	}
	s := newSite(t)
	p := s.pair("own", ecKey(t), time.Hour, "mail.example.com")
	for _, f := range []*Files{
		{Directory: s.path("absent")}, {Directory: p.Certificate},
		{Directory: s.dir, Certificate: p.Certificate, Key: p.Key}, {Directory: s.dir, Pairs: []Pair{p}},
	} {
		err := f.Validate()
		if err == nil {
			err = s.open(f)
		}
		var attr *appliance.AttrError
		if !errors.As(err, &attr) || attr.Attr != "directory" {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestP18Directory: certificates come, go and are replaced, and no moment in
// between takes one away.
func TestP18Directory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pair("own", ecKey(t), time.Hour, "mail.example.com")
		f := s.mustOpen(&Files{Directory: s.dir})
		step := func(what, want, wrong string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := names(t, f, &tls.Config{}); got != want {
				t.Errorf("%s: %q is served, want %q", what, got, want)
			}
			logs := s.logs.FilterMessageSnippet("again").All()
			s.logs.TakeAll()
			level := "info"
			if wrong != "" {
				level = "error"
			}
			if len(logs) != 1 || logs[0].Level.String() != level {
				t.Errorf("%s: log %v, want one %q", what, logs, level)
			}
			for _, c := range f.Certificates() {
				if wrong == "" && c.Error != "" || !strings.Contains(c.Error, wrong) {
					t.Errorf("%s: error %q, want %q", what, c.Error, wrong)
				}
			}
		}
		s.pair("other", ecKey(t), time.Hour, "other.example")
		step("added", "mail.example.com", "")
		if got := s.served(f); got != "own.crt other.crt" {
			t.Errorf("served %q", got)
		}
		chain, key := makePair(t, ecKey(t), 2*time.Hour, "mail.example.com", "new")
		s.write("own.crt", chain)
		step("new certificate, old key", "mail.example.com", "own.crt has a certificate (mail.example.com, new) without its key")
		s.write("own.key", key)
		step("both", "mail.example.com new", "")
		s.write("own.crt", []byte("garbage"))
		step("garbage", "mail.example.com new", "own.crt")
		s.write("own.crt", chain)
		step("good again", "mail.example.com new", "")
		s.pair("next", ecKey(t), 3*time.Hour, "new", "mail.example.com")
		step("superseded", "new mail.example.com", "")
		s.remove("own.key") // of one that is not served any more
		step("key of the old one removed", "new mail.example.com", "")
		s.pair("last", ecKey(t), 4*time.Hour, "mail.example.com", "new")
		s.remove("next.key")
		step("superseded and its key removed at once", "mail.example.com new", "")
		for _, name := range []string{"last.crt", "last.key", "next.crt", "own.crt"} {
			s.remove(name)
		}
		step("removed", "other.example", "")
		s.remove("other.crt")
		step("the last one removed", "other.example", "no certificate together with its key")
	})
}

// TestToldOnce: what is not used is not told of with each change.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pair("own", ecKey(t), time.Hour, "mail.example.com")
		s.write("locked.key", encode("ENCRYPTED PRIVATE KEY", nil))
		f := s.mustOpen(&Files{Directory: s.dir})
		if got := s.warnings(); len(got) != 1 {
			t.Errorf("%q", got)
		}
		s.pair("own", ecKey(t), time.Hour, "mail.example.com", "new")
		time.Sleep(time.Second)
		if got := names(t, f, &tls.Config{}); got != "mail.example.com new" {
			t.Errorf("%q is served", got)
		}
		if got := s.warnings(); len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
}

// TestMetrics: two blocks with certificates for the same names, one of them
// twice, are two time series.
func TestMetrics(t *testing.T) {
	s := newSite(t)
	pairs := []Pair{s.pair("ec", ecKey(t), time.Hour, "mail.example.com"), s.pair("rsa", rsaKey(t), 2*time.Hour, "mail.example.com")}
	var all prometheus.Gatherers
	for _, name := range []string{"tls.a", "tls.b"} {
		registry := prometheus.NewRegistry()
		all = append(all, registry)
		s.metrics = prometheus.WrapRegistererWith(prometheus.Labels{"module": name}, registry)
		s.mustOpen(&Files{Pairs: pairs})
	}
	n, err := testutil.GatherAndCount(all, "waxwing_tls_cert_not_after_seconds")
	if err != nil || n != 2 {
		t.Errorf("%d time series, %v", n, err)
	}
}
