package certs

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waxwing-mail/waxwing/appliance"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate; with a nil parent it vouches for itself.
func issue(t *testing.T, template, parent *x509.Certificate, key, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestLoadPair: what is wrong with files is said in words, with the command
// that helps, and never with anything of a key.
func TestLoadPair(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content ...[]byte) {
		var all []byte
		for _, c := range content {
			all = append(all, c...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, other := newKey(t), newKey(t)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	root := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, other, nil)
	leaf := issue(t, &x509.Certificate{DNSNames: []string{"a.example"}}, root, key, other)
	rsaLeaf := issue(t, &x509.Certificate{DNSNames: []string{"a.example"}}, root, rsaKey, other)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))

	write("full", block("CERTIFICATE", leaf.Raw), block("CERTIFICATE", root.Raw))
	write("rsa", block("CERTIFICATE", rsaLeaf.Raw))
	write("key", block("PRIVATE KEY", pkcs8))
	write("ec.key", block("EC PARAMETERS", []byte("x")), block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))))
	write("misnamed.key", block("RSA PRIVATE KEY", pkcs8))
	write("rsa.key", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)))
	write("both", block("PRIVATE KEY", pkcs8), block("CERTIFICATE", leaf.Raw))
	write("reversed", block("CERTIFICATE", root.Raw), block("CERTIFICATE", leaf.Raw))
	write("leaf.cer", leaf.Raw)
	write("key.der", pkcs8)
	write("own.pfx", []byte("\x30\x82\x0a\x00\x02\x01\x03\x30marker"))
	write("text", []byte("marker"))
	write("empty")
	write("locked.key", block("ENCRYPTED PRIVATE KEY", []byte("marker")))
	write("old.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nbWFya2Vy\n-----END RSA PRIVATE KEY-----\n"))
	write("ssh.key", block("OPENSSH PRIVATE KEY", []byte("marker")))
	write("x25519.key", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdh.X25519().GenerateKey(rand.Reader))))))
	write("bad.key", block("PRIVATE KEY", []byte("marker")))
	write("bad.crt", block("CERTIFICATE", []byte("marker")))
	write("request", block("CERTIFICATE REQUEST", []byte("marker")))
	write("p7b.pem", block("PKCS7", []byte("marker")))
	write("trusted.pem", block("TRUSTED CERTIFICATE", []byte("marker")))
	write("large", make([]byte, MaxFile+1))

	for _, c := range []struct{ certificate, key, part, want string }{
		{"full", "key", "", ""},
		{"full", "ec.key", "", ""},
		{"full", "misnamed.key", "", ""},
		{"rsa", "rsa.key", "", ""},
		{"both", "both", "", ""},
		{"reversed", "key", "certificate", "reversed has the certificate of the key as number 2; it must be the first"},
		{"full", "rsa.key", "key", "rsa.key does not match the certificate in "},
		{"leaf.cer", "key", "certificate", "leaf.cer is DER, not PEM; convert it: openssl x509 -inform der -in leaf.cer -out leaf.pem"},
		{"full", "key.der", "key", "openssl pkey -inform der -in key.der -out key.pem"},
		{"own.pfx", "key", "certificate", "openssl pkcs12 -nodes -in own.pfx -out own.pem"},
		{"text", "key", "certificate", "text is not PEM"},
		{"full", "empty", "key", "empty is not PEM"},
		{"full", "locked.key", "key", "openssl pkey -in locked.key -out locked-plain.key"},
		{"full", "old.key", "key", "has an encrypted key"},
		{"full", "ssh.key", "key", "OpenSSH"},
		{"full", "x25519.key", "key", "cannot sign"},
		{"full", "bad.key", "key", "cannot be parsed"},
		{"full", "full", "key", "holds no private key"},
		{"bad.crt", "key", "certificate", "number 1, that cannot be parsed"},
		{"key", "key", "certificate", `holds no certificate, only "PRIVATE KEY"`},
		{"request", "key", "certificate", "the authority makes it"},
		{"p7b.pem", "key", "certificate", "openssl pkcs7 -print_certs -in p7b.pem -out p7b-chain.pem"},
		{"trusted.pem", "key", "certificate", "openssl x509 -in trusted.pem"},
		{"large", "key", "certificate", "larger than"},
		{"absent", "key", "certificate", "no such file"},
		{"full", "absent", "key", "no such file"},
	} {
		got, err := LoadPair(zap.NewNop(), filepath.Join(dir, c.certificate), filepath.Join(dir, c.key))
		if c.part == "" {
			if err != nil || got.Leaf == nil || len(got.Certificate) == 0 {
				t.Errorf("%s, %s: %v", c.certificate, c.key, err)
			}
			continue
		}
		var e *PairError
		if !errors.As(err, &e) || e.Part != c.part || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: error %v, want %s: %q", c.certificate, c.key, err, c.part, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "marker") {
			t.Errorf("P19: %v", err)
		}
	}
}

func TestJudge(t *testing.T) {
	caKey, key := newKey(t), newKey(t)
	ca := func(name string) *x509.Certificate {
		template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true}
		template.Subject.CommonName = name
		return issue(t, template, nil, caKey, nil)
	}
	root := ca("Root")
	leaf := func(usage ...x509.ExtKeyUsage) *x509.Certificate {
		return issue(t, &x509.Certificate{DNSNames: []string{"a.example"}, ExtKeyUsage: usage}, root, key, caKey)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		roots *x509.CertPool
		want  bool
	}{
		{"alone", []*x509.Certificate{leaf()}, nil, true},
		{"full", []*x509.Certificate{leaf(), root}, nil, false},
		{"of a known root", []*x509.Certificate{leaf()}, roots, false},
		{"self-signed", []*x509.Certificate{root}, nil, false},
		{"with the wrong company", []*x509.Certificate{leaf(), ca("Other")}, nil, true},
	} {
		if got := lonely(Certificate(c.chain, key), c.roots); got != c.want {
			t.Errorf("%s: lonely %t", c.name, got)
		}
	}
	for _, c := range []struct {
		name  string
		cert  *x509.Certificate
		usage x509.ExtKeyUsage
		want  string
	}{
		{"for anything", leaf(), x509.ExtKeyUsageClientAuth, ""},
		{"any", leaf(x509.ExtKeyUsageAny), x509.ExtKeyUsageClientAuth, ""},
		{"both", leaf(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), x509.ExtKeyUsageClientAuth, ""},
		{"a server's shown by a client", leaf(x509.ExtKeyUsageServerAuth), x509.ExtKeyUsageClientAuth, "not made for clients"},
		{"a client's shown by a server", leaf(x509.ExtKeyUsageClientAuth), x509.ExtKeyUsageServerAuth, "not made for servers"},
	} {
		core, logs := observer.New(zapcore.WarnLevel)
		Judge(zap.New(core), "file", Certificate([]*x509.Certificate{c.cert, root}, key), c.usage)
		all := logs.All()
		if c.want == "" && len(all) > 0 || c.want != "" && (len(all) != 1 || !strings.Contains(all[0].Message, c.want)) {
			t.Errorf("%s: %v, want %q", c.name, all, c.want)
		}
	}
	core, logs := observer.New(zapcore.WarnLevel)
	Judge(zap.New(core), "file", Certificate([]*x509.Certificate{leaf()}, key), x509.ExtKeyUsageServerAuth)
	if all := logs.FilterMessageSnippet("fullchain.pem").All(); len(all) != 1 || all[0].ContextMap()["issuer"] != "Root" {
		t.Errorf("%v", logs.All())
	}
	core, logs = observer.New(zapcore.WarnLevel)
	Judge(zap.New(core), "file", Certificate([]*x509.Certificate{leaf()}, key), x509.ExtKeyUsageClientAuth)
	if logs.Len() > 0 {
		t.Errorf("a client's of an authority of its own: %v", logs.All())
	}
}

func TestClientSettings(t *testing.T) {
	for _, c := range []struct {
		s    ClientSettings
		want string
	}{
		{ClientSettings{}, ""},
		{ClientSettings{"c", "k"}, ""},
		{ClientSettings{"c", ""}, "client_certificate"},
		{ClientSettings{"", "k"}, "client_key"},
	} {
		var attr *appliance.AttrError
		if err := c.s.Validate(); errors.As(err, &attr) != (c.want != "") || attr != nil && attr.Attr != c.want {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
	if get, err := (&ClientSettings{}).OpenClientCertificate(nil, nil); get != nil || err != nil {
		t.Errorf("none: %t, %v", get != nil, err)
	}
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := ClientSettings{filepath.Join(dir, "c"), filepath.Join(dir, "k")}
		age := 2 * time.Hour
		write := func(name string) {
			key := newKey(t)
			template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
			template.Subject.CommonName = name
			age -= time.Minute
			for file, content := range map[string][]byte{
				s.ClientCertificate: block("CERTIFICATE", issue(t, template, nil, key, nil).Raw),
				s.ClientKey:         block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))),
			} {
				when := time.Now().Add(-age)
				if err := errors.Join(os.WriteFile(file, content, 0o600), os.Chtimes(file, when, when)); err != nil {
					t.Fatal(err)
				}
			}
		}
		write("one")
		reg := prometheus.NewRegistry()
		get, err := s.OpenClientCertificate(zap.NewNop(), reg)
		if err != nil || get().Leaf.Subject.CommonName != "one" {
			t.Fatal(err)
		}
		write("two")
		time.Sleep(time.Second)
		if got := get().Leaf.Subject.CommonName; got != "two" {
			t.Errorf("certificate %q is shown", got)
		}
		want := fmt.Sprintf("# HELP waxwing_tls_cert_not_after_seconds Unix time at which the certificate for a name expires; 0 while there is none.\n"+
			"# TYPE waxwing_tls_cert_not_after_seconds gauge\nwaxwing_tls_cert_not_after_seconds{name=\"two\"} %d\n", get().Leaf.NotAfter.Unix())
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(s.ClientKey, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var attr *appliance.AttrError
		if _, err := s.OpenClientCertificate(zap.NewNop(), nil); !errors.As(err, &attr) || attr.Attr != "client_key" {
			t.Errorf("%v", err)
		}
	})
}

// TestExpiryMetricBounds: a time series for each name, but not for any number.
func TestExpiryMetricBounds(t *testing.T) {
	var all []appliance.CertificateInfo
	for i := range 2 * maxExpiryNames {
		all = append(all, appliance.CertificateInfo{Names: []string{fmt.Sprintf("%d.example", i), "Same.example", "same.Example"}})
	}
	reg := prometheus.NewRegistry()
	if err := RegisterExpiry(reg, func() []appliance.CertificateInfo { return all }); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n != maxExpiryNames {
		t.Errorf("%d time series, %v", n, err)
	}
}

// FuzzPEM: whatever is in a file, it is taken or refused, and a key that is
// taken can sign.
func FuzzPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add(must(SelfSigned([]string{"a.example"}, time.Hour, nil)))
	f.Add([]byte("\x30\x82\x02\x00\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, content []byte) {
		chain, err := Chain("x", content)
		if (err == nil) != (len(chain) > 0) {
			t.Errorf("%d certificates, %v", len(chain), err)
		}
		keys, err := Keys("x", content)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if at := Belongs(chain, k); at == 0 && len(Certificate(chain, k).Certificate) != len(chain) {
				t.Error("the chain is cut")
			}
		}
	})
}
